"""`telex connect`: what comes, what is typed, what is shown."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from telex import ConnectError, Server, Socket
from telex.cli.client import Wanted
from telex.cli.display import Display
from telex.cli.interactive import converse
from telex.cli.place import read as read_place
from tests.cli.diagnosis import serving
from tests.cli.process import PROGRAM, telex
from tests.client.counterparts import Counterparts, Kind
from tests.support.proxy import Proxy

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  (polling|websocket|)\s+(\S) (.*)")


class Talked(NamedTuple):
    """How a conversation went: the exit status, and what was shown and complained about."""

    status: int
    lines: list[tuple[str, str, str]]
    complaints: list[str]

    def marked(self, mark: str) -> list[str]:
        """The texts of the lines with this mark."""
        return [text for _, found, text in self.lines if found == mark]


class Reader:
    """Reads what is shown, while it is."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        self.complaints: list[str] = []

    async def sees(self, text: str, *, times: int = 1) -> None:
        """Wait until it is shown."""
        async with asyncio.timeout(20):
            while self.file.getvalue().count(text) < times:
                await asyncio.sleep(0.01)

    def lines(self) -> list[tuple[str, str, str]]:
        """The lines with a time: transport, mark, text."""
        found = [LINE.fullmatch(line) for line in self.file.getvalue().splitlines()]
        return [(line[1], line[2], line[3]) for line in found if line is not None]


Script = Callable[[Reader], AsyncGenerator[str]]


async def talk(
    url: str, script: Script, *, linger: float | None = 0, timeout: float = 10, **options: Any
) -> Talked:
    """Talk to a server; the script waits for what is shown, and types."""
    reader = Reader()
    console = Console(file=reader.file, width=200, soft_wrap=True, highlight=False)
    wanted = Wanted(url=url, place=read_place(url, query=[]), **options)
    status = await converse(
        wanted,
        Display(console),
        lines=lambda _: script(reader),
        complain=reader.complaints.append,
        ack_timeout=timeout,
        linger=linger,
    )
    return Talked(status, reader.lines(), reader.complaints)


def typing(*lines: str) -> Script:
    """Type these lines at once."""

    async def script(_: Reader) -> AsyncGenerator[str]:
        for line in lines:
            yield line

    return script


@pytest.mark.parametrize("kind", ["socket.io-4", "socket.io-2", "telex", "python-socketio"])
async def test_events_and_acknowledgements(kind: Kind, counterparts: Counterparts) -> None:
    """Shown with the transport, and acknowledgements with the time they took."""

    async def script(reader: Reader) -> AsyncGenerator[str]:
        yield 'echo "a b" {"c": null}'
        yield "/ack answer 1 two"
        await reader.sees("← echo")
        await reader.sees("⇠ answer")

    server = counterparts[kind]
    talked = await talk(server.url(), script, transport="websocket", protocol=server.protocol)
    assert talked.status == 0
    assert talked.marked("→") == ['echo "a b" {"c": null}', 'answer 1 "two"']
    assert talked.marked("←") == ['echo "a b" {"c": null}']
    (answer,) = talked.marked("⇠")
    assert re.fullmatch(r'answer 1 "two"  \d+\.\d ms', answer)
    assert {transport for transport, _, _ in talked.lines} == {"websocket"}


async def test_an_upgrade_is_shown(counterparts: Counterparts) -> None:
    async def script(reader: Reader) -> AsyncGenerator[str]:
        await reader.sees("· upgraded")
        yield "/status"

    talked = await talk(counterparts["socket.io-4"].url(), script)
    assert talked.lines[-1][0] == "websocket"
    assert "namespace / as" in talked.lines[-1][2]


async def test_the_server_asks(counterparts: Counterparts) -> None:
    """An event that wants an acknowledgement says so, and can be answered, once."""

    async def script(reader: Reader) -> AsyncGenerator[str]:
        yield "ask 1"
        await reader.sees("asks for an acknowledgement")
        yield "/answer 42 yes"
        await reader.sees("← answered")
        yield "/answer 43"

    talked = await talk(counterparts["telex"].url(), script, linger=None)
    assert 'answered [42, "yes"]' in talked.marked("←")
    assert talked.marked("✗") == ["No event waits for an acknowledgement."]


async def test_namespaces(counterparts: Counterparts) -> None:
    """Changed over the same connection; one that refuses changes nothing."""
    server = counterparts["telex"]

    async def script(reader: Reader) -> AsyncGenerator[str]:
        yield "/namespace /chat"
        yield "/ack who"
        await reader.sees("⇠ who")
        yield "/namespace /guarded"
        yield '/namespace /guarded {"token": "let me in"}'
        yield "/namespace /"
        yield "/ack who"
        await reader.sees("⇠ who", times=2)

    talked = await talk(server.url(), script, transport="websocket", linger=None)
    assert talked.status == 0
    assert ['"namespace": "/chat"' in one for one in talked.marked("⇠")] == [True, False]
    assert talked.marked("✗") == ['/guarded: not authorized {"code": 401, "hint": "la clé, 请"}']
    notes = [note.split(" as ")[0] for note in talked.marked("·")]
    assert notes == [
        "connected to /",
        "connected to /chat",
        "disconnected from /: io client disconnect",
        "connected to /guarded",
        "disconnected from /chat: io client disconnect",
        "connected to /",
        "disconnected from /guarded: io client disconnect",
    ]


