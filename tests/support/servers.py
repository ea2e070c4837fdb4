"""Server applications as processes: started, awaited, read and stopped by the tests."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Literal, Self, TypeAlias

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "tests" / "apps"

HostKind: TypeAlias = Literal["fast", "run", "uvicorn", "hypercorn", "starlette", "fastapi"]

# Signs of a defect that a server leaves in its log while it goes on answering.
DEFECTS = (
    "Traceback (most recent call last)",
    "never awaited",
    "ResourceWarning",
    "never retrieved",
)


class ServerError(AssertionError):
    """A server application could not start, or it left signs of a defect."""


class ServerProcess:
    """A server program that prints the line `PORT <n>` as soon as it listens.

    Use it as a context manager, or call `stop`, which also reads the log for defects. `kill` cuts
    all connections without a farewell.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 20.0,
    ) -> None:
        self._command = list(command)
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        self._reader = threading.Thread(target=self._read, name="server output", daemon=True)
        self._reader.start()
        try:
            self.port = self._announced_port(timeout)
        except ServerError:
            self.kill()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _announced_port(self, timeout: float) -> int:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ServerError(self._failure(f"did not listen within {timeout:g} s")) from None
        if line is None:
            raise ServerError(self._failure(f"ended with status {self._process.wait()}"))
        word, _, port = line.strip().partition(" ")
        if word != "PORT" or not port.isdecimal():
            raise ServerError(self._failure(f"printed {line!r} instead of `PORT <n>`"))
        return int(port)

    def _failure(self, what: str) -> str:
        return f"`{' '.join(self._command)}` {what}. Its log:\n{self.log() or '(empty)'}"

    def log(self) -> str:
        """What the server has written to its standard error so far."""
        # Reading by position leaves the offset alone, which the process shares.
        fd = self._stderr.fileno()
        return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def freeze(self) -> None:
        """Let the process do nothing until `thaw`, while its connections stay."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self._process.kill()
        self._process.wait()
        self._release()

    def stop(self, *, timeout: float = 15.0) -> None:
        """Ask the process to end, wait until it has, and read its log.

        Raises:
            ServerError: it had ended before, did not end within `timeout` seconds, ended with
                another status than 0, or logged a defect.
        """
        if self._stderr.closed:
            return
        try:
            if not self.running:
                raise ServerError(self._failure(f"ended early, status {self._process.returncode}"))
            self._process.send_signal(signal.SIGTERM)
            try:
                status = self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise ServerError(self._failure(f"did not stop within {timeout:g} s")) from None
            if status != 0:
                raise ServerError(self._failure(f"ended with status {status}"))
            log = self.log()
            if any(sign in log for sign in DEFECTS):
                raise ServerError(self._failure("logged a defect"))
        finally:
            self.kill()

    def _release(self) -> None:
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None:
            self.stop()
        elif not self._stderr.closed:
            error.add_note(f"The server's log:\n{self.log() or '(empty)'}")
            self.kill()


def start_application(
    name: str, *arguments: str, host_kind: HostKind = "fast", port: int = 0
) -> ServerProcess:
    """Start `tests/apps/<name>.py` under a host kind, on a free port unless one is given."""
    command = [
        sys.executable,
        # Shows what Python would keep quiet about: forgotten coroutines, unclosed transports.
        *("-X", "dev"),
        str(APPS / f"{name}.py"),
        *("--host-kind", host_kind, "--port", str(port)),
        *arguments,
    ]
    return ServerProcess(command, env={"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT / "src")})
