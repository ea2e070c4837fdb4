"""What the server says to CONNECT."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from .case import Case
from .socketio import Verdict, connect_packet, read_verdict
from .wire import Closed, NoAnswer, NotOpened, Visitor, WebSocket, read_open, read_packets


async def namespace_over(case: Case, socket: WebSocket, waiting: list[str]) -> bool:
    async def receive() -> str | bytes:
        packet = waiting.pop(0) if waiting else await socket.receive(case.timeout)
        if packet == "2":
            await socket.send("3")
        return packet

    await _judge(case, socket.send, receive)
    return True


async def namespace(case: Case) -> None:
    """CONNECT to the namespace over what works, unless an upgrade has done it."""
    async with case.visitor() as visitor:
        try:
            if case.websocket:
                socket = await visitor.websocket()
                try:
                    await socket.receive(case.timeout)
                    await namespace_over(case, socket, [])
                finally:
                    await socket.close()
            elif case.polling and case.sticky:
                await _namespace_polled(case, visitor)
        except (NoAnswer, NotOpened, Closed, TimeoutError) as error:
            case.findings.add(
                "namespace",
                "problem",
                f"No session for the namespace: {error}",
                "The connection broke off.",
                "Look into the logs of proxy and server.",
            )


async def _namespace_polled(case: Case, visitor: Visitor) -> None:
    opened = read_open(await visitor.handshake())
    if opened is None:
        raise NoAnswer("the handshake failed this time")
    waiting = list(opened.rest)

    async def send(packet: str) -> None:
        answer = await visitor.post(opened.sid, packet)
        if answer.status != 200:
            raise Closed(None, answer.excerpt)

    async def receive() -> str | bytes:
        while not waiting:
            answer = await visitor.poll(opened.sid)
            if answer.status != 200:
                raise Closed(None, answer.excerpt)
            waiting.extend(read_packets(answer, case.revision))
        packet = waiting.pop(0)
        if packet == "1":
            raise Closed(None, "the server closed the session")
        return packet

    await _judge(case, send, receive)
    await visitor.leave(opened.sid)


async def _judge(
    case: Case,
    send: Callable[[str], Awaitable[None]],
    receive: Callable[[], Awaitable[str | bytes]],
) -> None:
    name = case.place.namespace
    try:
        if case.revision == 4 or name != "/":
            await send(connect_packet(case, name))
        verdict = await _verdict(case, name, receive)
    except Closed:
        await _unreadable(case)
        return
    except (TimeoutError, NoAnswer):
        verdict = None
    if verdict is not None:
        _say_verdict(case, verdict)
        return
    stranger = f"/telex-doctor-{secrets.token_hex(4)}"
    try:
        await send(connect_packet(case, stranger))
        spoken = await _verdict(case, stranger, receive) is not None
    except (Closed, TimeoutError, NoAnswer):
        spoken = False
    case.findings.add(
        "namespace",
        "problem",
        f"{name}: no answer to CONNECT within {case.timeout:g} s",
        "A middleware neither accepts nor refuses."
        if spoken
        else "The engine has no Socket.IO on it, or a middleware neither accepts nor refuses.",
        "In Node, every way through a middleware must call next(); in telex, look what it awaits."
        if spoken
        else "Attach the Socket.IO server to this engine; for an engine alone, use an Engine.IO "
        "client (telex.connect_engine).",
    )


async def _verdict(
    case: Case, name: str, receive: Callable[[], Awaitable[str | bytes]]
) -> Verdict | None:
    async with asyncio.timeout(case.timeout):
        while True:
            verdict = read_verdict(await receive(), name)
            if verdict is not None:
                return verdict


def _say_verdict(case: Case, verdict: Verdict) -> None:
    name = case.place.namespace
    if verdict.accepted and verdict.sid is None and case.revision == 4:
        case.findings.add(
            "namespace",
            "problem",
            f"{name}: accepted in the form of Socket.IO 2",
            "A server of Socket.IO 2 answers; clients of 3.x and 4.x give up here.",
            "Use a client of 2.x (telex: protocol=4).",
        )
    elif verdict.accepted:
        case.findings.add(
            "namespace",
            "ok",
            f"{name}: the server lets clients in",
            sid=verdict.sid,
        )
        if case.revision == 4:
            on = verdict.pid is not None
            case.findings.add(
                "recovery",
                "info",
                "Connection state recovery is " + ("on" if on else "off"),
                on=on,
            )
    else:
        unknown = verdict.message == "Invalid namespace"
        words = [f"“{verdict.message}”"] if verdict.message else []
        if verdict.data is not None:
            words.append(json.dumps(verdict.data, ensure_ascii=False))
        told = f"{name}: refused" + (f" with {' and '.join(words)}" if words else "")
        case.findings.add(
            "namespace",
            "problem",
            told,
            "The server has no such namespace; the path of the URL is the namespace."
            if unknown
            else "A middleware of the server refuses the connection.",
            _rename(case)
            if unknown
            else 'Give what it looks for, such as --auth \'{"token": "…"}\'; the server\'s log '
            "says more.",
            message=verdict.message,
            refusal=verdict.data,
        )


def _rename(case: Case) -> str:
    if case.place.namespace.endswith(("/socket.io", case.place.path)):
        return f"Leave {case.place.namespace} out of the URL: the path of the engine is an option."
    return "Correct the name, or register the namespace on the server before clients come."


async def _unreadable(case: Case) -> None:
    """The session was closed upon CONNECT: perhaps the server has another parser."""
    packed = await _speaks_msgpack(case)
    case.findings.add(
        "namespace",
        "problem",
        "The server closes the connection upon CONNECT"
        + (", but understands it in msgpack" if packed else ""),
        "The server uses the msgpack parser."
        if packed
        else "The server cannot read it: it has a parser of its own, or is no Socket.IO server.",
        'Clients need the same parser (telex: parser="msgpack", --msgpack).'
        if packed
        else "Give clients the same parser as the server.",
        msgpack=packed,
    )


async def _speaks_msgpack(case: Case) -> bool:
    if not case.websocket:
        return False
    async with case.visitor() as visitor:
        try:
            socket = await visitor.websocket()
        except (NoAnswer, NotOpened):
            return False
        try:
            await socket.receive(case.timeout)
            connect: dict[str, object] = {"type": 0, "nsp": case.place.namespace}
            if case.auth is not None:
                connect["data"] = case.auth
            await socket.send_binary(msgspec.msgpack.encode(connect))
            async with asyncio.timeout(case.timeout):
                while True:
                    if isinstance(await socket.receive(case.timeout), bytes):
                        return True
        except (Closed, TimeoutError):
            return False
        finally:
            await socket.close()
