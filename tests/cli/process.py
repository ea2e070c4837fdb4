"""The command line as processes of the tests."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.servers import ROOT, ServerError, ServerProcess

PROGRAM = [sys.executable, "-X", "dev", "-W", "error", "-m", "telex"]
URL = re.compile(r"http://\S+?:(\d+)/")


def telex(*arguments: str, cwd: Path = ROOT, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself; `typed` comes to it through a pipe."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=cwd,
    )


class CommandProcess(ServerProcess):
    """A command that serves, and prints the address it serves at."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__(
            [*PROGRAM, *arguments], env={"PYTHONUNBUFFERED": "1", **(env or {})}, timeout=30
        )

    def _announced_port(self, timeout: float) -> int:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ServerError(self._failure(f"did not listen within {timeout:g} s")) from None
        if line is None:
            raise ServerError(self._failure(f"ended with status {self._process.wait()}"))
        found = URL.search(line)
        if found is None:
            raise ServerError(self._failure(f"printed {line!r} where its address was expected"))
        return int(found[1])


def demo(*arguments: str) -> CommandProcess:
    """The demo on a free port."""
    return CommandProcess("demo", "--port", "0", *arguments)