async def test_volatile_events_timeouts_help(counterparts: Counterparts) -> None:
    async def script(reader: Reader) -> AsyncGenerator[str]:
        yield "/volatile echo 1"
        await reader.sees("← echo")
        yield "/timeout 0.1"
        yield "/ack nobody answers"
        await reader.sees("was not acknowledged within 0.1 s")
        yield "/help"
        await reader.sees("/namespace NAME")
        yield "/disconnect"
        yield "echo 2"
        yield "/status"
        yield "/connect"
        yield "/ack answer 3"
        await reader.sees("⇠ answer 3")
        yield "/quit"
        raise AssertionError("nobody asks for another line")

    url = counterparts["telex"].url()
    talked = await talk(url, script, transport="websocket", linger=None)
    assert talked.status == 0
    assert talked.marked("✗") == [
        "'nobody' was not acknowledged within 0.1 s",
        "There is no connection: /connect makes one.",
    ]
    assert "disconnected; /connect comes back" in talked.marked("·")


async def test_mistakes_are_told_and_go_on(counterparts: Counterparts) -> None:
    """And are a failure where nobody sees them."""
    lines = ['echo {"a"', "/akc x", "connect", "/ack answer 1"]
    talked = await talk(counterparts["telex"].url(), typing(*lines), transport="websocket")
    assert talked.status == 1
    assert len(talked.marked("✗")) == 3
    assert talked.marked("⇠")


async def test_the_end_of_the_input_waits(counterparts: Counterparts) -> None:
    """For acknowledgements, and then as long as one asks for events."""
    lines = ["echo hello", '/ack "answer later" 300 done']
    talked = await talk(counterparts["telex"].url(), typing(*lines), transport="websocket")
    assert talked.status == 0
    assert len(talked.marked("⇠")) == 1
    talked = await talk(counterparts["telex"].url(), typing("echo hello"), linger=0.5)
    assert talked.marked("←") == ['echo "hello"']


async def test_the_server_sends_us_away(counterparts: Counterparts) -> None:
    """The input then ends too early."""

    first = typing('"throw me out"')
    assert (await talk(counterparts["telex"].url(), first, linger=5)).status == 0

    async def waiting(reader: Reader) -> AsyncGenerator[str]:
        yield '"throw me out"'
        await asyncio.Event().wait()

    talked = await talk(counterparts["telex"].url(), waiting)
    assert talked.status == 1
    assert "disconnected from /: io server disconnect" in talked.marked("·")
    assert talked.marked("✗") == ["the connection has ended before the input"]


async def test_reconnecting() -> None:
    """What happens is shown; what is typed meanwhile is sent afterwards."""
    server = Server()

    @server.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("echo", lambda *args: socket.emit("echo", *args))

    async with serving(server) as url:
        async with await Proxy.start(int(url.rpartition(":")[2])) as proxy:

            async def script(reader: Reader) -> AsyncGenerator[str]:
                proxy.cut()
                await reader.sees("disconnected from /")
                yield "echo later"
                await reader.sees('← echo "later"')

            talked = await talk(proxy.url, script, transport="websocket", linger=None)
            assert 'echo "later"  (when connected again)' in talked.marked("→")
            assert "connecting again, attempt 1" in talked.marked("·")

            async def waiting(_: Reader) -> AsyncGenerator[str]:
                proxy.cut()
                await asyncio.Event().wait()
                yield "never"

            talked = await talk(proxy.url, waiting, transport="websocket", reconnect=False)
            assert talked.status == 1
            assert "connecting again, attempt 1" not in talked.marked("·")


async def test_it_cannot_connect() -> None:
    """The same sentences and exit statuses as of `telex emit`."""
    server = Server()

    @server.use
    def refuse(_: Socket) -> None:
        raise ConnectError("not you", data={"why": [1]})

    async with serving(server) as url:
        talked = await talk(url, typing())
        assert talked.status == 1
        assert talked.complaints == ['The server refuses the connection: not you ({"why": [1]})']
    assert (await talk(url, typing())).status == 2


async def test_what_strangers_send_is_no_command_for_the_terminal() -> None:
    server = Server()

    @server.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("\x1b[2J\u202e", "\x1b]0;title\x07", {"\x9b": 1})

    async def script(reader: Reader) -> AsyncGenerator[str]:
        await reader.sees("←")
        yield "/quit"

    async with serving(server) as url:
        talked = await talk(url, script)
    assert talked.marked("←") == [
        '"\\u001b[2J\\u202e" "\\u001b]0;title\\u0007" {"\\u009b": 1}',
    ]


# -- as a process -------------------------------------------------------------------------


def test_lines_from_a_pipe(counterparts: Counterparts) -> None:
    """Plain output without colours, and the exit status."""
    url = counterparts["telex"].url()
    done = telex("connect", url, typed="# hello\necho 1\n/ack answer 2\n/quit\nnever")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    found = [LINE.fullmatch(line) for line in done.stdout.splitlines()]
    assert [line[3] for line in found if line and line[2] == "→"] == ["echo 1", "answer 2"]
    done = telex("connect", url, typed='echo {"\n')
    assert done.returncode == 1
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = telex("connect", f"127.0.0.1:{port}", typed="echo 1\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be reached" in done.stderr


def started(url: str) -> subprocess.Popen[str]:
    """The command with pipes, connected."""
    process = subprocess.Popen(
        [*PROGRAM, "connect", url, "--transport", "websocket"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert "connected to /" in process.stdout.readline()
    return process


def test_ctrl_c(counterparts: Counterparts) -> None:
    """Ends it at once, without a traceback."""
    with started(counterparts["telex"].url()) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_nobody_reads_what_is_printed(counterparts: Counterparts) -> None:
    """As with `| head`: it ends, without a traceback."""
    with started(counterparts["telex"].url()) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write("echo 1\necho 2\n")
        process.stdin.flush()  # and it is not the end of the input
        assert process.wait(30) == 1
        assert "Traceback" not in process.stderr.read()
