"""How the log is shown: `telex.log`, the hosts that telex starts, `logging.config`; no secrets."""

from __future__ import annotations

import asyncio
import io as streams
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import telex
from telex import ConnectError, Server, Socket
from telex._log import logger, packets
from telex._logging import SESSION_IDS, log, with_telex
from telex.ids import tag
from tests.limits.test_strangers import in_thread, listening
from tests.rules.clients import PollingClient, WebSocketClient, upgrade

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING) +telex[.a-z]*: \S")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the loggers of telex write, at every level."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    handler = Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


def visit(port: int) -> list[str]:
    """A client that polls, upgrades, joins a namespace with a token, and leaves."""
    with PollingClient(port) as polling:
        client = upgrade(polling)
        client.connect(auth='{"token":"hunter2"}')
        client.send('42["echo","x\u202e"]')
        assert client.text() == '42["echo","x\u202e"]'
        client.send("40/nowhere,")
        assert client.text().startswith("44/nowhere,")
        client.send('40/closed,{"token":"hunter2"}')
        assert client.text().startswith("44/closed,")
        client.websocket.close()
        return [polling.sid]


async def test_connections_and_packets(lines: list[str]) -> None:
    """At INFO who comes and goes, at DEBUG every packet; on lanes as well; no credentials."""
    io = Server()

    @io.event
    def echo(socket: Socket, text: str) -> None:
        socket.emit("echo", text)

    async def refuse(socket: Socket) -> None:
        raise ConnectError("closed\n")

    io.of("/closed").use(refuse)
    port = await listening(io)
    (sid,) = await in_thread(visit, port)
    await io.close()
    name = f"connection {tag(sid)} from 127.0.0.1"
    told = [line for line in lines if line.startswith("INFO telex.connections: ")]
    patterns = [
        f"{name}: opened over polling",
        f"{name}: upgraded to websocket",
        rf"{name}: joined as <Socket \S+ of '/' connected>",
        f"{name}: closed, transport close",
        r"<Socket \S+ of '/' connected>: left, transport close",
    ]
    for line, pattern in zip(told, patterns, strict=True):
        assert re.fullmatch("INFO telex.connections: " + pattern, line), line
    refused = [line for line in lines if line.startswith("INFO telex: refused")]
    assert "no such namespace: /nowhere" in refused[0]
    assert "/closed: closed\\u000a" in refused[1]
    seen = "\n".join([line for line in lines if line.startswith("DEBUG telex.packets: ")])
    for packet in (
        'received 42["echo","x\\u202e"]',
        'sending 42["echo","x\\u202e"]',
        "received 40 …",
        "sending 40 …",
        "received 40/closed …",
    ):
        assert f"{name}: {packet}" in seen, packet
    assert not [line for line in lines if sid in line or "hunter2" in line or '"pid"' in line]


async def test_of_a_client(lines: list[str]) -> None:
    io = Server()
    port = await listening(io)
    async with telex.connect(f"http://127.0.0.1:{port}", auth={"token": "hunter2"}) as socket:
        engine = repr(socket.io.engine).replace("open", "")
        await socket.emit("hello", 1)
    await io.close()
    assert engine
    client = [line for line in lines if "<ClientEngine" in line]
    assert any("opened over" in line for line in client)
    assert any("closed," in line for line in client)
    assert any('sending 42["hello",1]' in line for line in client)
    assert not [line for line in client if "hunter2" in line or re.search('"sid":"[^…]', line)]


async def test_nothing_is_watched_without_being_asked() -> None:
    """What the log does not show costs nothing: sessions have no observer."""
    assert not packets.isEnabledFor(logging.DEBUG)
    io = Server()
    port = await listening(io)
    client = await in_thread(WebSocketClient, port)
    (session,) = io.engine._engine.sessions.values()
    assert session.observer is None
    client.websocket.connection.close()
    await io.close()


_PROGRAM = """
import asyncio, logging, sys, telex
from telex import Server
{setup}
async def main():
    io = Server(origins=[])
    await io.listen(port=0)
    async with telex.connect(f"http://127.0.0.1:{{io.port}}") as socket:
        await socket.emit("hello")
    await io.close()
asyncio.run(main())
"""


