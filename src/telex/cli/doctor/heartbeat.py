"""The clock of heartbeats, and the limits that the handshake announces."""

from __future__ import annotations

import asyncio
import time

from .case import Case
from .wire import Closed, NoAnswer, NotOpened, Visitor, WebSocket, read_open, read_packets

PROXY_LIMIT = 60.0
"""Seconds after which most proxies and balancers cut a connection without traffic."""
PATIENCE = 5.0
"""Seconds a heartbeat may be late when one is observed."""


async def heartbeat(case: Case) -> None:
    """What was announced, and with ``wait`` what comes."""
    opened = case.opened
    if opened is None:
        return
    interval, timeout = opened.ping_interval, opened.ping_timeout
    who = "the client pings" if case.revision == 3 else "the server pings"
    data = {"ping_interval": interval, "ping_timeout": timeout, "pings": who.split()[1]}
    told = f"Heartbeat: {who} every {interval:g} s and waits {timeout:g} s"
    if interval >= PROXY_LIMIT:
        case.findings.add(
            "heartbeat",
            "warning",
            told,
            f"Most proxies cut connections without traffic after {PROXY_LIMIT:g} s (Heroku 55).",
            "Set ping_interval (pingInterval) to 25 seconds, or raise the proxies' limits.",
            data=data,
        )
    else:
        case.findings.add("heartbeat", "ok", told, data=data)
    if case.wait:
        await _observe(case, interval)


def limits(case: Case) -> None:
    """The largest message, and compression as far as it was seen."""
    opened = case.opened
    if opened is None:
        return
    size = opened.max_payload
    case.findings.add(
        "payload",
        "info",
        "The largest message is not announced (before Socket.IO 4.5)"
        if size is None
        else f"The largest message is {size:,} bytes",
        max_payload=size,
    )
    for finding in case.findings.all:
        if finding.check == "websocket" and "per_message_deflate" in finding.data:
            on = bool(finding.data["per_message_deflate"])
            case.findings.add(
                "compression",
                "info",
                "WebSocket messages are " + ("compressed (permessage-deflate)" if on else "plain"),
                per_message_deflate=on,
            )


async def _observe(case: Case, interval: float) -> None:
    limit = interval + PATIENCE
    async with case.visitor() as visitor:
        started = time.monotonic()
        try:
            if case.websocket:
                socket = await visitor.websocket()
                try:
                    await socket.receive(case.timeout)
                    await _beat(case, socket, interval, limit)
                finally:
                    await socket.close()
            elif case.revision == 4:
                await _polled_beat(visitor, limit)
            else:
                return
        except (TimeoutError, Closed, NoAnswer, NotOpened) as error:
            passed = time.monotonic() - started
            silent = isinstance(error, TimeoutError)
            case.findings.add(
                "heartbeat",
                "problem",
                f"No heartbeat within {limit:g} s"
                if silent
                else f"The connection ended after {passed:.1f} s, before a heartbeat: {error}",
                "The server does not send what it announced, or a proxy holds it back."
                if silent
                else "Something between cuts connections without traffic.",
                "Turn buffering off in the proxy."
                if silent
                else f"Raise the idle limit above {interval:g} s (nginx: proxy_read_timeout), or "
                "lower ping_interval (pingInterval) on the server.",
                seconds=round(passed, 3),
            )
            return
        passed = time.monotonic() - started
    case.findings.add(
        "heartbeat",
        "ok",
        f"A heartbeat came after {passed:.1f} s",
        seconds=round(passed, 3),
    )


async def _beat(case: Case, socket: WebSocket, interval: float, limit: float) -> None:
    """Revision 4: wait for a ping. Revision 3: wait as a client does, then ping."""
    if case.revision == 3:
        try:
            async with asyncio.timeout(interval):
                while True:
                    await socket.receive(limit)
        except TimeoutError:
            await socket.send("2")
    wanted = "2" if case.revision == 4 else "3"
    async with asyncio.timeout(limit):
        while await socket.receive(limit) != wanted:
            pass


async def _polled_beat(visitor: Visitor, limit: float) -> None:
    opened = read_open(await visitor.handshake())
    if opened is None:
        raise NoAnswer("the handshake failed this time")
    while True:
        answer = await visitor.poll(opened.sid, limit)
        if answer.status != 200:
            raise NoAnswer(f"the poll was answered {answer.status}")
        if "2" in read_packets(answer, 4):
            await visitor.leave(opened.sid)
            return
