"""Handlers: in order, beside each other, in threads, typed, as methods, and when they fail."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

import msgspec
import pytest
from pydantic import BaseModel

from telex import Ack, ConfigurationError, NamespaceHandlers, Server, Socket
from tests.features.scripts import Calls, Page, Site


async def test_events_of_a_socket_are_handled_in_order(site: Site) -> None:
    """A handler that waits holds back the next event of its socket, and of no other."""
    io = Server()
    seen: list[Any] = []
    go_on = asyncio.Event()

    @io.event
    async def slow(socket: Socket, number: int) -> None:
        seen.append(("begin", number))
        await go_on.wait()
        seen.append(("end", number))

    @io.event
    def fast(socket: Socket, number: int) -> None:
        seen.append(("fast", number))
        socket.emit("done")
        go_on.set()

    page = await site.page(io)
    await page.run("""
        const ana = await connect();
        const ben = await connect();
        ana.emit("slow", 1);
        ana.emit("slow", 2);
        ana.emit("fast", 3);
        await sleep(20);
        ben.emit("fast", 4);
        await until(ben, "done");
        await until(ana, "done");
    """)
    assert seen == [
        ("begin", 1),
        ("fast", 4),
        ("end", 1),
        ("begin", 2),
        ("end", 2),
        ("fast", 3),
    ]


async def test_concurrent_handlers_do_not_wait(site: Site) -> None:
    io = Server()
    seen: list[Any] = []
    release = asyncio.Event()

    @io.event
    async def slow(_: Socket) -> str:
        seen.append("slow begins")
        await release.wait()
        seen.append("slow ends")
        return "slow"

    @io.event(concurrent=True)
    async def beside(_: Socket) -> str:
        seen.append("beside")
        release.set()
        return "beside"

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("own", concurrent=True)
        async def own() -> str:
            await asyncio.sleep(0)
            return "own"

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        const answers = ["slow", "own", "beside"].map((name) => socket.emitWithAck(name));
        return await Promise.all(answers);
    """) == ["slow", "own", "beside"]
    assert seen == ["slow begins", "beside", "slow ends"]


