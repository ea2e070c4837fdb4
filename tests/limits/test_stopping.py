"""`telex serve` told to stop while clients are there."""

from __future__ import annotations

import os
import signal
import socket as sockets
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from tests.rules.clients import PollingClient, WebSocketClient
from tests.support.raw import Connection
from tests.support.servers import ROOT

APPLICATION = """
import asyncio
from telex import Server

async def django(scope, receive, send):
    raise ValueError(f"Django can only handle ASGI/HTTP connections, not {scope['type']}.")

io = Server(django)

@io.event
async def endless(socket):
    print("begun", flush=True)
    try:
        await asyncio.sleep(1000)
    finally:
        print("cancelled", flush=True)

@io.event
async def work(socket):
    print("begun", flush=True)
    await asyncio.sleep(0.3)
    print("finished", flush=True)

@io.event
def disconnect(socket, reason):
    print("gone:", reason, flush=True)
"""


def free_port() -> int:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Process:
    """`telex serve` in a folder; `log` is what it has printed so far."""

    def __init__(self, folder: Path) -> None:
        (folder / "application.py").write_text(APPLICATION)
        self.port = free_port()
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "telex", "serve", "application:io", "--port", str(self.port)],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONASYNCIODEBUG": ""},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def until(self, text: str) -> None:
        """Read its output up to a line with this text."""
        assert self.process.stdout is not None
        while not any(text in line for line in self.log):
            line = self.process.stdout.readline()
            assert line, self.log
            self.log.append(line)

    def end(self) -> str:
        """Wait for its end; all it has printed."""
        rest, _ = self.process.communicate(timeout=20)
        return "".join(self.log) + rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Clients see the close, handlers finish, the status is the conventional one.

    The application beside telex does not know of a start and an end, as Django's.
    """
    with Process(tmp_path) as server:
        server.until("running on")
        with WebSocketClient(server.port) as client:
            client.connect()
            polling = PollingClient(server.port)
            polling.connect()
            poll: Connection = polling.waiting()
            client.send('42["work"]')
            server.until("begun")
            server.process.send_signal(number)
            assert client.websocket.close_code() in (1000, 1001, 1012)
            poll.read_to_end()
            poll.close()
        log = server.end()
        assert server.process.returncode in (0, -number), log
        assert "finished\n" in log
        assert "Traceback" not in log
        assert log.count("gone: server shutting down\n") == 2, log


def test_told_twice(tmp_path: Path) -> None:
    """The second Ctrl-C waits for no handler."""
    with Process(tmp_path) as server:
        server.until("running on")
        with WebSocketClient(server.port) as client:
            client.connect()
            client.send('42["endless"]')
            server.until("begun")
            server.process.send_signal(signal.SIGINT)
            assert client.websocket.close_code() in (1000, 1001, 1012)
            server.process.send_signal(signal.SIGINT)
        log = server.end()
        assert server.process.returncode == -signal.SIGINT, log
        assert "cancelled" not in log
