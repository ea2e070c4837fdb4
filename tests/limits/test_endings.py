"""From the moment a connection is to end, a deadline runs that ends it, come what may."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket as sockets
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import uvloop
from hypothesis import Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from telex import Server
from telex.fronts.uvicorn import handshake
from tests.support.examples import examples
from tests.support.raw import CLOSE, PING, TEXT, close_frame, frame, request, upgrade_request

FOREVER = float("inf")
TARGET = "/socket.io/?EIO=4&transport="
LARGE = "x" * 200_000
SMALL_BUFFER = 8192
"""What the kernel may hold for a client that does not read, in bytes; it takes twice as much."""


def wrapped(app: Any) -> Any:
    """A middleware that changes nothing: requests take the HTTP server's own road."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


Loop = asyncio.AbstractEventLoop


def serves(address: tuple[str, int]) -> bool:
    """Whether a descriptor of this process is the server's end of a client's connection."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                sock = sockets.socket(fileno=int(number))
                try:
                    if sock.getpeername() == address:
                        return True
                finally:
                    sock.detach()
    return False


class Host:
    """A server on a loop that runs only while it is told to."""

    def __init__(self, loop: Loop, *, road: str = "fast", **more: Any) -> None:
        self.loop = loop
        loop.set_debug(False)
        self.io = Server(send_buffer_limit=50_000_000, **more)
        if road == "asgi":
            self.io.engine.use(wrapped)
        self.run(self.io.listen(port=0))
        listening: Any = self.io._listening
        self.state: Any = listening._server.server_state
        for listener in listening._server.servers[0].sockets:
            listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SMALL_BUFFER)
        self.settle()

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def do(self, act: Callable[..., object], *arguments: object) -> None:
        """Do something on the loop, and let it do what follows."""

        async def acting() -> None:
            act(*arguments)

        self.run(acting())
        self.settle()

    def settle(self) -> None:
        """Let the loop do what there is to do."""

        async def turns() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.run(turns())

    def until(self, met: Callable[[], bool], what: str) -> None:
        for _ in range(300):
            if met():
                return
            self.run(asyncio.sleep(0.01))
        raise AssertionError(what)

    def call(self) -> sockets.socket:
        """A connection of a client whose kernel takes little."""
        client = sockets.socket()
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, SMALL_BUFFER)
        assert self.io.port is not None
        client.connect(("127.0.0.1", self.io.port))
        client.setblocking(False)
        self.settle()
        return client

    def say(self, client: sockets.socket, data: bytes) -> None:
        """Send everything, or as much as the server reads."""
        for _ in range(1000):
            try:
                data = data[client.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return  # it has been closed
            self.settle()
            if not data:
                return

    def hear(self, client: sockets.socket, until: bytes) -> bytes:
        heard = b""

        def met() -> bool:
            nonlocal heard
            with contextlib.suppress(BlockingIOError):
                heard += client.recv(1_000_000)
            return until in heard

        self.until(met, f"{until!r} does not come")
        return heard

    def deadlines(self, *, idle: bool) -> None:
        """The deadlines of what is to end pass; with ``idle``, those of HTTP connections, too.

        Nothing else passes: no heartbeat ends what lives.
        """
        engine = self.io._core.engine
        http: dict[str, Any] = self.state.__dict__
        shared: Any = http["telex"]
        idle_lanes: list[Any] = [shared.unread]
        if shared.polling is not None:
            idle_lanes.append(shared.polling.idle)
        for _ in range(3):
            self.do(engine.heartbeat.close.tick, FOREVER)
            if idle:
                for lane in idle_lanes:
                    self.do(lane.tick, FOREVER)
                for connection in list(self.state.connections):
                    if getattr(connection, "timeout_keep_alive_task", None) is not None:
                        self.do(connection.timeout_keep_alive_handler)
            for connection in list(self.state.connections):
                if getattr(connection, "close_timer", None) is not None:  # the host's own
                    self.do(connection.transport.close)
            self.do(self.io.front.driver.leaving.tick, FOREVER)
            self.do(shared.leaving.tick, FOREVER)

    def close(self) -> None:
        self.run(self.io.close())
        self.loop.close()


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Loop:
    return LOOPS[request.param]()


class Machine(RuleBasedStateMachine):
    """One client of a server, up to the end of its connection."""

    host: Host
    polling = False

    def __init__(self) -> None:
        super().__init__()
        self.io = self.host.io
        self.to_end = False
        self.unread = False
        self.over = False

    @initialize(full=st.booleans())
    def join(self, full: bool) -> None:
        """With ``full``, more waits for the client than the kernel takes."""
        known = set(self.io.sockets.sockets)
        self.client = self.host.call()
        self.address = self.client.getsockname()
        self.enter()
        self.host.until(lambda: set(self.io.sockets.sockets) != known, "nobody joins")
        (sid,) = set(self.io.sockets.sockets) - known
        self.socket = self.io.sockets.sockets[sid]
        self.session = self.socket.conn.session
        self.joined()
        if full:
            self.emit(1)

    def enter(self) -> None:
        self.host.say(self.client, upgrade_request(TARGET + "websocket"))
        self.host.say(self.client, frame(TEXT, "40"))

    def joined(self) -> None:
        """The socket is there."""

    # -- the server -----------------------------------------------------------------------

    @rule(times=st.integers(1, 3))
    def emit(self, times: int) -> None:
        for _ in range(times):
            self.host.do(self.socket.emit, "news", LARGE)
        self.unread = True

    @rule(close=st.booleans())
    def disconnect(self, close: bool) -> None:
        self.host.do(self.socket.disconnect, close)
        self.to_end = self.to_end or close

    @rule()
    def end(self) -> None:
        self.host.do(self.session.end, "test")
        self.to_end = True

    @rule()
    def close_politely(self) -> None:
        self.host.do(self.session.close)
        self.to_end = True

    @precondition(lambda self: not self.to_end)
    @rule()
    def pause(self) -> None:
        """Handlers are behind."""
        self.host.do(self.session.pause)

    @precondition(lambda self: self.session.paused)
    @rule()
    def resume(self) -> None:
        while self.session.paused:
            self.host.do(self.session.resume)

    # -- the client -----------------------------------------------------------------------

    @property
    def heard_by_server(self) -> bool:
        return not self.session.paused

    @rule(size=st.sampled_from([100, 1_000_000]))
    def read(self, size: int) -> None:
        for _ in range(5):
            with contextlib.suppress(OSError):
                self.client.recv(size)
            self.host.settle()

    @precondition(lambda self: not self.over and self.heard_by_server)
    @rule()
    def say_no_more(self) -> None:
        with contextlib.suppress(OSError):
            self.client.shutdown(sockets.SHUT_WR)
        self.over = self.to_end = True
        self.host.settle()

    @precondition(lambda self: self.client.fileno() >= 0)
    @rule()
    def reset(self) -> None:
        self.client.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        self.over = self.to_end = True
        self.host.settle()

    # -- the end --------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        host = self.host
        if not self.to_end:
            host.deadlines(idle=False)
            assert serves(self.address)
            assert self.session.state == "open"
            self.resume()
            self.end()
        host.until(self.gone, "the connection stays")
        if self.polling:  # it may have ended between two polls
            self.end()
        assert self.session.state == "closed"
        self.client.close()
        host.settle()
        assert not host.io.front.driver.leaving.deadlines

    def gone(self) -> bool:
        """Whether the connection has ended, once its deadlines have passed."""
        self.host.deadlines(idle=self.polling)
        return not serves(self.address)


class WebSocketMachine(Machine):
    """… over a WebSocket."""

    @precondition(lambda self: not self.over)
    @rule()
    def ask_for_pongs(self) -> None:
        """More than the client reads."""
        self.host.say(self.client, frame(PING, b"x" * 120) * 300)

    @precondition(lambda self: not self.over and self.heard_by_server)
    @rule(last=st.sampled_from([close_frame(1000), close_frame(), frame(CLOSE, b"\xff")]))
    def say_goodbye(self, last: bytes) -> None:
        """A close frame, proper or not."""
        self.host.say(self.client, last)
        self.to_end = True

    @precondition(lambda self: not self.over and self.heard_by_server)
    @rule(last=st.sampled_from([frame(3), frame(TEXT, "1"), frame(TEXT, "?")]))
    def say_something_final(self, last: bytes) -> None:
        """A frame that breaks the protocol, or a packet that ends the session."""
        self.host.say(self.client, last)
        self.to_end = True


class PollingMachine(Machine):
    """… over long-polling: the connection of its polls."""

    polling = True

    def enter(self) -> None:
        self.host.say(self.client, request("GET", TARGET + "polling"))
        heard = self.host.hear(self.client, b'"sid":"')
        self.sid = heard.partition(b'"sid":"')[2].partition(b'"')[0].decode()
        self.target = f"{TARGET}polling&sid={self.sid}"
        self.host.say(self.client, request("POST", self.target, body=b"40"))
        self.host.hear(self.client, b"ok")
        self.host.say(self.client, request("GET", self.target))

    def joined(self) -> None:
        """The socket is there: poll once more."""
        self.host.hear(self.client, b'40{"sid"')
        self.host.say(self.client, request("GET", self.target))

    @property
    def heard_by_server(self) -> bool:
        """While an answer is not read, only the session knows whether the client lives."""
        return not self.unread


EXAMPLES = settings(
    max_examples=examples(40), stateful_step_count=4, deadline=None, phases=[Phase.generate]
)


def play(machine: type[Machine], host: Host) -> None:
    """Let the client of this machine come and go in many ways."""
    try:
        run_state_machine_as_test(
            type(machine.__name__, (machine,), {"host": host}), settings=EXAMPLES
        )
    finally:
        host.close()


@pytest.mark.parametrize("form", ["native", "picows", "host"])
def test_websockets(form: str, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled form, where it is there; the one on picows; that of the host, compressed."""
    if form == "picows":
        monkeypatch.setattr(handshake, "_native", None)
    play(WebSocketMachine, Host(loop, per_message_deflate=form == "host"))