async def test_handlers_in_threads(site: Site) -> None:
    """A blocking function harms nobody there."""
    io = Server()

    @io.event(thread=True)
    def blocking(_: Socket, value: int) -> list[Any]:
        return [value, threading.current_thread() is threading.main_thread()]

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("own", thread=True)
        def own() -> bool:
            return threading.current_thread() is threading.main_thread()

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        return [await socket.emitWithAck("blocking", 5), await socket.emitWithAck("own")];
    """) == [[5, False], False]
    with pytest.raises(ConfigurationError, match="thread"):

        @io.event(thread=True)
        async def wrong(_: Socket) -> None: ...


@dataclass
class Point:
    x: int
    y: float = 0.5


class Message(TypedDict):
    text: str
    tags: list[str]


class User(BaseModel):
    name: str
    age: int


class Order(msgspec.Struct):
    article: str
    count: int
    when: datetime


def typed(io: Server) -> None:
    @io.event
    def point(_: Socket, point: Point) -> str:
        return f"{type(point).__name__} {point.x} {point.y}"

    @io.event
    async def message(_: Socket, message: Message, kind: Literal["a", "b"] = "a") -> str:
        return f"{message['text']} {len(message['tags'])} {kind}"

    @io.event
    def order(_: Socket, order: Order) -> str:
        return f"{order.article} {order.count} {order.when.year}"

    @io.event
    def file(_: Socket, name: str, content: bytes) -> int:
        return len(content)

    @io.event
    def union(_: Socket, value: int | str | None, ack: Ack) -> None:
        ack(repr(value))

    @io.event
    def untyped(_: Socket, *args: Any) -> int:
        return len(args)


CALL = "return await page.socket.emitWithAck(...args)"


async def call(page: Page, *args: Any) -> Any:
    return await page.run(CALL, args=list(args))


async def test_typed_parameters(site: Site) -> None:
    """Dataclasses, TypedDict, msgspec types, literals, unions, bytes."""
    io = Server()
    typed(io)
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    assert await call(page, "point", {"x": 1, "y": 2.5}) == "Point 1 2.5"
    assert await call(page, "point", {"x": 1}) == "Point 1 0.5"
    assert await call(page, "message", {"text": "hi", "tags": ["a"]}, "b") == "hi 1 b"
    assert await call(page, "message", {"text": "hi", "tags": []}) == "hi 0 a"
    when = "2031-01-02T03:04:05Z"
    assert await call(page, "order", {"article": "tea", "count": 2, "when": when}) == "tea 2 2031"
    assert await call(page, "file", "a.txt", b"12345") == 5
    assert await call(page, "union", "text") == "'text'"
    assert await call(page, "union", None) == "None"
    assert await call(page, "untyped", 1, [2], {"3": 4}) == 3


async def test_payloads_that_do_not_fit(site: Site) -> None:
    """Answered with the place of the mistake; the handler does not run, `error` is fired."""
    io = Server()
    typed(io)
    errors = Calls()
    io.event("error")(errors)
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    mistakes: list[tuple[tuple[Any, ...], str]] = [
        (("point", {"x": "1"}), "point.x"),
        (("point", {}), "x"),
        (("point",), "expected 1 argument, got 0"),
        (("message", {"text": "hi", "tags": ["a", 5]}), "message.tags[1]"),
        (("message", {"text": "hi", "tags": []}, "c"), "kind"),
        (("order", {"article": "tea", "count": 2, "when": "yesterday"}), "order.when"),
        (("file", "a.txt", "text"), "content"),
        (("union", [1]), "value"),
    ]
    for args, place in mistakes:
        answer = await call(page, *args)
        assert answer["error"]["type"] == "ValidationError", args
        assert place in answer["error"]["message"], answer
        assert "yesterday" not in answer["error"]["message"]
    assert len(errors.all) == 8
    assert await call(page, "point", {"x": 1}) == "Point 1 0.5"


async def test_pydantic_models(site: Site) -> None:
    """Where pydantic is installed."""
    io = Server()

    @io.event
    def user(_: Socket, user: User) -> list[Any]:
        return [type(user).__name__, user.name, user.age]

    page = await site.page(io)
    await page.run("page.socket = await connect()")
    assert await call(page, "user", {"name": "ana", "age": "30"}) == ["User", "ana", 30]
    answer = await call(page, "user", {"name": "ana", "age": "thirty"})
    assert answer["error"]["type"] == "ValidationError"
    assert "user.age" in answer["error"]["message"]
    assert "thirty" not in answer["error"]["message"]


async def test_annotations_that_cannot_be_checked() -> None:
    io = Server()
    with pytest.raises(ConfigurationError, match="'lock' cannot be checked"):

        @io.event
        def wrong(socket: Socket, lock: threading.Event | int | asyncio.Event) -> None: ...


async def test_more_arguments_than_parameters(site: Site) -> None:
    """Are dropped, as in JavaScript."""
    io = Server()

    @io.event
    def one(_: Socket, value: Any) -> Any:
        return value

    page = await site.page(io)
    await page.run("page.socket = await connect()")
    assert await call(page, "one", "first", "second", 3) == "first"


async def test_handlers_that_fail(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback, `error` the exception, the client a neutral answer."""
    io = Server()
    errors = Calls()
    io.event("error")(errors)

    @io.event
    def plain(_: Socket) -> None:
        raise RuntimeError("password one")

    @io.event
    async def later(_: Socket) -> None:
        await asyncio.sleep(0)
        raise KeyError("password two")

    @io.event
    def strange(_: Socket) -> object:
        return object()

    page = await site.page(io)
    await page.run("page.socket = await connect()")
    neutral = {"error": {"type": "HandlerError", "message": "the handler failed"}}
    for event in ("plain", "later", "strange"):
        assert await call(page, event) == neutral
    await page.run("page.socket.emit('plain')")
    assert await call(page, "plain") == neutral
    assert "password one" in caplog.text
    assert "password two" in caplog.text
    assert "Traceback" in caplog.text
    kinds = [type(error).__name__ for _, error in errors.all]
    assert kinds == ["RuntimeError", "KeyError", "EncodeError", "RuntimeError", "RuntimeError"]
    assert (await page.run("return page.socket.connected")) is True


