"""`telex serve` told to stop while clients are there."""

from __future__ import annotations

import os
import signal
import socket as sockets
import subprocess
import sys
from pathlib import Path

from tests.rules.clients import PollingClient, WebSocketClient
from tests.support.raw import Connection
from tests.support.servers import ROOT

APPLICATION = """
import asyncio
from telex import Server

io = Server()

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


def test_sigterm(tmp_path: Path) -> None:
    """Clients see the close, handlers finish, the status is the conventional one."""
    (tmp_path / "application.py").write_text(APPLICATION)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "telex", "serve", "application:io", "--port", str(port)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONASYNCIODEBUG": ""},
    )
    try:
        assert process.stdout is not None
        log: list[str] = []
        while "running on" not in "".join(log):
            line = process.stdout.readline()
            assert line, log
            log.append(line)
        with WebSocketClient(port) as client:
            client.connect()
            polling = PollingClient(port)
            polling.connect()
            poll: Connection = polling.waiting()
            client.send('42["work"]')
            while "begun\n" not in log:
                log.append(process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            assert client.websocket.close_code() in (1000, 1001, 1012)
            poll.read_to_end()
            poll.close()
        rest, _ = process.communicate(timeout=20)
        log += rest.splitlines(keepends=True)
        assert process.returncode in (0, -signal.SIGTERM), "".join(log)
        assert "finished\n" in log, "".join(log)
        assert "Traceback" not in "".join(log)
        assert log.count("gone: server shutting down\n") == 2, "".join(log)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
