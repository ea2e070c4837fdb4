"""Polls and posts of open sessions, as ASGI brings them."""

from __future__ import annotations

import asyncio

from ...engine.engine import Engine
from ...engine.polling import BAD_REQUEST, PollingTransport
from ...engine.reasons import TRANSPORT_CLOSE
from ...engine.session import TOO_BIG, Session
from ...types import HeaderList, Receive, Request, Response, Send
from . import bundle, compression, messages
from .messages import (
    Disconnected,
    delivered,
    disconnected,
    drain,
    read_body,
    refused_body,
    respond,
)

WATCHED = 64 * 1024
"""The size from which an answer to a poll may have to wait for the client, in bytes."""

_PAUSE = 0.05  # between two looks at a session that is not read at present, in seconds


async def answer_poll(
    engine: Engine,
    session: Session,
    transport: PollingTransport,
    request: Request,
    headers: HeaderList,
    receive: Receive,
    send: Send,
    *,
    opening: bool = False,
) -> None:
    """Answer a poll of a session, now or when it has packets; ``opening`` for a handshake."""
    answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def settle(response: Response) -> None:
        if not answered.done():
            answered.set_result(response)

    transport.poll(session, settle, request.query.get("j"))
    if opening:
        session.flush()
    gone: asyncio.Task[None] | None = None
    try:
        if not answered.done():
            gone = asyncio.ensure_future(disconnected(receive))
            await asyncio.wait((answered, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            transport.abort_poll(session, settle)
            return
    except asyncio.CancelledError:
        session.end(TRANSPORT_CLOSE)  # the host stops and waits no longer: say so
        if not answered.done():
            raise
    finally:
        if gone is not None:
            gone.cancel()
    if gone is not None and gone.done():
        transport.abort(session)
        return
    response = answered.result()
    if "msie" in request.headers.get("user-agent", "").lower():
        headers.append(("x-xss-protection", "0"))
    response = response._replace(headers=[*response.headers, *headers])
    threshold = engine.options.http_compression
    if (
        response.compress
        and threshold
        and len(response.body) >= threshold
        and bundle.accepts_gzip(request)
    ):
        response = await compression.compressed(response)
    if len(response.body) < WATCHED:
        await respond(send, response)
    elif not await delivered(receive, send, response):
        transport.abort(session)


async def take_post(
    engine: Engine,
    session: Session,
    transport: PollingTransport,
    request: Request,
    receive: Receive,
) -> Response | None:
    """Handle a POST of a session: its answer, ``None`` if the client has gone."""
    refusal = refused_body(request, engine.options.max_http_buffer_size)
    if refusal is not None:
        if refusal.status == 413:
            length = request.headers["content-length"]
            session.too_big(
                int(length) if len(length) <= messages.MOST_DIGITS else None,
                engine.options.max_http_buffer_size,
            )
        if refusal.status == 413 and not refusal.headers:  # the connection goes on
            await drain(receive, messages.DRAIN_FACTOR * engine.options.max_http_buffer_size)
        return refusal
    if not transport.start_post(session):
        return BAD_REQUEST
    try:
        async with asyncio.timeout(messages.BODY_TIMEOUT):
            body = await read_body(receive, engine.options.max_http_buffer_size)
    except TimeoutError:
        transport.abort_post(session)
        session.note(
            "a body that did not come in time", f"the limit is {messages.BODY_TIMEOUT:g} s"
        )
        return Response(408, [("connection", "close")], b"")
    except Disconnected:
        transport.abort_post(session)
        return None
    if body is None:
        transport.refuse_post()
        session.too_big(None, engine.options.max_http_buffer_size)
        return Response(413, [("connection", "close")], TOO_BIG.encode())
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    steps = transport.post(
        session, body, binary=kind == "application/octet-stream", jsonp="j" in request.query
    )
    while True:
        try:
            next(steps)
        except StopIteration as done:
            response: Response = done.value
            return response
        await asyncio.sleep(_PAUSE if session.paused else 0)