class NotFound(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


async def test_exception_handlers(site: Site) -> None:
    """What answers when a handler raises a type, or one of its bases."""
    io = Server()

    @io.exception_handler(NotFound)
    async def not_found(socket: Socket, error: NotFound) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"not found": error.what, "by": socket.nsp.name}

    @io.exception_handler(LookupError)
    def lookup(socket: Socket, error: LookupError) -> str:
        return type(error).__name__

    @io.event
    async def find(_: Socket, what: str) -> None:
        raise NotFound(what)

    @io.event
    def key(_: Socket) -> None:
        raise KeyError("a")

    @io.event
    def other(_: Socket) -> None:
        raise ValueError("not handled")

    page = await site.page(io)
    await page.run("page.socket = await connect()")
    assert await call(page, "find", "tea") == {"not found": "tea", "by": "/"}
    assert await call(page, "key") == "KeyError"
    assert (await call(page, "other"))["error"]["type"] == "HandlerError"
    wrong: Any = "NotFound"
    with pytest.raises(ConfigurationError, match="exception type"):
        io.exception_handler(wrong)(lookup)


class Chat(NamespaceHandlers):
    """Handlers as methods."""

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting
        self.gone = Calls()

    def on_connection(self, socket: Socket) -> None:
        socket.join("room")
        socket.emit("greeting", self.greeting)

    async def on_message(self, socket: Socket, text: str) -> str:
        await asyncio.sleep(0)
        socket.to("room").emit("message", text)
        return text.upper()

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.gone(socket.id, reason)

    def helper(self) -> None:
        raise AssertionError("no client can call this")


async def test_class_based_namespaces(site: Site) -> None:
    io = Server()
    chat = Chat("welcome")
    assert io.register("/chat", chat) is io.of("/chat")
    page = await site.page(io)
    identity, answer, told, greeting = await page.run("""
        const [ana, ben] = [await connect("/chat"), await connect("/chat")];
        for (const name of ["helper", "on_message", "__init__", "connection"]) ana.emit(name);
        const told = once(ben, "message");
        const answer = await ana.emitWithAck("message", "hi");
        ben.emit("message", "done?");
        const { id } = ana;
        const result = [id, answer, (await told)[0], await until(ana, "message")];
        ana.disconnect();
        return result;
    """)
    assert answer == "HI"
    assert told == "hi"
    assert greeting == [["greeting", "welcome"]]
    assert await chat.gone.next() == (identity, "client namespace disconnect")
    wrong: Any = Chat
    with pytest.raises(ConfigurationError, match=r"Chat\(\)"):
        io.register("/chat", wrong)


async def test_signatures_that_cannot_work() -> None:
    """Are named when the handler is registered, not when the first client calls."""
    io = Server()

    def no_parameters() -> None: ...

    def keyword(socket: Socket, *, needed: int) -> None: ...

    def ack_first(socket: Socket, ack: Ack, value: int) -> None: ...

    for function in (no_parameters, keyword, ack_first, "text"):
        wrong: Any = function
        with pytest.raises(ConfigurationError):
            io.event("x")(wrong)


async def test_an_event_of_clients_whose_handler_waits_for_the_server(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """`io.on` does not hear clients; that is said once, when the first of them calls."""
    io = Server()

    @io.on("chat")
    def chat(text: str) -> None:
        raise AssertionError("never called by clients")

    page = await site.page(io)
    await page.run("""
        const ana = await connect();
        ana.emit("chat", "hello");
        ana.emit("chat", "anybody?");
        ana.emit("connection");
        ana.emit("else");
        await sleep(50);
    """)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "'chat'" in warnings[0]
    assert "event()" in warnings[0]


@pytest.mark.parametrize("seconds", [0, -1, "5", None, True])
def test_limits_of_time_are_numbers(seconds: Any) -> None:
    """Not when the time is up, but where the mistake is."""
    io = Server()
    with pytest.raises(ConfigurationError, match="timeout must be a positive number"):
        io.timeout(seconds)
    with pytest.raises(ConfigurationError, match="timeout must be a positive number"):
        io.to("room").timeout(seconds)
