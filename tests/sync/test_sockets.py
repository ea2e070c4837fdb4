"""Blocking sockets with real servers, telex's and Node's."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import telex
from telex import (
    AckTimeout,
    ConfigurationError,
    ConnectError,
    Disconnected,
    EncodeError,
    UnknownOptionError,
)
from telex.sync import ClientSocket
from tests.client.counterparts import Counterpart, new_name
from tests.client.ports import refusing_port, silent_port
from tests.sync.waiting import threads, until


def test_a_script(server: Counterpart) -> None:
    with telex.sync.connect(server.url(), force_new=True) as socket:
        assert (socket.connected, socket.active, socket.disconnected) == (True, True, False)
        assert socket.emit_with_ack("answer", 1, "two", b"three") == (1, "two", b"three")
        socket.emit("echo", {"binary": b"\x00\x01"})
        assert socket.receive(timeout=10) == ["echo", {"binary": b"\x00\x01"}]
        socket.emit("push", 3)
        socket.emit("throw me out")
        assert [number for _, number in socket] == [0, 1, 2]
        assert socket.wait() == "io server disconnect"
        with pytest.raises(Disconnected):
            socket.receive()
    assert (socket.disconnected, socket.id) == (True, None)


def test_server_asks(server: Counterpart) -> None:
    with telex.sync.connect(server.url(), force_new=True) as socket:
        socket.emit("ask", 1, 2)
        event = socket.receive(timeout=10)
        assert event == ["question", 1, 2]
        event.ack("both")
        assert socket.receive(timeout=10) == ["answered", ["both"]]


def test_emitting_in_every_way(server: Counterpart) -> None:
    name = new_name()
    url = server.url()
    with telex.sync.connect(url, force_new=True, transports=["websocket"]) as socket:
        socket.emit("note", name, 1)
        socket.volatile.emit("note", name, 2)
        socket.compress(False).emit("note", name, 3)
        socket.binary(True).compress(True).volatile.emit("note", name, 4)
        socket.send("nobody listens to this")
        assert socket.timeout(10).emit_with_ack("notes", name) == [1, 2, 3, 4]


def test_answers_that_do_not_come(socket: ClientSocket) -> None:
    with pytest.raises(AckTimeout):
        socket.emit_with_ack("nobody handles this", timeout=0.01)
    with pytest.raises(AckTimeout):
        socket.timeout(0.01).emit_with_ack("nobody handles this")
    socket.ack_timeout = 0.01
    with pytest.raises(AckTimeout):
        socket.emit_with_ack("nobody handles this")
    with pytest.raises(TimeoutError):
        socket.receive(timeout=0.01)
    with pytest.raises(TimeoutError):
        socket.wait(timeout=0.01)


def test_mistakes_are_raised_where_they_are_made(socket: ClientSocket) -> None:
    with pytest.raises(ValueError, match="disconnect"):
        socket.emit("disconnect")
    with pytest.raises(EncodeError):
        socket.emit("echo", object())
    no_function: Any = 3
    with pytest.raises(TypeError, match="callable"):
        socket.emit("answer", ack=no_function)
    with pytest.raises(ConfigurationError, match="callable"):
        socket.on("event", no_function)
    with pytest.raises(ConfigurationError):
        socket.event(lambda: None)
    misspelt: Any = {"reconection": False}
    with pytest.raises(UnknownOptionError, match="reconnection"):
        telex.sync.connect("http://127.0.0.1:1", **misspelt)


# -- connecting -------------------------------------------------------------------------------


def test_the_first_failure_is_raised() -> None:
    with refusing_port() as port, pytest.raises(ConnectError, match="xhr poll error"):
        telex.sync.connect(f"http://127.0.0.1:{port}")


def test_as_many_attempts_as_were_asked_for() -> None:
    with refusing_port() as port, pytest.raises(ConnectError, match="xhr poll error"):
        telex.sync.connect(
            f"http://127.0.0.1:{port}", reconnection_attempts=2, reconnection_delay=0.01
        )


def test_a_refusal(server: Counterpart) -> None:
    with pytest.raises(ConnectError, match="not authorized") as refusal:
        telex.sync.connect(server.url(namespace="/guarded"), force_new=True)
    assert refusal.value.data == {"code": 401, "hint": "la clé, 请"}
    url = server.url(namespace="/guarded")
    with telex.sync.connect(url, force_new=True, auth={"token": "let me in"}) as socket:
        assert socket.nsp == "/guarded"
        assert socket.auth == {"token": "let me in"}


def test_auth_may_block(server: Counterpart) -> None:
    tokens: queue.SimpleQueue[str] = queue.SimpleQueue()

    def auth() -> dict[str, str]:
        return {"token": tokens.get(timeout=10)}

    threading.Timer(0.05, tokens.put, ["let me in"]).start()
    url = server.url(namespace="/guarded")
    with telex.sync.connect(url, force_new=True, auth=auth) as socket:
        assert socket.auth is auth
        assert socket.emit_with_ack("answer", 1, timeout=10) == 1
        socket.disconnect()
        socket.auth = lambda: {"token": "wrong"}
        with pytest.raises(ConnectError, match="not authorized"):
            socket.connect()
        assert not socket.active


def test_connecting_later(server: Counterpart) -> None:
    socket = telex.sync.connect(server.url(), force_new=True, auto_connect=False)
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    socket.on("connect", lambda: seen.put("connect"))
    socket.on("disconnect", seen.put)
    socket.on("echo", seen.put)
    assert not socket.active
    socket.emit("echo", "kept until there is a connection")
    with socket:
        assert seen.get(timeout=10) == "connect"
        assert seen.get(timeout=10) == "kept until there is a connection"
    assert seen.get(timeout=10) == "io client disconnect"
    assert socket.connect() is socket
    assert seen.get(timeout=10) == "connect"
    assert socket.disconnect() is socket
    assert seen.get(timeout=10) == "io client disconnect"


def emit_much(socket: ClientSocket) -> None:
    for _ in range(20):
        socket.emit("nobody handles this", b"x" * 500_000)


def test_a_server_that_does_not_read_and_one_that_goes_and_comes_back() -> None:
    server = Counterpart("telex", only="main")
    try:
        with telex.sync.connect(server.url(), reconnection_delay=0.02) as socket:
            manager: Any = socket.io
            session = manager._manager.engine.session
            server.process.freeze()
            emitting = threading.Thread(target=emit_much, args=[socket])
            emitting.start()
            until(lambda: not session.writable)
            assert emitting.is_alive(), "it waits until the server reads"
            server.process.thaw()
            emitting.join(20)
            assert not emitting.is_alive()
            reconnected = threading.Event()
            socket.io.on("reconnect", reconnected.set)
            asyncio.run(server.die())
            until(lambda: socket.disconnected)
            socket.emit("echo", "later")
            asyncio.run(server.come_back())
            assert socket.receive(timeout=20) == ["echo", "later"]
            assert reconnected.wait(10)
    finally:
        server.stop()


def test_sharing_a_connection(telex_server: Counterpart) -> None:
    url = telex_server.url()
    with telex.sync.connect(url) as main, telex.sync.connect(f"{url}/chat") as chat:
        assert main.io is chat.io
        assert chat.io.sockets == {"/": main, "/chat": chat}
        with telex.sync.connect(url) as other, telex.sync.connect(url, force_new=True) as third:
            assert len({id(each.io) for each in (main, other, third)}) == 3
        main.disconnect()
        assert chat.emit_with_ack("answer", 1, timeout=10) == 1


def test_a_manager(server: Counterpart) -> None:
    with telex.sync.Manager(server.url(), reconnection_delay=0.5, timeout=10) as manager:
        seen: queue.SimpleQueue[Any] = queue.SimpleQueue()
        manager.on("open", lambda: seen.put("open"))
        manager.once("close", seen.put)
        assert manager.open() is manager
        assert manager.ready_state == "open"
        engine = manager.engine
        assert engine is not None
        assert engine is manager.engine
        assert engine.ready_state == "open"
        assert seen.get(timeout=10) == "open"
        chat = manager.socket("/chat")
        assert manager.socket("chat") is chat
        with chat, manager.socket("/news") as news:
            assert chat.emit_with_ack("answer", 1, timeout=10) == 1
            assert news.emit_with_ack("answer", 2, timeout=10) == 2
        assert (manager.reconnection, manager.reconnection_delay) == (True, 0.5)
        manager.reconnection = False
        manager.reconnection_delay = 1.5
        manager.reconnection_delay_max = 2.5
        manager.reconnection_attempts = 3
        manager.randomization_factor = 0.25
        manager.timeout = None
        assert not manager.reconnection
        assert manager.reconnection_delay == 1.5
        assert manager.reconnection_delay_max == 2.5
        assert manager.reconnection_attempts == 3
        assert manager.randomization_factor == 0.25
        assert manager.timeout is None
        assert not manager.reconnecting
    assert seen.get(timeout=10) == "forced close"
    assert manager.ready_state == "closed"


def test_a_manager_that_cannot_connect() -> None:
    with refusing_port() as port:
        manager = telex.sync.Manager(f"http://127.0.0.1:{port}", reconnection=False)
        with pytest.raises(ConnectError):
            manager.connect()


def test_an_engine(server: Counterpart) -> None:
    with telex.sync.connect_engine(server.url(), path="/socket.io") as engine:
        assert (engine.ready_state, engine.protocol) == ("open", 4)
        assert engine.id is not None
        assert engine.transport is not None
        assert engine.transport.name in {"polling", "websocket"}
        seen: queue.SimpleQueue[object] = queue.SimpleQueue()
        engine.on("close", seen.put)
        engine.send("0")
        assert str(engine.receive(timeout=10)).startswith('0{"sid":')
        engine.send('21["answer","a"]')
        assert engine.receive(timeout=10) == '31["a"]'
        engine.send('2["throw me out"]')
        assert engine.receive(timeout=10) == "1"
        with pytest.raises(TimeoutError):
            engine.receive(timeout=0.01)
    assert engine.ready_state == "closed"
    assert list(engine) == []
    assert seen.get(timeout=10) == "forced close"


def test_an_engine_that_cannot_connect() -> None:
    with refusing_port() as port, pytest.raises(ConnectError, match="xhr poll error"):
        telex.sync.connect_engine(f"http://127.0.0.1:{port}")


# -- where it may be called ------------------------------------------------------------------


async def test_not_where_an_event_loop_runs(telex_server: Counterpart) -> None:
    url = telex_server.url()
    with pytest.raises(ConfigurationError, match=r"use telex\.connect"):
        telex.sync.connect(url)
    with pytest.raises(ConfigurationError, match=r"use telex\.connect"):
        telex.sync.connect_engine(url)
    with pytest.raises(ConfigurationError, match=r"use telex\.connect"):
        telex.sync.Manager(url)
    socket = await asyncio.to_thread(telex.sync.connect, url, force_new=True)
    for call in (socket.connect, socket.receive, lambda: socket.emit("echo"), socket.disconnect):
        with pytest.raises(ConfigurationError, match=r"use telex\.connect"):
            call()
    await asyncio.to_thread(socket.disconnect)


def test_many_threads_at_once(server: Counterpart) -> None:
    with telex.sync.connect(server.url(), force_new=True) as socket:

        def work(number: int) -> list[Any]:
            return [socket.emit_with_ack("answer", number, n, timeout=20) for n in range(20)]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))
        assert found == [[(number, n) for n in range(20)] for number in range(8)]


def test_receivers_share_the_events(socket: ClientSocket) -> None:
    found: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    def receive() -> None:
        for event in socket:
            found.put(event)

    receivers = [threading.Thread(target=receive) for _ in range(4)]
    for receiver in receivers:
        receiver.start()
    socket.emit("push", 40)
    assert sorted(found.get(timeout=10)[1] for _ in range(40)) == list(range(40))
    socket.disconnect()
    for receiver in receivers:
        receiver.join(10)
        assert not receiver.is_alive()


def test_disconnecting_while_others_wait(socket: ClientSocket) -> None:
    def fails() -> str:
        try:
            socket.emit_with_ack("nobody handles this")
        except Disconnected as error:
            return error.reason
        return "it did not"

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(fails) for _ in range(2)] + [pool.submit(socket.wait)]
        until(lambda: sum(each.running() for each in waiting) == 3)
        assert socket.emit_with_ack("answer", 1) == 1
        socket.disconnect()
        assert [each.result(10) for each in waiting] == ["io client disconnect"] * 3


def test_clients_come_and_go_in_many_threads(telex_server: Counterpart) -> None:
    """The loop's thread ends with the last client and begins with the next, at any time."""

    def work(number: int) -> list[Any]:
        found: list[Any] = []
        for _ in range(4):
            url = telex_server.url()
            with telex.sync.connect(url, force_new=True, transports=["websocket"]) as socket:
                found.append(socket.emit_with_ack("answer", number, timeout=20))
        return found

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [[number] * 4 for number in range(4)]


