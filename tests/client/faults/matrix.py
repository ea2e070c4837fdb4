"""Every phase of a connection, and the ways in which it can break there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

from telex.options import TransportName
from tests.client.faults.scenes import SAY, TAKE, Act, Scene
from tests.support.proxy import Action, After, Answer, Fault, Instead, Phase, frame

POLLING: tuple[TransportName, ...] = ("polling",)
WEBSOCKET: tuple[TransportName, ...] = ("websocket",)
BOTH = POLLING + WEBSOCKET

_BREAKS: tuple[Action, ...] = ("reset", "end")


ALWAYS = math.inf
JOINED = Fault("probe", After("poll answer", r"40\{"))
"""The probe begins when the client has joined its namespace."""

Ends: TypeAlias = Literal["settled", "upgrade", "reconnect_failed", "disconnect"]


def _broken(
    name: str,
    transports: tuple[TransportName, ...],
    phase: Phase,
    *,
    share: float = 0.0,
    match: str = "",
    skip: int = 0,
    act: Act | None = None,
    end: Ends = "settled",
    first: Sequence[Fault] = (),
) -> Iterator[Scene]:
    for action in _BREAKS:
        fault = Fault(phase, action, share, match, skip)
        yield Scene(f"{name}, {action}", [*first, fault], transports, act, end)


def cuts() -> Iterator[Scene]:
    """The connection is cut, once."""
    yield from _broken("polling: connect", POLLING, "tcp")
    yield from _broken("polling: handshake request", POLLING, "handshake")
    yield from _broken("polling: half a handshake request", POLLING, "handshake", share=0.5)
    yield from _broken("polling: handshake answer", POLLING, "handshake answer")
    yield from _broken("polling: half a handshake answer", POLLING, "handshake answer", share=0.9)
    yield from _broken("polling: first poll", POLLING, "poll")
    yield from _broken("polling: a later poll", POLLING, "poll", skip=1)
    yield from _broken("polling: connect answer", POLLING, "poll answer", match=r"40\{")
    yield from _broken(
        "polling: half a message", POLLING, "poll answer", share=0.5, match="said", act=SAY
    )
    yield from _broken("polling: first post", POLLING, "post")
    yield from _broken("polling: mid-post", POLLING, "post", share=0.5, match="take", act=TAKE)
    yield from _broken("polling: post answer", POLLING, "post answer", skip=1, act=TAKE)
    yield from _broken("websocket: connect", WEBSOCKET, "tcp")
    yield from _broken("websocket: request", WEBSOCKET, "open")
    yield from _broken("websocket: half a request", WEBSOCKET, "open", share=0.5)
    yield from _broken("websocket: answer", WEBSOCKET, "open answer")
    yield from _broken("websocket: half an answer", WEBSOCKET, "open answer", share=0.5)
    yield from _broken("websocket: connect packet", WEBSOCKET, "client frame", match="40")
    yield from _broken("websocket: connect answer", WEBSOCKET, "server frame", match=r"40\{")
    yield from _broken(
        "websocket: half a message", WEBSOCKET, "server frame", share=0.5, match="said", act=SAY
    )
    yield from _broken(
        "websocket: half a message of ours",
        WEBSOCKET,
        "client frame",
        share=0.5,
        match="take",
        act=TAKE,
    )
    yield from _broken("upgrade: probe request", BOTH, "probe", end="upgrade")
    yield from _broken("upgrade: probe answer", BOTH, "probe answer", end="upgrade")
    yield from _broken(
        "upgrade: half a probe answer", BOTH, "probe answer", share=0.5, end="upgrade"
    )
    yield from _broken("upgrade: probe", BOTH, "client frame", match="2probe", end="upgrade")
    yield from _broken("upgrade: probe reply", BOTH, "server frame", match="3probe", end="upgrade")
    yield from _broken(
        "upgrade: half a probe reply",
        BOTH,
        "server frame",
        share=0.5,
        match="3probe",
        end="upgrade",
    )
    yield from _broken(
        "upgrade: upgrade packet",
        BOTH,
        "client frame",
        match="^5$",
        end="upgrade",
        first=[JOINED],
    )


def _refused(
    name: str,
    transports: tuple[TransportName, ...],
    *faults: Fault,
    attempts: int = 2,
    **options: Any,
) -> Scene:
    """The client gives up."""
    options = {"reconnection_attempts": attempts, **options}
    return Scene(name, faults, transports, None, "reconnect_failed", options)


def answers() -> Iterator[Scene]:
    """Somebody between client and server answers."""
    for status in (400, 403, 404, 500, 502, 503):
        fault = Fault("handshake", Answer(status), times=2)
        yield Scene(f"polling: handshake answered {status}, twice", [fault], POLLING)
    for status in (403, 502):
        fault = Fault("open", Answer(status), times=2)
        yield Scene(f"websocket: refused with {status}, twice", [fault], WEBSOCKET)
    later = Fault("poll", Answer(502), skip=1)
    yield Scene("polling: a later poll answered 502", [later], POLLING)
    for status in (413, 502):
        fault = Fault("post", Answer(status), match="take")
        yield Scene(f"polling: a post answered {status}", [fault], POLLING, TAKE)
    refusal = Fault("probe", Answer(403), times=ALWAYS)
    yield Scene("upgrade: WebSocket refused, polling allowed", [refusal], BOTH, end="upgrade")
    yield Scene(
        "all transports: WebSocket refused",
        [Fault("open", Answer(403), times=ALWAYS)],
        ("websocket", "polling"),
        options={"try_all_transports": True, "upgrade": False},
    )
    yield Scene(
        "all transports: polling refused",
        [Fault("handshake", Answer(502), times=ALWAYS)],
        BOTH,
        options={"try_all_transports": True},
    )
    yield _refused(
        "first transport only: WebSocket refused",
        ("websocket", "polling"),
        Fault("open", Answer(403), times=ALWAYS),
    )
    yield _refused(
        "all transports: all refused",
        BOTH,
        Fault("handshake", Answer(502), times=ALWAYS),
        Fault("open", Answer(403), times=ALWAYS),
        try_all_transports=True,
    )
    page = "<html>It works!</html>"
    yield Scene(
        "polling: a page instead of the handshake",
        [Fault("handshake answer", Instead(page))],
        POLLING,
    )
    yield Scene(
        "polling: a page instead of a poll",
        [Fault("poll answer", Instead(page), skip=1)],
        POLLING,
        SAY,
    )
    yield _refused("no transports", ())


def silences() -> Iterator[Scene]:
    """Nothing comes any more."""
    rows: list[tuple[str, tuple[TransportName, ...], Phase, float]] = [
        ("polling: connect", POLLING, "tcp", 0),
        ("polling: handshake", POLLING, "handshake", 0),
        ("polling: half a handshake answer", POLLING, "handshake answer", 0.9),
        ("websocket: connect", WEBSOCKET, "tcp", 0),
        ("websocket: answer", WEBSOCKET, "open answer", 0),
        ("websocket: half an answer", WEBSOCKET, "open answer", 0.5),
        ("websocket: open packet", WEBSOCKET, "server frame", 0),
    ]
    for name, transports, phase, share in rows:
        fault = Fault(phase, "silence", share, times=ALWAYS)
        yield _refused(f"{name}, silence", transports, fault, attempts=1, timeout=0.1)
    probes: list[tuple[str, Phase, str]] = [
        ("probe request", "probe", ""),
        ("probe answer", "probe answer", ""),
        ("probe", "client frame", "2probe"),
        ("probe reply", "server frame", "3probe"),
    ]
    for name, phase, match in probes:
        yield Scene(f"upgrade: {name}, silence", [Fault(phase, "silence", match=match)], BOTH)


def heartbeats() -> Iterator[Scene]:
    """The server falls silent, for a client with a brisk heartbeat."""
    rows: list[tuple[str, tuple[TransportName, ...], Phase, str, Act | None]] = [
        ("polling: ping", POLLING, "poll answer", "^2$", None),
        ("polling: half a message", POLLING, "poll answer", "said", SAY),
        ("websocket: ping", WEBSOCKET, "server frame", "^2$", None),
        ("websocket: half a message", WEBSOCKET, "server frame", "said", SAY),
        ("upgrade: upgrade packet", BOTH, "client frame", "^5$", None),
    ]
    for name, transports, phase, match, act in rows:
        fault = Fault(phase, "silence", 0.5 if act else 0.0, match)
        faults = [JOINED, fault] if transports == BOTH else [fault]
        options = {"reconnection": False}
        yield Scene(f"{name}, silence", faults, transports, act, "disconnect", options)


def packets() -> Iterator[Scene]:
    """The server says what it should not, or good-bye."""
    for name, text in (
        ("an unknown packet type", "47[]"),
        ("bad JSON", '42["said",'),
        ("an event without a name", "42[]"),
        ("too many attachments", '45999999999-["said",{"_placeholder":true,"num":0}]'),
        ("a reserved event", '42["connect"]'),
        ("an unknown engine packet", "9"),
        ("an empty packet", ""),
    ):
        frame, answer = Instead(text), Instead(text)
        yield Scene(
            f"websocket: {name}", [Fault("server frame", frame, match="said")], WEBSOCKET, SAY
        )
        yield Scene(f"polling: {name}", [Fault("poll answer", answer, match="said")], POLLING, SAY)
    close = Fault("poll answer", Instead("1"), match="said")
    yield Scene("polling: a close packet", [close], POLLING, SAY)
    ways: list[tuple[str, tuple[TransportName, ...], Phase]] = [
        ("websocket", WEBSOCKET, "server frame"),
        ("polling", POLLING, "poll answer"),
    ]
    for name, transports, phase in ways:
        left = Fault(phase, Instead("41"), match="said")
        yield Scene(f"{name}: disconnected by the server", [left], transports, SAY, "disconnect")
        half = Fault(phase, "half", 0.5, match="said")
        yield Scene(f"{name}: half closed", [half], transports, SAY)
    other = Fault("server frame", Instead("4"), times=ALWAYS)
    yield _refused("websocket: no open packet", WEBSOCKET, other, attempts=1, timeout=0.1)
    yield Scene(
        "upgrade: another reply",
        [Fault("server frame", Instead("3what"), match="3probe")],
        BOTH,
        end="upgrade",
    )


def _message(text: str) -> bytes:
    """A message of the server, whose length the client must tell."""
    return frame(f'42["said","{text}"]'.encode())


def frames() -> Iterator[Scene]:
    """A server, or what stands before it, speaks its own WebSocket, or its own HTTP."""
    for name, data in (
        ("an empty close frame", frame(b"", 8)),
        ("a close frame, 1000", frame(b"\x03\xe8", 8)),
        ("a close frame, 1001", frame(b"\x03\xe9going", 8)),
        ("a close frame, 1011", frame(b"\x03\xf3", 8)),
        ("an unknown kind of frame", frame(b"", 3)),
        ("reserved bits", b"\xf1\x00"),
        ("a mask", b"\x81\x82\x00\x00\x00\x0042"),
        ("text that is none", frame(b"42\xff")),
        ("a fragment of nothing", frame(b"42", 0)),
        ("a message within a message", frame(b"42", fin=False) + frame(b"42")),
        ("a frame without an end", b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff42"),
    ):
        fault = Fault("server frame", Instead(data), match="said")
        yield Scene(f"websocket: {name}", [fault], WEBSOCKET, SAY)
    for name, data in (
        ("a message in fragments", frame(b'42["said",', fin=False) + frame(b'"it"]', 0)),
        (
            "a ping within a message",
            frame(b'42["said",', fin=False) + frame(b"", 9) + frame(b'"it"]', 0),
        ),
        ("two messages", _message("a") + _message("bc")),
        ("a stray pong", frame(b"3") + _message("a")),
        ("a stray probe reply", frame(b"3probe") + _message("a")),
        ("a stray upgrade", frame(b"5") + _message("a")),
        ("a noop", frame(b"6") + _message("a")),
        ("a message for nobody", frame(b'42/other,["said",1]') + _message("a")),
        ("an answer that nobody waits for", frame(b"43999[1]") + _message("a")),
        ("bytes that nobody waits for", frame(b"bytes", 2) + _message("a")),
    ):
        fault = Fault("server frame", Instead(data), match="said")
        yield Scene(f"websocket: {name}", [fault], WEBSOCKET, SAY)
    twice = Fault("server frame", Instead(frame(b"3probe") * 2), match="3probe")
    yield Scene("upgrade: two probe replies", [twice], BOTH, end="upgrade")
    ok, said = b"HTTP/1.1 200 OK\r\n", b'42["said","it"]'
    for name, data in (
        ("no HTTP", b"good morning\r\n\r\n"),
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("not modified", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        ("an empty body", ok + b"Content-Length: 0\r\n\r\n"),
        ("chunks", ok + b"Transfer-Encoding: chunked\r\n\r\nf\r\n" + said + b"\r\n0\r\n\r\n"),
        ("a bad chunk", ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("another type", ok + b"Content-Type: image/png\r\nContent-Length: 15\r\n\r\n" + said),
        (
            "an informational answer first",
            b"HTTP/1.1 100 Continue\r\n\r\n" + ok + b"Content-Length: 15\r\n\r\n" + said,
        ),
    ):
        fault = Fault("poll answer", Instead(data), match="said")
        yield Scene(f"polling: {name}", [fault], POLLING, SAY)
