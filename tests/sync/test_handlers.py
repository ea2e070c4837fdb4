"""Handlers of a blocking socket: in order, beside the loop, free to block."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import telex
from telex import Ack, ConfigurationError
from telex.sync import ClientSocket
from tests.client.counterparts import Counterpart
from tests.sync.waiting import until

Seen = queue.SimpleQueue[Any]


@pytest.fixture
def seen() -> Seen:
    """What the handlers of a test have seen."""
    return queue.SimpleQueue()


def ask(socket: ClientSocket, *args: object) -> Any:
    """Let the server emit `question`, and tell what it is answered."""
    socket.emit("ask", *args)
    event, answer = socket.receive(timeout=10)
    assert event == "answered"
    return answer


@pytest.fixture(params=["telex", "socket.io-4"])
def anywhere(request: pytest.FixtureRequest, counterparts: Any) -> Iterator[ClientSocket]:
    """A socket that is connected to a server of telex, then to one of Node."""
    server: Counterpart = counterparts[request.param]
    with telex.sync.connect(server.url(), force_new=True) as socket:
        yield socket


def test_handlers_may_block(anywhere: ClientSocket) -> None:
    """A handler waits for the server with the very socket whose event it handles."""

    @anywhere.on("question")
    def question(number: int) -> Any:
        first = anywhere.emit_with_ack("answer", number + 1, timeout=10)
        return anywhere.timeout(10).emit_with_ack("answer", first + 1)

    assert ask(anywhere, 1) == [3]


def test_handlers_run_in_order_in_one_thread(anywhere: ClientSocket, seen: Seen) -> None:
    @anywhere.on("number")
    def number(number: int) -> None:
        anywhere.emit_with_ack("answer later", 1 if number % 3 else 10, timeout=10)
        seen.put((number, threading.current_thread().name))

    anywhere.emit("push", 10)
    found = [seen.get(timeout=10) for _ in range(10)]
    assert found == [(number, "telex handlers") for number in range(10)]


def test_concurrent_handlers_do_not_wait(socket: ClientSocket, seen: Seen) -> None:
    later = threading.Event()

    @socket.on("number", concurrent=True)
    def number(number: int) -> None:
        if number == 0:
            assert later.wait(10)
        elif number == 1:
            later.set()
        seen.put(number)

    socket.emit("push", 2)
    assert {seen.get(timeout=10), seen.get(timeout=10)} == {0, 1}


def test_what_handlers_return(socket: ClientSocket) -> None:
    results: list[Any] = [None, 5, ("several", "values"), asyncio.sleep(0, "of a coroutine")]

    @socket.event
    def question(which: int) -> Any:
        return results[which]

    assert [ask(socket, n) for n in range(4)] == [
        [],
        [5],
        ["several", "values"],
        ["of a coroutine"],
    ]


def test_acks_may_be_called_anywhere(socket: ClientSocket) -> None:
    @socket.event("question")
    def question(number: int, ack: Ack) -> None:
        threading.Thread(target=ack, args=[number, "from a thread"]).start()

    assert ask(socket, 1) == [1, "from a thread"]


def test_async_handlers_run_on_the_loop(socket: ClientSocket, seen: Seen) -> None:
    @socket.on("question")
    async def question(number: int) -> str:
        assert threading.current_thread().name == "telex loop"
        await asyncio.sleep(0)
        socket.emit("echo", number)  # what need not wait may be called
        try:
            socket.emit_with_ack("answer", 1)
        except ConfigurationError as error:
            return str(error)
        return "it did not fail"

    socket.on("echo", seen.put)
    [answer] = ask(socket, 7)
    assert "plain function" in answer
    assert seen.get(timeout=10) == 7


def test_an_async_handler_may_leave(socket: ClientSocket) -> None:
    @socket.on("number")
    async def number(_: int) -> None:
        socket.disconnect()

    socket.emit("push", 1)
    assert socket.wait(timeout=10) == "io client disconnect"


def test_a_handler_may_leave_and_come_back(socket: ClientSocket, seen: Seen) -> None:
    @socket.on("number")
    def number(_: int) -> None:
        socket.disconnect()
        seen.put(socket.connected)
        socket.connect()
        seen.put(socket.connected)

    socket.emit("push", 1)
    assert [seen.get(timeout=10), seen.get(timeout=10)] == [False, True]


def test_handlers_that_fail(
    socket: ClientSocket, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "telex")
    failures: list[BaseException] = [ZeroDivisionError(), StopIteration(), SystemExit(3)]

    @socket.on("question")
    def question(which: int) -> None:
        raise failures[which]

    socket.on("error", seen.put)
    neutral = [{"error": {"type": "HandlerError", "message": "the handler failed"}}]
    assert [ask(socket, n) for n in range(3)] == [neutral] * 3
    assert isinstance(seen.get(timeout=10), ZeroDivisionError)
    for _ in range(2):
        assert isinstance(seen.get(timeout=10), RuntimeError)


def test_failures_are_logged(socket: ClientSocket, caplog: pytest.LogCaptureFixture) -> None:
    @socket.on("question")
    def question() -> None:
        raise ValueError("what the handler raised")

    ask(socket)
    socket.emit("answer", 1, ack=question)
    until(lambda: len(caplog.records) == 2)
    handler, callback = caplog.records
    assert handler.exc_info is not None
    assert "what the handler raised" in str(handler.exc_info[1])
    assert callback.exc_info is not None
    caplog.clear()


def test_exception_handlers(socket: ClientSocket) -> None:
    @socket.exception_handler(LookupError)
    def explain(error: LookupError) -> Any:
        return socket.emit_with_ack("answer", f"no {error.args[0]}", timeout=10)

    @socket.exception_handler(ArithmeticError)
    async def explain_later() -> str:
        await asyncio.sleep(0)
        return "no such number"

    @socket.on("question")
    def question(which: str) -> None:
        raise KeyError(which) if which else ZeroDivisionError

    assert ask(socket, "key") == ["no key"]
    assert ask(socket, "") == ["no such number"]


def test_typed_parameters(socket: ClientSocket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "telex")

    @socket.on("question")
    def question(number: int) -> int:
        return number + 1

    assert ask(socket, 1) == [2]
    [answer] = ask(socket, "one")
    assert answer["error"]["type"] == "ValidationError"


def test_callbacks_are_never_held_back(
    socket: ClientSocket, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler waits until an acknowledgement has come to a callback."""

    @socket.on("question")
    def question() -> str:
        answered = threading.Event()
        socket.emit("answer", ack=answered.set)
        return "in time" if answered.wait(10) else "too late"

    assert ask(socket) == ["in time"]

    def settled(error: Exception | None, *answer: object) -> None:
        seen.put((error, answer))

    socket.timeout(10).emit("answer", 1, ack=settled)
    assert seen.get(timeout=10) == (None, (1,))
    socket.timeout(0.01).emit("nobody handles this", ack=seen.put)
    assert isinstance(seen.get(timeout=10), telex.AckTimeout)

    async def callback(answer: int) -> None:
        await asyncio.sleep(0)
        seen.put(answer)

    def hands_on(answer: int) -> Any:
        return callback(10 // answer)

    caplog.set_level(logging.CRITICAL, "telex")
    socket.emit("answer", 0, ack=hands_on)  # fails, and harms nobody
    socket.emit("answer", 5, ack=hands_on)
    assert seen.get(timeout=10) == 2
    socket.emit("answer", 3, ack=callback)
    assert seen.get(timeout=10) == 3


def test_registering_and_removing(socket: ClientSocket, seen: Seen) -> None:
    def first(*args: object) -> None:
        seen.put(("first", *args))

    def second(*args: object) -> None:
        seen.put(("second", *args))

    assert socket.on("echo", first) is socket
    socket.once("echo", second)
    socket.once("other")(second)
    socket.event(name="third")(second)
    assert socket.event_names() == ["echo", "other", "third"]
    assert socket.listeners("echo") == [first, second]
    for number in (1, 2):
        socket.emit("echo", number)
    assert [seen.get(timeout=10) for _ in range(3)] == [
        ("first", 1),
        ("second", 1),
        ("first", 2),
    ]
    assert socket.listeners("echo") == [first]
    assert socket.off("echo", first) is socket
    assert socket.listeners("echo") == []
    socket.remove_listener("other")
    assert socket.event_names() == ["third"]
    assert socket.remove_all_listeners() is socket
    assert socket.event_names() == []
    socket.emit("echo", 3)
    assert socket.receive(timeout=10) == ["echo", 3]


def test_coroutine_functions_have_no_thread(socket: ClientSocket) -> None:
    async def handler() -> None: ...

    with pytest.raises(ConfigurationError, match="thread"):
        socket.on("event", handler, thread=True)
    socket.on("event", lambda: None, thread=True)


def test_listeners_for_every_event(socket: ClientSocket, seen: Seen) -> None:
    def comes(event: str, *args: object) -> None:
        seen.put(("in", event, *args))

    def earlier(event: str) -> None:
        seen.put(("before", event))

    def goes(event: str, *args: object) -> None:
        seen.put(("out", event, *args))

    socket.on_any(comes)
    socket.prepend_any(earlier)
    assert socket.listeners_any() == [earlier, comes]
    socket.emit("echo", 1)
    assert seen.get(timeout=10) == ("before", "echo")
    assert seen.get(timeout=10) == ("in", "echo", 1)
    assert socket.off_any(comes) is socket
    socket.off_any()
    assert socket.listeners_any() == []

    socket.on_any_outgoing(goes)
    socket.prepend_any_outgoing(earlier)
    assert socket.listeners_any_outgoing() == [earlier, goes]
    socket.emit("echo", 2)
    assert seen.get(timeout=10) == ("before", "echo")
    assert seen.get(timeout=10) == ("out", "echo", 2)
    socket.off_any_outgoing(goes).off_any_outgoing()
    assert socket.listeners_any_outgoing() == []


def test_handlers_of_managers_and_engines_may_block(socket: ClientSocket, seen: Seen) -> None:
    def packet() -> None:
        seen.put(threading.current_thread().name)

    manager = socket.io
    engine = manager.engine
    assert engine is not None
    assert manager.once("packet", packet) is manager
    assert socket.emit_with_ack("answer", 1, timeout=10) == 1
    assert seen.get(timeout=10) == "telex handlers"

    @engine.once("packet")
    def received() -> None:
        seen.put(socket.emit_with_ack("answer", 3, timeout=10))

    assert socket.emit_with_ack("answer", 2, timeout=10) == 2
    assert seen.get(timeout=10) == 3
    manager.on("ping", packet).off("ping", packet).remove_listener("ping")
    with pytest.raises(ConfigurationError, match="no event"):
        manager.on("pong!", packet)


def test_the_last_handlers_still_run(telex_server: Counterpart, seen: Seen) -> None:
    """The loop's thread does not end before the handler that runs, and that of the end."""
    socket = telex.sync.connect(telex_server.url(), force_new=True)
    slow = threading.Event()

    @socket.on("number")
    def number(number: int) -> None:
        seen.put(number)
        assert slow.wait(10)
        seen.put("done")

    @socket.on("disconnect")
    async def gone(reason: str) -> None:
        await asyncio.sleep(0)
        seen.put(reason)

    socket.emit("push", 1)
    assert seen.get(timeout=10) == 0
    socket.disconnect()
    assert seen.empty()
    slow.set()
    assert [seen.get(timeout=10), seen.get(timeout=10)] == ["done", "io client disconnect"]