def test_a_client_that_nobody_uses_keeps_no_thread(telex_server: Counterpart) -> None:
    socket = telex.sync.connect(telex_server.url(), auto_connect=False)
    socket.on("event", print)
    assert threads()
    del socket
    gc.collect()
    until(lambda: not threads())


def test_a_silent_server_and_a_limit() -> None:
    with silent_port() as port, pytest.raises(ConnectError, match="timeout"):
        telex.sync.connect(f"http://127.0.0.1:{port}", timeout=0.05)


def test_tasks_of_a_socket(socket: ClientSocket) -> None:
    async def work(result: int) -> int:
        await asyncio.sleep(0)
        return 1 // result

    assert socket.spawn(work(1)).result(10) == 1
    with pytest.raises(ZeroDivisionError):
        socket.spawn(work(0)).result(10)
    endless = socket.spawn(asyncio.Event().wait())
    socket.disconnect()
    until(endless.cancelled)


def test_what_it_looks_like(socket: ClientSocket) -> None:
    assert repr(socket) == "<telex.sync.ClientSocket '/' connected>"
    assert repr(socket.io).startswith("<telex.sync.Manager 127.0.0.1:")
    assert repr(socket.io.engine).startswith("<telex.sync.ClientEngine 127.0.0.1:")
    assert socket.recovered is False
