"""A command in a terminal of its own, typed into and read from by the tests."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self

from tests.cli.process import PROGRAM
from tests.support.servers import ROOT

# Control sequences: those with parameters, those of titles and the like, and single letters.
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z=>]|[\r\x07]"
)


class Terminal:
    """`telex`, or another program, on a pseudo-terminal.

    `shown` is everything that was written to it, without control sequences. The size is that of
    an ordinary window; nobody answers when the program asks where the cursor is, so it is told
    not to.
    """

    def __init__(
        self, *arguments: str, env: Mapping[str, str], program: Sequence[str] = PROGRAM
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self._process = subprocess.Popen(
            [*program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **env},
        )
        os.close(theirs)
        self._data = b""
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 65536):
                self._data += data
        except OSError:  # the other end is closed
            pass

    @property
    def shown(self) -> str:
        return _CONTROLS.sub("", self._data.decode(errors="replace"))

    def type(self, keys: str) -> None:
        """Press keys; `\\r` is Enter, `\\t` Tab, `\\x04` Ctrl+D."""
        os.write(self._ours, keys.encode())

    def sees(self, text: str, *, times: int = 1, timeout: float = 30) -> None:
        """Wait until a text is shown.

        Raises:
            AssertionError: it is not.
        """
        end = time.monotonic() + timeout
        while self.shown.count(text) < times:
            assert time.monotonic() < end, f"{text!r} is not shown in:\n{self.shown}"
            time.sleep(0.02)

    def wait(self, timeout: float = 30) -> int:
        """Wait until the program ends; its exit status."""
        return self._process.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._ours)
