"""The snippets of the Socket.IO 2 documentation, in Python.

    python examples/seed_v2.py

serves all of them on http://127.0.0.1:3000, for clients of every generation. Each function holds
the snippets of one section; ``create`` puts them together into one application.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from telex import Ack, ConnectError, Request, Server, Socket
from telex.adapter.base import AdapterHost
from telex.adapter.memory import InMemoryAdapter

INDEX = b"""<!doctype html>
<script src="/socket.io/socket.io.js"></script>
<script>
  const socket = io();
  socket.on("news", (data) => {
    console.log(data);
    socket.emit("my other event", { my: "data" });
  });
</script>
"""


async def index(scope: Any, receive: Any, send: Any) -> None:
    """The page: any ASGI application will do (FastAPI, Starlette, Django, ...)."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    html = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": html})
    await send({"type": "http.response.body", "body": INDEX})


# -- How to use ---------------------------------------------------------------------------------


def with_a_web_server(io: Server) -> None:
    """`require('socket.io')(app)`: here `Server(app)`, or `Server()` and `io.attach(app)`."""
    io.attach(index)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("news", {"hello": "world"})

        @socket.on("my other event")
        def my_other_event(data: Any) -> None:
            print(data)


def sending_and_receiving_events(io: Server) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        io.emit("this", {"will": "be received by everyone"})

        @socket.on("private message")
        def private_message(sender: str, text: str) -> None:
            print("I received a private message by", sender, "saying", text)

        @socket.on("disconnect")
        def disconnect() -> None:
            io.emit("user disconnected")


def restricting_yourself_to_a_namespace(io: Server) -> None:
    def talking(socket: Socket) -> None:
        socket.emit("a message", {"that": "only", "/chat": "will get"})
        chat.emit("a message", {"everyone": "in", "/chat": "will get"})

    def reading(socket: Socket) -> None:
        socket.emit("item", {"news": "item"})

    chat = io.of("/chat").on("connection", talking)
    io.of("/news").on("connection", reading)


def sending_volatile_messages(io: Server) -> None:
    """`setInterval` becomes a task that ends with its socket."""

    async def get_bieber_tweet() -> str:
        await asyncio.sleep(0)
        return "baby, baby, baby"

    @io.of("/tweets").on("connection")
    def connection(socket: Socket) -> None:
        async def tweets() -> None:
            while True:
                await asyncio.sleep(0.1)
                socket.volatile.emit("bieber tweet", await get_bieber_tweet())

        socket.spawn(tweets())


def acknowledgements(io: Server) -> None:
    """The callback's place is taken by the return value, or by a parameter `telex.Ack`."""

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("ferret")
        def ferret(name: str) -> str:
            return "woot"

        @socket.on("ferret with a function")
        def ferret_with_a_function(name: str, fn: Ack) -> None:
            fn("woot")


def broadcasting_messages(io: Server) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.broadcast.emit("user connected")

        @socket.on("message")
        def message(text: str) -> None:
            socket.send("you said " + text)


# -- Server -------------------------------------------------------------------------------------


def ways_to_make_a_server() -> list[Server]:
    """Durations are seconds; `io.run()` or `await io.listen()` begins to serve."""
    attached = Server(path="/test", serve_client=False)
    attached.attach(index)
    return [
        Server(),
        Server(index, path="/test", serve_client=False, ping_interval=10, ping_timeout=5),
        Server(3000, path="/test", serve_client=False, ping_interval=10, cookie=False),
        attached,
        Server(index, allow_upgrades=True, transports=["polling", "websocket"]),
    ]


def adapter(host: AdapterHost) -> InMemoryAdapter:
    return InMemoryAdapter(host)


def settings_by_property() -> Server:
    """What Node sets by method is set by property, before the first connection."""
    io = Server()
    io.serve_client = False
    io.path = "/myownpath"
    io.adapter = adapter
    io.origins = ["foo.example.com:443", "https://foo.example.com:443"]
    return io


def origins_by_function() -> Server:
    def allowed(origin: str, request: Request) -> bool:
        return origin == "https://foo.example.com"

    return Server(origins=allowed)


def ids_by_function() -> Server:
    """Ids of one's own; `id_source="engine"` makes them the ids of sockets, as in Socket.IO 2."""
    io = Server(id_source="engine")
    custom_id = iter(range(1, 1_000_000))
    io.engine.generate_id = lambda request: f"custom:id:{next(custom_id)}"
    return io


async def closing() -> bool:
    """The port is free as soon as `close` has returned."""
    io = Server()
    await io.listen(port=0)
    port = io.port
    await io.close()
    io = Server(index)
    await io.listen(port=port)
    again = io.port == port
    await io.close()
    return again


# -- Namespace ----------------------------------------------------------------------------------


def namespaces(io: Server) -> None:
    admin = io.of("/admin")

    @admin.on("connect")
    async def connect(socket: Socket) -> None:
        await socket.join("level1")
        admin.to("level1").emit("an event", {"some": "data"})
        admin.volatile.emit("an event", {"some": "data"})  # the clients may or may not receive it
        admin.local.emit("an event", {"some": "data"})
        admin.binary(False).emit("an event", {"some": "data"})

    @admin.event
    async def clients(socket: Socket) -> list[list[str]]:
        """Ids: of a namespace, of a room in it, of the main namespace."""
        return [
            await admin.clients(),
            await admin.in_("level1").clients(),
            await io.clients(),
        ]