@pytest.mark.parametrize("road", ["fast", "asgi"])
def test_long_polling(road: str, loop: Loop) -> None:
    play(PollingMachine, Host(loop, road=road))


# -- single endings -----------------------------------------------------------------------


def joined(host: Host) -> tuple[PollingMachine, list[str]]:
    """A client with a poll that waits, and the reasons with which its socket goes."""
    reasons: list[str] = []
    machine: Any = type("Client", (PollingMachine,), {"host": host})()
    machine.join(full=False)
    machine.socket.on("disconnect", reasons.append)
    return machine, reasons


@pytest.mark.parametrize("road", ["fast", "asgi"])
def test_an_answer_that_is_cut(road: str, loop: Loop) -> None:
    """What was in it is lost, so the session ends, and recovery or the application can act."""
    host = Host(loop, road=road)
    client, reasons = joined(host)
    client.emit(3)
    assert reasons == []
    client.reset()
    host.until(lambda: bool(reasons), "the session goes on")
    assert reasons == ["transport error"]
    host.close()


@pytest.mark.parametrize("road", ["fast", "asgi"])
def test_an_answer_that_is_read_slowly(road: str, loop: Loop) -> None:
    """Nobody ends a client that reads, and its connection serves the next poll."""
    host = Host(loop, road=road)
    client, reasons = joined(host)
    client.emit(1)
    host.deadlines(idle=False)
    assert host.hear(client.client, b'x"]').count(b"x") >= len(LARGE)
    host.say(client.client, request("GET", client.target))
    host.do(client.socket.emit, "more")
    host.hear(client.client, b'42["more"]')
    assert reasons == []
    client.client.close()
    host.close()


