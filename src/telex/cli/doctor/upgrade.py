"""The way from long-polling to WebSocket."""

from __future__ import annotations

import asyncio

from .case import Case
from .namespace import namespace_over
from .wire import (
    Answer,
    Closed,
    NoAnswer,
    NotOpened,
    Visitor,
    WebSocket,
    read_open,
    read_packets,
)

ROUND_TRIPS = 5


class _Failed(Exception):
    """An upgrade that did not come about: where it stopped, the cause, the cure."""

    def __init__(self, stop: str, cause: str, cure: str) -> None:
        super().__init__(stop)
        self.cause = cause
        self.cure = cure


async def upgrade(case: Case) -> bool:
    """Go the whole way from polling to WebSocket; whether the namespace answered over it."""
    opened = case.opened
    if not case.polling or opened is None or "websocket" not in opened.upgrades:
        return False
    async with case.visitor() as visitor:
        poll: asyncio.Task[Answer] | None = None
        socket: WebSocket | None = None
        try:
            started = read_open(await visitor.handshake())
            if started is None:
                raise _Failed("the handshake failed this time", "See above.", "")
            # What came with the handshake is not fetched again.
            waiting = [one for one in started.rest if one[:1] == "4"]
            poll = asyncio.create_task(visitor.poll(started.sid, case.timeout))
            socket = await _probe(case, visitor, started.sid)
            held_back = await _held_back(case, poll)
            await socket.send("5")
            if held_back is None:
                _upgraded(case)
            else:
                _upgraded(case, *held_back)
            return await namespace_over(case, socket, waiting)
        except (_Failed, NoAnswer, Closed, TimeoutError) as error:
            _upgrade_failed(case, error)
            return False
        finally:
            if poll is not None:
                poll.cancel()
                await asyncio.gather(poll, return_exceptions=True)
            if socket is not None:
                await socket.close()


def _upgrade_failed(case: Case, error: Exception) -> None:
    if not case.websocket:
        case.findings.add(
            "upgrade",
            "warning",
            "Upgrade: not possible while WebSockets do not open",
            "See above.",
            "Clients work, over long-polling, with more requests and later events.",
        )
        return
    stop = str(error) or "the server fell silent"
    cause = error.cause if isinstance(error, _Failed) else "The connection broke off."
    cure = error.cure if isinstance(error, _Failed) else "Look into the logs of proxy and server."
    case.findings.add("upgrade", "problem", f"Upgrade: {stop}", cause, cure)


async def _probe(case: Case, visitor: Visitor, sid: str) -> WebSocket:
    try:
        socket = await visitor.websocket(sid)
    except NotOpened as refused:
        refusal = refused.answer.refusal
        if not case.sticky or (refusal is not None and refusal.code == 1):
            raise _not_sticky() from None
        raise _Failed(
            f"the WebSocket of a session is answered {refused.answer.status}",
            "A WebSocket of its own opens, but not one that continues a session.",
            "Let the proxy pass the whole query on, sid included.",
        ) from None
    try:
        await socket.send("2probe")
        answer = await socket.receive(case.timeout)
    except (Closed, TimeoutError) as error:
        await socket.close()
        if not case.sticky:
            raise _not_sticky() from None
        raise _Failed(
            "the probe is not answered"
            if isinstance(error, TimeoutError)
            else f"the probe {error}",
            "The server does not know the session any more, or does not allow upgrades.",
            "Compare allow_upgrades, and the time limits of proxy and server.",
        ) from None
    if answer != "3probe":
        await socket.close()
        raise _Failed(
            "the probe is answered wrongly", "Another application took the WebSocket.", ""
        )
    return socket


def _not_sticky() -> _Failed:
    return _Failed(
        "the WebSocket reached another server than the polling session",
        "Requests of one client reach different servers.",
        "Make the balancer sticky (see stickiness), or use transports: "
        '["websocket"] only, which needs no stickiness.',
    )


def _upgraded(case: Case, flaw: str = "", cause: str = "", cure: str = "") -> None:
    case.findings.add(
        "upgrade",
        "warning" if flaw else "ok",
        f"Upgrade: the WebSocket is taken over, but {flaw}"
        if flaw
        else "Upgrade: probe answered, poll released, WebSocket taken over",
        cause,
        cure,
    )


async def _held_back(case: Case, poll: asyncio.Task[Answer]) -> tuple[str, str, str] | None:
    """What is wrong with the pending poll, which the server has to release; mostly nothing."""
    try:
        answer = await poll
    except NoAnswer:
        return (
            "the pending poll was not released",
            "A proxy holds answers of long-polling back.",
            "Turn buffering off for the path (nginx: proxy_buffering off).",
        )
    if any(packet[:1] in ("6", "4") for packet in read_packets(answer, case.revision)):
        return None
    if answer.refusal is not None and answer.refusal.code == 1:
        return (
            "the pending poll reached another server",
            "Whether all requests of a client reach one server is a matter of luck.",
            "See stickiness.",
        )
    return (
        f"the pending poll was answered {answer.status} “{answer.excerpt}”",
        "Something between answers long requests by itself.",
        f"Raise its time limits for {case.place.path}/.",
    )
