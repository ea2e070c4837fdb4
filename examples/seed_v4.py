"""The snippets of the Socket.IO 4 documentation about the socket instance, in Python.

    python examples/seed_v4.py

serves them on http://127.0.0.1:3000.
"""

from __future__ import annotations

import asyncio
from typing import Any

from telex import ConnectError, Server, Socket

io = Server(origins="*")


# -- socket.id: twenty random characters, the same on both sides, and a room --------------------


@io.on("connection")
def connection(socket: Socket) -> None:
    print(socket.id)  # ojIckSD2jqNzOqIrAGzL

    @socket.on("private message")
    def private_message(another_socket_id: str, text: str) -> None:
        socket.to(another_socket_id).emit("private message", socket.id, text)


# -- socket.handshake, socket.rooms, socket.data ------------------------------------------------


@io.event
def handshake(socket: Socket) -> dict[str, Any]:
    """headers, query, auth, time, issued, url, address, xdomain, secure."""
    return socket.handshake.to_dict()


@io.event
def rooms(socket: Socket) -> list[list[str]]:
    before = list(socket.rooms)  # [<socket.id>]
    socket.join("room1")
    after = list(socket.rooms)  # [<socket.id>, "room1"]
    return [before, after]


@io.event
def alice(socket: Socket) -> None:
    socket.data["username"] = "alice"


@io.event
async def usernames(_: Socket) -> list[str | None]:
    """`fetch_sockets` shows the data of sockets on all servers."""
    sockets = await io.fetch_sockets()
    return [socket.data.get("username") for socket in sockets]


# -- socket.conn: the connection below ----------------------------------------------------------


@io.on("connection")
def watch_connection(socket: Socket) -> None:
    seen: list[Any] = [("initial transport", socket.conn.transport.name)]  # "polling"
    socket.data["seen"] = seen

    @socket.conn.once("upgrade")
    def upgrade() -> None:
        # from HTTP long-polling to WebSocket
        seen.append(("upgraded transport", socket.conn.transport.name))  # "websocket"

    @socket.conn.on("packet")
    def packet(packet: dict[str, Any]) -> None:
        seen.append(("packet", packet["type"]))  # for each packet received

    @socket.conn.on("packet_create")
    def packet_create(packet: dict[str, Any]) -> None:
        seen.append(("packet_create", packet["type"]))  # for each packet sent

    @socket.conn.on("drain")
    def drain() -> None:
        seen.append(("drain",))  # when the write buffer is drained

    @socket.conn.on("close")
    def close(reason: str) -> None:
        print("connection closed:", reason)

    @socket.on("seen")
    def what_was_seen() -> list[Any]:
        return list(seen)


# -- Attributes of one's own, and middleware ----------------------------------------------------


async def fetch_user(socket: Socket) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"id": socket.handshake.auth["user"]}


@io.of("/users").use
async def authenticate(socket: Any) -> None:
    """Returning lets the socket in, raising refuses it: there is no `next`."""
    try:
        socket.user = await fetch_user(socket)
    except KeyError:
        raise ConnectError("unknown user") from None


@io.of("/users").on("connection")
def user_connected(socket: Any) -> None:
    socket.emit("you are", socket.user)


@io.of("/users").event("set username")
def set_username(socket: Any, username: str) -> str:
    socket.username = username
    return f"{socket.user['id']} is {socket.username}"


# -- Socket middlewares: for every incoming packet ----------------------------------------------


@io.of("/guarded").on("connection")
def guard(socket: Socket) -> None:
    @socket.use
    def authorize(event: str, args: list[Any]) -> None:
        if event == "forbidden":
            raise PermissionError("unauthorized event")

    @socket.on("error")
    def error(error: Exception) -> None:
        if str(error) == "unauthorized event":
            socket.disconnect()

    @socket.on("allowed")
    def allowed(value: Any) -> Any:
        return value


# -- disconnecting and disconnect ---------------------------------------------------------------

reasons: list[str] = []


@io.of("/leaving").on("connection")
def leaving(socket: Socket) -> None:
    socket.join(["room1", "room2"])

    @socket.on("disconnecting")
    def disconnecting(reason: str) -> None:
        for room in socket.rooms:
            if room != socket.id:
                socket.to(room).emit("user has left", socket.id)

    @socket.on("disconnect")
    def disconnect(reason: str) -> None:
        # server namespace disconnect, client namespace disconnect, server shutting down,
        # ping timeout, transport close, transport error
        reasons.append(reason)


@io.event
def bad(socket: Socket) -> str:
    try:
        socket.emit("disconnect")  # BAD, will throw an error
    except ValueError as error:
        return str(error)
    return "no error"


if __name__ == "__main__":
    io.run(port=3000)