def shown_by(setup: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(setup=setup)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONASYNCIODEBUG": "", "PYTHONDEVMODE": ""},
        timeout=60,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_telex_log() -> None:
    """One call: time, level, logger; packets at DEBUG, connections at INFO."""
    debug = shown_by("telex.log('info'); telex.log('debug')")
    assert not [line for line in debug if not LINE.match(line)]
    assert len(set(debug)) == len(debug)
    assert any('sending 42["hello"]' in line for line in debug)
    info = shown_by("telex.log()")
    assert any("opened over" in line for line in info)
    assert not any("sending" in line for line in info)
    (warning,) = shown_by("telex.log('warning')")
    assert "WARNING telex: origins=[] refuses every page" in warning


def test_telex_log_uses_the_logging_of_the_application() -> None:
    found = shown_by("logging.basicConfig(format='mine %(message)s'); telex.log('debug')")
    assert found
    assert all(line.startswith("mine ") for line in found)


def test_levels() -> None:
    with pytest.raises(telex.ConfigurationError, match="there is no level 'loud'"):
        log("loud")
    with pytest.raises(telex.ConfigurationError, match="there is no level True"):
        log(True)


_FILTERS = """
import logging.config
from telex._log import connections, logger, packets
logger.setLevel("ERROR")
before = [list(each.filters) for each in (logger, connections, packets)]
assert all(before)
config = {"version": 1, "disable_existing_loggers": False, "loggers": {"telex": {}}}
logging.config.dictConfig(config)
assert [list(each.filters) for each in (logger, connections, packets)] == before
"""


def test_the_filters_of_the_loggers_outlast_a_configuration() -> None:
    """An application's `dictConfig` takes handlers away, and not what escapes tracebacks."""
    assert not shown_by(_FILTERS)


def test_access_logs_have_no_session_ids() -> None:
    """Neither those of the fast roads nor those of uvicorn."""
    for name in ("uvicorn.access", "uvicorn.error"):
        host = logging.getLogger(name)
        assert SESSION_IDS in host.filters
    stream = streams.StringIO()
    host = logging.getLogger("uvicorn.access")
    handler = logging.StreamHandler(stream)
    host.addHandler(handler)
    level, propagate = host.level, host.propagate
    host.setLevel(logging.INFO)

    async def serve() -> list[str]:
        io = Server()
        await io.listen(port=0, access_log=True)
        assert io.port is not None
        sids = await in_thread(poll, io.port)
        await io.close()
        return sids

    def poll(port: int) -> list[str]:
        with PollingClient(port) as usual, PollingClient(port, padding="x" * 9000) as long:
            for client in (usual, long):
                client.connect()
            return [usual.sid, long.sid]

    try:
        sids = asyncio.run(serve())
    finally:
        host.removeHandler(handler)
        host.setLevel(level)
        host.propagate = propagate
    told = stream.getvalue()
    assert told.count("sid=…") >= 6
    assert not [sid for sid in sids if sid in told]
    assert max(map(len, told.splitlines())) < 400


@pytest.mark.parametrize(("level", "number"), [(None, 20), ("info", 20), ("DEBUG", 10), (5, 5)])
def test_the_host_shows_telex(level: str | int | None, number: int) -> None:
    logger.propagate = False  # of pytest's own handlers
    try:
        config = with_telex({"formatters": {}, "handlers": {}, "loggers": {}}, level)
    finally:
        logger.propagate = True
    assert config["loggers"]["telex"]["level"] == number


def test_telex_serve(tmp_path: Path) -> None:
    """`telex serve --log-level debug` shows connections and packets, `--no-access-log` no polls."""
    (tmp_path / "served.py").write_text("from telex import Server\nio = Server()\n")
    host = subprocess.Popen(
        [
            *(sys.executable, "-m", "telex", "serve", "served:io", "--port", "0"),
            *("--log-level", "debug", "--no-access-log"),
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert host.stderr is not None
    try:
        port = 0
        for line in host.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                port = int(found[1])
                break
        with PollingClient(port) as client:
            client.connect()
    finally:
        host.terminate()
        told = host.stderr.read()
        host.stderr.close()
        host.wait(30)
    assert re.search(r"INFO +telex.connections: connection \w{8} from 127.0.0.1: opened", told)
    assert re.search(r"DEBUG +telex.packets: .*: received 40", told)
    assert "GET /socket.io" not in told
    assert client.sid not in told