@pytest.mark.parametrize("status", [413, 431])
def test_a_refusal_reaches_who_goes_on_sending(status: int, loop: Loop) -> None:
    """The client has more to say than is read; a reset would take the answer from it."""
    host = Host(loop)
    client, _ = joined(host)
    other = host.call()
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    if status == 413:
        head = request("POST", client.target, [("Transfer-Encoding", "chunked")])
        host.say(other, head + piece * 16)
    else:
        piece = b"x" * 65536
        host.say(other, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n" + piece)
    host.say(other, piece * 8)
    host.say(other, piece * 8)
    heard = host.hear(other, b"\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 %d" % status)
    address = other.getsockname()
    host.deadlines(idle=False)
    assert not serves(address)
    for one in (other, client.client):
        one.close()
    host.close()


@pytest.mark.parametrize("target", ["/elsewhere", TARGET + "nothing"])
def test_a_body_that_drips_behind_its_answer(target: str, loop: Loop) -> None:
    """It has been answered; what still comes is not waited for without end."""
    host = Host(loop)
    client = host.call()
    address = client.getsockname()
    host.say(client, request("POST", target)[:-2] + b"Content-Length: 1000\r\n\r\n")
    host.hear(client, b"HTTP/1.1 40")
    for _ in range(3):
        host.say(client, b"x")
    assert serves(address)
    host.deadlines(idle=False)
    host.until(lambda: not serves(address), "the connection stays")
    client.close()
    host.close()


@pytest.mark.parametrize("form", ["native", "picows"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's, of what it was not told to end
def test_a_loop_that_is_closed(form: str, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the server, every descriptor goes, though nobody has closed it."""
    if form == "picows":
        monkeypatch.setattr(handshake, "_native", None)
    host: Host | None = Host(loop)
    assert host is not None
    clients = [host.call() for _ in range(3)]
    for client in clients:
        host.say(client, upgrade_request(TARGET + "websocket"))
        host.hear(client, b'0{"sid"')
    tasks = asyncio.all_tasks(loop)
    [task.cancel() for task in tasks]
    host.run(asyncio.wait(tasks))
    loop.close()
    addresses = [client.getsockname() for client in clients]
    # What is asyncio's own is kept by the server.
    kept = vars(handshake)["_native"] is None and isinstance(loop, asyncio.BaseEventLoop)
    assert all(map(serves, addresses)) is kept
    del host, loop, tasks
    gc.collect()
    assert not any(map(serves, addresses))
    for client in clients:
        client.close()
