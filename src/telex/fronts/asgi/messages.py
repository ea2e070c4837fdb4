"""The messages of ASGI: answers sent, bodies read, and handshakes refused."""

from __future__ import annotations

import asyncio
import contextlib

from ...engine.polling import BAD_REQUEST
from ...engine.session import TOO_BIG
from ...types import HeaderList, Receive, Request, Response, Scope, Send
from ..upgrade import EXTENSION, Upgrade

BODY_TIMEOUT = 30.0
"""How long the body of a POST may take, in seconds."""

REFUSAL_TIMEOUT = 1.0
"""How long the host may take to close a WebSocket that was refused, in seconds."""

DRAIN_FACTOR = 4
"""A body of up to so many times the limit is read and dropped, so that its answer arrives."""

MOST_DIGITS = 15
"""How many digits of a Content-Length are looked at as a number."""


class Disconnected(Exception):
    """The client went away before its request was complete."""


def encode(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def _start(send: Send, response: Response) -> None:
    headers = encode(response.headers)
    if response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


async def respond(send: Send, response: Response) -> None:
    await _start(send, response)
    await send({"type": "http.response.body", "body": response.body})


async def delivered(receive: Receive, send: Send, response: Response) -> bool:
    """Send a large answer; whether the client was there until the host had written it."""
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.sleep(0)  # has it gone already?
        await _start(send, response)
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        # A host that holds back what the client does not read takes this when it has been written.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await asyncio.sleep(0)
        there = not gone.done()  # behind the end of an answer, ASGI says that the client has gone
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return there
    except OSError:  # the host's way to say that the client has gone
        return False
    finally:
        gone.cancel()


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, or ``None`` as soon as it is larger than ``limit``."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        if chunk:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def drain(receive: Receive, limit: int) -> None:
    """Read and drop a body that is a little too large, so that the answer arrives."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while True:
                message = await receive()
                limit -= len(message.get("body", b""))
                done = message["type"] == "http.disconnect" or not message.get("more_body", False)
                if done or limit < 0:
                    return
    except TimeoutError:
        return


async def _refused(receive: Receive) -> None:
    """Return when the host has closed a connection that was refused, or in a while.

    uvicorn says at once that it is going to, and says it again when the connection has
    ended. An application that returns earlier is, to uvicorn, one that has not answered.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await receive()
        async with asyncio.timeout(REFUSAL_TIMEOUT):
            await receive()


async def refuse_websocket(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Refuse before the 101, with status and body where the host can send them."""
    upgrade: Upgrade | None = scope.get("extensions", {}).get(EXTENSION)
    if upgrade is not None:
        upgrade.refuse(response)
        return
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        headers = [*encode(response.headers), (b"connection", b"close")]
        headers.append((b"content-length", str(len(response.body)).encode()))
        status = response.status
        start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": response.body})
        await _refused(receive)
    else:
        await send({"type": "websocket.close", "code": 1008})


def refused_body(request: Request, limit: int) -> Response | None:
    """Refuse a body that will not be read, before it is read."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        return Response(415, [("accept-encoding", "identity")], b"")
    length = request.headers.get("content-length", "")
    if not length:
        return None
    if not (length.isascii() and length.isdigit()):
        return BAD_REQUEST._replace(headers=[("connection", "close")])
    if len(length) > MOST_DIGITS or int(length) > DRAIN_FACTOR * limit:
        return Response(413, [("connection", "close")], TOO_BIG.encode())
    return Response(413, [], TOO_BIG.encode()) if int(length) > limit else None