def dynamic_namespaces(io: Server) -> None:
    dynamic = io.of(re.compile(r"\A/dynamic-[0-9]+\Z"))

    @dynamic.on("connect")
    def connect(socket: Socket) -> None:
        new_namespace = socket.nsp  # new_namespace.name == "/dynamic-101"
        new_namespace.emit("hello")
        dynamic.emit("hello")  # to all clients in each of them

    @dynamic.use
    def middleware(socket: Socket) -> None: ...

    def check_token(name: str, query: Any) -> bool:
        return name.startswith("/token/") and query.get("token") == "abc"

    io.of(check_token)


def namespace_middleware(io: Server) -> None:
    """Returning goes on, raising refuses; there is no `next`."""

    @io.of("/cookies").use
    def need_cookie(socket: Socket) -> None:
        if "cookie" not in socket.request.headers:
            raise ConnectError("Authentication error")


# -- Socket -------------------------------------------------------------------------------------


def rooms(io: Server) -> None:
    @io.of("/rooms").on("connection")
    async def connection(socket: Socket) -> None:
        await socket.join("room 237")
        print(list(socket.rooms))  # [<socket.id>, "room 237"]
        io.of("/rooms").to("room 237").emit("a new user has joined the room")

        socket.join("room1").join(["room2", "others"]).leave("others")
        socket.to("others").emit("an event", {"some": "data"})
        socket.to("room1").to("room2").emit("hello")

        @socket.on("say to someone")
        def say_to_someone(identity: str, text: str) -> None:
            socket.to(identity).emit("my message", text)

        @socket.on("disconnecting")
        def disconnecting(reason: str) -> None:
            for room in socket.rooms:
                socket.to(room).emit("is leaving", room, reason)


def handshakes(io: Server) -> None:
    """`handshake.eos` is filled by `Server(handshake_extra=...)`, see `create`."""

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("handshake")
        def handshake() -> dict[str, Any]:
            user = socket.handshake.eos["user"]
            print(user["acoid"], user["nickname"], socket.remote_address)
            return {**socket.handshake.to_dict(), "user": user, "remote": socket.remote_address}


def packet_middleware(io: Server) -> None:
    """Refusals fire `error` here, and reach clients of Socket.IO 2 as their `error`."""

    @io.of("/doge").on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        def only_doge(event: str, args: list[Any]) -> None:
            if args[0]["doge"] is not True:
                raise ValueError("Not a doge error")

        @socket.on("error")
        def error(error: Exception) -> None:
            print("refused:", error)

        @socket.on("wow")
        def wow(packet: Any) -> str:
            return "such event"


def emitting(io: Server) -> None:
    @io.of("/emits").on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("hello", "world")
        socket.emit("with-binary", 1, "2", {3: "4", 5: bytes(6)})
        socket.compress(False).emit("uncompressed", "that's rough")
        socket.binary(False).emit("an event", {"some": "data"})
        socket.volatile.emit("an event", {"some": "data"})
        socket.broadcast.emit("an event", {"some": "data"})  # everyone gets it but the sender

        def answered(data: str) -> None:
            print(data)  # "woot"
            socket.emit("it said", data)

        socket.emit("ferret", "tobi", ack=answered)

        @socket.on("ask me")
        async def ask_me() -> None:
            socket.emit("it said", await socket.emit_with_ack("chat", "hello", timeout=5))


def listening(io: Server) -> None:
    @io.of("/listeners").on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("news")
        def news(*args: Any) -> int:
            return len(args)  # several arguments, and the acknowledgement

        @socket.once("once")
        def once() -> str:
            return "the first time"

        def never(*args: Any) -> None: ...

        socket.on("removed", never).remove_listener("removed", never)
        socket.on("all removed", never).remove_all_listeners("all removed")

        @socket.on("event names")
        def event_names() -> list[str]:
            return socket.event_names()


def disconnecting(io: Server) -> None:
    @io.of("/short").on("connection")
    def connection(socket: Socket) -> None:
        async def later() -> None:
            await asyncio.sleep(0.05)
            socket.disconnect(True)

        socket.spawn(later())

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            io.emit("has left", reason)


# -- The chat at the end ------------------------------------------------------------------------


def chatting(io: Server) -> None:
    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.broadcast.emit("hi", f"I'm coming, my name: client_{socket.id}.")

        @socket.on("req")
        def req(message: str) -> str:
            return "hello world"

        @socket.on("chat")
        def chat(message: str) -> None:
            io.emit("chat", f"client_{socket.id} says: {message}")


def users(request: Request) -> dict[str, Any]:
    """What the host knows of a request: the user who is logged in."""
    return {"eos": {"user": {"acoid": "1", "nickname": request.headers.get("x-user", "guest")}}}


def create() -> Server:
    io = Server(handshake_extra=users, origins="*", ping_interval=25, ping_timeout=20)
    for snippets in (
        with_a_web_server,
        sending_and_receiving_events,
        restricting_yourself_to_a_namespace,
        sending_volatile_messages,
        acknowledgements,
        broadcasting_messages,
        namespaces,
        dynamic_namespaces,
        namespace_middleware,
        rooms,
        handshakes,
        packet_middleware,
        emitting,
        listening,
        disconnecting,
        chatting,
    ):
        snippets(io)
    return io


@asynccontextmanager
async def serving(io: Server) -> AsyncGenerator[str]:
    """Serve on a free port; for trying things out."""
    await io.listen(port=0)
    try:
        yield f"http://127.0.0.1:{io.port}"
    finally:
        await io.close()


if __name__ == "__main__":
    create().run(port=3000)
