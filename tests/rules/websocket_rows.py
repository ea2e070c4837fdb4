"""Bad WebSocket handshakes and frames, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from tests.rules.clients import (
    PollingClient,
    WebSocketClient,
    is_error,
    is_unknown_sid,
    start_upgrade,
    target,
    upgrade,
)
from tests.rules.rows import (
    FAST,
    FORCED,
    PARSE,
    TOO_BIG,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    Expectation,
    Row,
    error,
    plain,
    status,
)
from tests.rules.subject import HOSTS, Host, Subject
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    NO_STATUS,
    PING,
    PONG,
    TEXT,
    Answer,
    Connection,
    Frame,
    HeaderLines,
    Refused,
    WebSocket,
    close_frame,
    exchange,
    frame,
    request,
    upgrade_request,
)

ECHO = '42["echo",1]'
LIMIT = 100_000
TO = target("websocket")


# -- the handshake --------------------------------------------------------------------------

PROPER: dict[str, list[str]] = {
    "Connection": ["Upgrade"],
    "Upgrade": ["websocket"],
    "Sec-WebSocket-Version": ["13"],
    "Sec-WebSocket-Key": [KEY],
}


def asking(*, to: str = TO, method: str = "GET", **changed: list[str]) -> bytes:
    """A handshake with other values for some of its headers (`_` stands for `-`)."""
    headers = {**PROPER, **{name.replace("_", "-"): values for name, values in changed.items()}}
    lines = [(name, value) for name, values in headers.items() for value in values]
    return request(method, to, lines)


def outdated(answer: Answer) -> None:
    assert answer.status == 426
    assert answer.header("sec-websocket-version") == "13"


@dataclass(frozen=True)
class Handshake:
    """A refused handshake; the connection ends with it, and no session is opened."""

    id: str
    data: bytes
    answer: Expectation
    hosts: tuple[Host, ...] = HOSTS
    server: str = "main"
    goes_on: bool = False

    def run(self, subject: Subject) -> None:
        with Connection(subject.port_of(self.server)) as connection:
            connection.send(self.data)
            answer = connection.answer()
            self.answer(answer)
            if self.goes_on:  # a plain HTTP request, as far as HTTP is concerned
                assert answer.header("connection") is None
            else:
                assert answer.header("connection") == "close"
                assert connection.ended() == "eof"
        assert not subject.seen("open", at=self.server)


def key(value: str) -> bytes:
    return asking(Sec_WebSocket_Key=[value])


def protocols(value: str) -> bytes:
    return asking(Sec_WebSocket_Protocol=[value])


EVIL = "https://evil.example"
EVIL_MESSAGE = f"origin {EVIL} is not allowed: the server admits it with origins=['{EVIL}']"

BAD_KEY = plain(400, b"Sec-WebSocket-Key must be 16 bytes in base64")
BAD_PROTOCOL = error(3, "Sec-WebSocket-Protocol must be a list of different names")

HANDSHAKES = [
    Handshake("W-01 no key", asking(Sec_WebSocket_Key=[]), BAD_KEY, FAST),
    Handshake("W-01 short key", key("dGhl"), BAD_KEY, FAST),
    Handshake("W-01 15 bytes", key("dGhlIHNhbXBsZSBub25j"), BAD_KEY, FAST),
    Handshake("W-01 no base64", key("!!!!IHNhbXBsZSBub25jZQ=="), BAD_KEY, FAST),
    Handshake("W-01 two keys", asking(Sec_WebSocket_Key=[KEY, KEY]), BAD_KEY, FAST),
    *(
        Handshake(
            f"W-02 version {version!r}", asking(Sec_WebSocket_Version=versions), outdated, FAST
        )
        for version, versions in {"12": ["12"], "13abc": ["13abc"], "none": []}.items()
    ),
    Handshake("W-03 no upgrade", asking(Connection=["keep-alive"]), error(3), goes_on=True),
    Handshake("W-04 h2c", asking(Upgrade=["h2c"]), error(3), goes_on=True),
    Handshake("W-04 websocket2", asking(Upgrade=["websocket2"]), error(3), goes_on=True),
    Handshake("W-05 POST", asking(method="POST"), status(400, 405), FAST),
    Handshake("W-06 unknown sid", asking(to=target("websocket", sid="nope")), error(1)),
    Handshake("W-06 sid __proto__", asking(to=target("websocket", sid="__proto__")), error(1)),
    Handshake("W-07 no EIO", asking(to="/socket.io/?transport=websocket"), error(5), FAST),
    Handshake("W-07 EIO=3", asking(to=target("websocket", 3)), error(5), server="eio4"),
    Handshake("W-07 EIO=5", asking(to=target("websocket", 5)), error(5)),
    Handshake("W-08 protocol é", protocols("caf\xe9"), BAD_PROTOCOL, FAST),
    Handshake("W-08 protocol with a space", protocols("a b"), BAD_PROTOCOL, FAST),
    Handshake("W-08 protocol twice", protocols("a, a"), BAD_PROTOCOL),
    Handshake("W-08 protocol of spaces", protocols("a," + " " * 15_000), BAD_PROTOCOL, FAST),
    Handshake("W-10 2 100 headers", asking(X=["b"] * 2100), plain(431), FAST),
    Handshake("W-10 20 KB", asking(X=["b" * 20_000]), plain(431), FAST),
    Handshake("W-11 evil Origin", asking(Origin=[EVIL]), error(4, EVIL_MESSAGE)),
    Handshake("W-15 transport=polling", asking(to=target("polling")), error(3)),
    Handshake("W-15 transport=__proto__", asking(to=target("__proto__")), error(0)),
]


def polling_only(subject: Subject) -> None:
    with Connection(subject.port_of("polling only")) as connection:
        connection.send(asking())
        assert is_error(connection.answer(), 0)
        assert connection.ended() == "eof"


def websocket_only(subject: Subject) -> None:
    port = subject.port_of("websocket only")
    assert is_error(exchange(port, request("GET", target("polling"))), 0)
    with WebSocketClient(port) as client:
        assert client.open["upgrades"] == []
        client.connect()
        assert client.echoes()


def evil_upgrade(subject: Subject) -> None:
    """Nor can a session be taken over from another page."""
    with PollingClient(subject.port_of()) as polling:
        polling.connect()
        with pytest.raises(Refused) as refused:
            WebSocket(polling.port, polling.target("websocket"), [("Origin", EVIL)])
        assert is_error(refused.value.answer, 4, EVIL_MESSAGE)
        polling.say(ECHO)
        assert polling.packets() == [ECHO]


def odd_extensions(subject: Subject) -> None:
    """No extension is agreed on, whatever is offered."""
    for offer in (
        "constructor",
        "permessage-deflate; ;;=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate",
        ",;," * 4000,
    ):
        headers: HeaderLines = [("Sec-WebSocket-Extensions", offer)]
        with WebSocketClient(subject.port_of(), headers=headers) as client:
            client.connect()
            assert client.echoes()


def accepted_origins(subject: Subject) -> None:
    """The listed origin, and clients that are no browsers and send none."""
    for headers in ([("Origin", "https://ok.example")], []):
        with WebSocketClient(subject.port_of(), headers=headers) as client:
            client.connect()
            assert client.echoes()


def the_first_subprotocol(subject: Subject) -> None:
    headers = [("Sec-WebSocket-Protocol", "one, two")]
    with WebSocketClient(subject.port_of(), headers=headers) as client:
        client.connect()
        assert client.echoes()


def glued_frames(subject: Subject) -> None:
    glued = frame(TEXT, "40") + frame(TEXT, ECHO)
    with WebSocketClient(subject.port_of(), glued=glued) as client:
        assert client.text().startswith('40{"sid":"')
        assert client.text() == ECHO


def glued_bad_frame(subject: Subject) -> None:
    for bad in (frame(TEXT, "40", rsv=1), frame(TEXT, "40", mask=None), frame(7)):
        with WebSocket(subject.port_of(), TO, glued=bad) as websocket:
            assert websocket.close_code() == 1002
            websocket.send(close_frame(1002))
            assert websocket.connection.ended() == "eof"
        assert subject.reason(subject.wait("open", at="main")["sid"]) == TRANSPORT_ERROR
        subject.unharmed()


def reset_after_the_request(subject: Subject) -> None:
    """Refused or accepted, nobody is there to hear it."""
    before = subject.descriptors()
    for to in (TO, target("websocket", sid="nope")):
        for _ in range(100):
            connection = Connection(subject.port_of())
            connection.send(upgrade_request(to))
            connection.reset()
    assert subject.settled(before)


# -- frames -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """Frames that end the connection with a close code; `reason` is what the socket is told.

    `asked` says that the client has sent a close frame itself.
    """

    id: str
    data: bytes
    code: int
    reason: str = TRANSPORT_ERROR
    hosts: tuple[Host, ...] = FAST
    answers: list[str] = field(default_factory=list[str])
    asked: bool = False

    def run(self, subject: Subject) -> None:
        with WebSocketClient(subject.port_of()) as client:
            client.connect()
            client.websocket.send(self.data)
            for answer in self.answers:
                assert client.message() == answer
            assert client.websocket.close_code() == self.code
            if not self.asked:
                client.websocket.send(close_frame(self.code))
            assert client.websocket.connection.ended() == "eof"
            assert subject.reason(client.sid) == self.reason
            assert subject.farewell(client.sid) == self.reason


@dataclass(frozen=True)
class Fine:
    """Unusual frames that are allowed, and exactly what they are answered with."""

    id: str
    data: bytes
    answers: list[Frame | str] = field(default_factory=list[Frame | str])
    hosts: tuple[Host, ...] = HOSTS

    def run(self, subject: Subject) -> None:
        with WebSocketClient(subject.port_of()) as client:
            client.connect()
            client.websocket.send(self.data)
            for answer in self.answers:
                expected = Frame(TEXT, answer.encode()) if isinstance(answer, str) else answer
                assert client.websocket.receive() == expected
            assert client.echoes()


def pieces(message: bytes, *cuts: int, opcode: int = TEXT, between: bytes = b"") -> bytes:
    """A message in fragments, cut at these places."""
    bounds = [0, *cuts, len(message)]
    fragments = [message[start:end] for start, end in pairwise(bounds)]
    last = len(fragments) - 1
    frames = [
        frame(CONTINUATION if index else opcode, fragment, fin=index == last)
        for index, fragment in enumerate(fragments)
    ]
    return between.join(frames)


GREETING = '42["echo","grüße"]'
SPLIT = GREETING.encode().index("ü".encode()) + 1  # inside the character

BAD_UTF8 = {
    "ff fe": b"\xff\xfe",
    "overlong": b"\xc0\x80",
    "surrogate": b"\xed\xa0\x80",
    "too high": b"\xf4\x90\x80\x80",
    "cut": b"\xe2\x82",
    "alone": b"\x80",
}

BAD_FRAMES = [
    *(Bad(f"W-20 RSV {rsv:03b}", frame(TEXT, ECHO, rsv=rsv), 1002) for rsv in (4, 2, 1)),
    Bad("W-20 RSV on a control frame", frame(PING, rsv=4), 1002),
    *(
        Bad(f"W-21 opcode {opcode}", frame(opcode, b"x"), 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    Bad("W-22 unmasked", frame(TEXT, ECHO, mask=None), 1002),
    Bad("W-23 ping of 126 bytes", frame(PING, b"x" * 126), 1002),
    Bad("W-23 ping in pieces", frame(PING, b"x", fin=False), 1002),
    Bad("W-23 close of 126 bytes", frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    Bad("W-26 nothing to continue", frame(CONTINUATION, ECHO), 1002),
    Bad("W-26 text inside fragments", frame(TEXT, ECHO, fin=False) + frame(TEXT, ECHO), 1002),
    Bad("W-26 binary inside fragments", frame(TEXT, ECHO, fin=False) + frame(BINARY), 1002),
    Bad("W-29 16 bits for 12", frame(TEXT, ECHO, length_bits=16), 1002),
    Bad("W-29 64 bits for 12", frame(TEXT, ECHO, length_bits=64), 1002),
    Bad("W-29 64 bits for 200", frame(TEXT, b"4" * 200, length_bits=64), 1002),
    Bad("W-30 length with top bit", frame(TEXT, b"", length=2**63, length_bits=64), 1002),
    Bad("W-31 length 2^53", frame(TEXT, b"", length=2**53), 1009, TOO_BIG),
    Bad("W-31 length 2^62", frame(TEXT, b"", length=2**62), 1009, TOO_BIG),
    Bad("W-33 announced too large", frame(TEXT, b"", length=LIMIT + 1), 1009, TOO_BIG),
    Bad("W-33 too large", frame(TEXT, "4" + "a" * LIMIT), 1009, TOO_BIG, hosts=HOSTS),
    Bad("W-33 binary too large", frame(BINARY, b"a" * (LIMIT + 1)), 1009, TOO_BIG, hosts=HOSTS),
    Bad("W-33 characters too large", frame(TEXT, "4" + "€" * 33_334), 1009, TOO_BIG, hosts=HOSTS),
    Bad(
        "W-34 too large together",
        frame(TEXT, b"4" * 60_000, fin=False) + frame(CONTINUATION, b"4" * 60_000),
        1009,
        TOO_BIG,
    ),
    Bad(
        "W-35 empty fragments",
        frame(TEXT, b"4", fin=False) + frame(CONTINUATION, fin=False) * 20_000,
        1008,
    ),
    *(Bad(f"W-37 {name}", frame(TEXT, b"4" + bad), 1007) for name, bad in BAD_UTF8.items()),
    Bad("W-39 in the first fragment", pieces(b"4\xff\xfeabcdef", 3, 5), 1007),
    Bad("W-41 close of 1 byte", frame(CLOSE, b"\x03"), 1002, asked=True),
    *(
        Bad(f"W-42 close {code}", close_frame(code), 1002, asked=True)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    Bad("W-44 close with bad UTF-8", close_frame(1000, b"\xff\xfe"), 1007, asked=True),
]

WITHOUT_1009 = (1007, 1008, *range(1010, 1015))
CLOSES = [
    Bad(id_, data, code, TRANSPORT_CLOSE, hosts, answers, asked=True)
    for id_, data, code, hosts, answers in (
        (
            "W-28 close inside a message",
            frame(TEXT, ECHO, fin=False) + close_frame(1000),
            *(1000, FAST, list[str]()),
        ),
        ("W-40 empty close", close_frame(), NO_STATUS, HOSTS, []),
        *(
            (f"W-43 close {code}", close_frame(code, b"bye"), code, HOSTS, [])
            for code in (*range(1000, 1004), *WITHOUT_1009, 3000, 3999, 4000, 4999)
        ),
        ("W-43 close 1009", close_frame(1009, b"bye"), 1009, FAST, []),
        ("W-45 data behind close", close_frame(1000) + frame(TEXT, ECHO), 1000, HOSTS, []),
        (
            "W-45 data before close",
            frame(TEXT, '42["say",1]') + close_frame(1000),
            *(1000, FAST, ['42["said",1]']),
        ),
    )
]
# A host does not say which end has found a message too large.
CLOSES.append(
    Bad(
        "W-43 close 1009 of a host", close_frame(1009, b"bye"), 1009, hosts=("uvicorn",), asked=True
    )
)

FINE_FRAMES = [
    Fine("W-24 ping of 125 bytes", frame(PING, b"x" * 125), [Frame(PONG, b"x" * 125)]),
    Fine("W-24 empty ping", frame(PING), [Frame(PONG)]),
    Fine("W-25 pongs", frame(PONG, b"x") * 10_000),
    Fine("W-27 fragments", pieces(ECHO.encode(), 3, 5), [ECHO]),
    Fine(
        "W-27 ping between fragments",
        pieces(ECHO.encode(), 3, 3, 5, between=frame(PING, b"hi")),
        [Frame(PONG, b"hi"), Frame(PONG, b"hi"), Frame(PONG, b"hi"), ECHO],
    ),
    Fine("W-38 a character in two fragments", pieces(GREETING.encode(), SPLIT), [GREETING]),
    Fine("W-52 pongs", frame(TEXT, "3") * 200),
    Fine("W-52 upgrade", frame(TEXT, "5")),
    Fine("W-52 noop", frame(TEXT, "6")),
    Fine("W-52 open", frame(TEXT, "0") + frame(TEXT, '0{"sid":"x"}')),
]

# What is wrong with a packet, not with its frame: closed politely.
BAD_PACKETS = [
    Bad("W-50 empty", frame(TEXT, ""), 1000, PARSE, HOSTS),
    Bad("W-50 no type", frame(TEXT, "x"), 1000, PARSE, HOSTS),
    Bad("W-50 type 9", frame(TEXT, "9"), 1000, PARSE, HOSTS),
    Bad("W-50 arabic digit", frame(TEXT, "٤0"), 1000, PARSE, HOSTS),
    Bad("W-51 ping", frame(TEXT, "2"), 1000, TRANSPORT_ERROR, HOSTS),
    Bad("W-51 probe", frame(TEXT, "2probe"), 1000, TRANSPORT_ERROR, HOSTS),
    Bad("W-53 close", frame(TEXT, "1"), 1000, TRANSPORT_CLOSE, HOSTS),
    Bad("W-54 base64", frame(TEXT, "bAQ=="), 1000, FORCED, HOSTS),
    Bad("W-54 empty message", frame(TEXT, "4"), 1000, FORCED, HOSTS),
    Bad("W-54 empty binary", frame(BINARY), 1000, FORCED, HOSTS),
    Bad("W-54 binary", frame(BINARY, b"\x01"), 1000, FORCED, HOSTS),
    Bad("W-55 a payload", frame(TEXT, '42["echo",1]\x1e42["echo",2]'), 1000, FORCED, HOSTS),
]


def binary_before_connect(subject: Subject) -> None:
    for data in (frame(BINARY, b"\x01"), frame(BINARY), frame(TEXT, "4"), frame(TEXT, "b")):
        with WebSocketClient(subject.port_of()) as client:
            client.websocket.send(data)
            assert client.websocket.close_code() == 1000
            assert subject.reason(client.sid) == FORCED


def payload_before_connect(subject: Subject) -> None:
    """There are no payloads on a WebSocket: `40` with something behind it is no CONNECT."""
    with WebSocketClient(subject.port_of()) as client:
        client.send('40\x1e42["echo",1]')
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == FORCED
        assert not subject.seen("connection", sid=client.sid)


def byte_by_byte(subject: Subject) -> None:
    message = f'42["echo","{"a" * 99_970}"]'
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        data = frame(TEXT, message)
        client.websocket.connection.send_each(data[i : i + 1] for i in range(len(data)))
        assert client.message() == message


def largest_message(subject: Subject) -> None:
    message = f'42["echo","{"a" * (LIMIT - 13)}"]'
    assert len(message) == LIMIT
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.send(message)
        assert client.message() == message
        client.websocket.send(pieces(message.encode(), 1, 50_000, 99_999))
        assert client.message() == message


def cut_off(subject: Subject) -> None:
    for how in ("close", "reset"):
        client = WebSocketClient(subject.port_of())
        client.connect()
        getattr(client.websocket.connection, how)()
        assert subject.reason(client.sid) == subject.farewell(client.sid) == TRANSPORT_CLOSE


def cut_off_in_a_frame(subject: Subject) -> None:
    client = WebSocketClient(subject.port_of())
    client.connect()
    client.websocket.send(frame(TEXT, ECHO)[:-1])
    client.websocket.connection.close()
    assert subject.reason(client.sid) == TRANSPORT_CLOSE
    assert not subject.seen("event", sid=client.sid)


# -- upgrades -----------------------------------------------------------------------------------


def still_polling(client: PollingClient) -> None:
    client.say(ECHO)
    assert client.packets() == [ECHO]


def bad_probes(subject: Subject) -> None:
    """A probe that begins with anything else is closed, and the session polls on."""
    for data in (
        frame(TEXT, "2"),
        frame(TEXT, "2prob"),
        frame(TEXT, "2probe!"),
        frame(TEXT, "40"),
        frame(BINARY, b"\x01"),
        frame(TEXT, ""),
        frame(TEXT, "3probe"),
    ):
        with PollingClient(subject.port_of()) as polling:
            polling.connect()
            with start_upgrade(polling) as probe:
                probe.websocket.send(data)
                assert probe.websocket.close_code() == 1000
                probe.websocket.send(close_frame(1000))
                assert probe.websocket.connection.ended() == "eof"
            still_polling(polling)
            # Nor is the way barred for a proper upgrade.
            with upgrade(polling) as upgraded:
                assert upgraded.echoes()


def no_probe(subject: Subject) -> None:
    """The upgrade itself may come without a probe before it."""
    with PollingClient(subject.port_of()) as polling:
        polling.connect()
        with start_upgrade(polling) as upgraded:
            upgraded.send("5")
            assert upgraded.echoes()


def probe_twice(subject: Subject) -> None:
    polling = PollingClient(subject.port_of())
    polling.connect()
    with start_upgrade(polling) as probe:
        probe.send("2probe", "2probe")
        assert probe.websocket.texts(2) == ["3probe", "3probe"]
        still_polling(polling)
        probe.send("5")
        assert probe.echoes()


def packets_of_a_probe(subject: Subject) -> None:
    """What follows the probe must be the upgrade."""
    with PollingClient(subject.port_of()) as polling:
        polling.connect()
        with start_upgrade(polling) as probe:
            probe.send("2probe", ECHO)
            assert probe.text() == "3probe"
            assert probe.websocket.close_code() == 1000
        still_polling(polling)
        assert len(subject.seen("event", sid=polling.sid)) == 1


def second_while_upgrading(subject: Subject) -> None:
    polling = PollingClient(subject.port_of())
    polling.connect()
    with start_upgrade(polling) as first:
        first.send("2probe")
        assert first.text() == "3probe"
        with start_upgrade(polling) as second:
            assert second.websocket.close_code() == 1000
        still_polling(polling)
        first.send("5")
        assert first.echoes()


def second_after_the_upgrade(subject: Subject) -> None:
    polling = PollingClient(subject.port_of())
    polling.connect()
    with upgrade(polling) as first:
        assert first.echoes()
        for packet in ("2probe", "5", ECHO):
            with start_upgrade(polling) as second:
                second.send(packet)
                assert second.websocket.close_code() == 1000
        assert first.echoes()


def second_beside_the_first(subject: Subject) -> None:
    """A session that was opened over WebSocket cannot be taken over by another one."""
    with WebSocketClient(subject.port_of()) as first:
        first.connect()
        websocket = WebSocket(first.port, first.target("websocket"))
        with websocket:
            websocket.send_text("2probe", "5")
            assert websocket.close_code() == 1000
        assert first.echoes()


def traffic_while_upgrading(subject: Subject) -> None:
    """Nothing is lost or overtaken while the session moves."""
    polling = PollingClient(subject.port_of())
    polling.connect()
    sent = [f'42["echo",{number}]' for number in range(30)]
    received: list[str] = []
    with start_upgrade(polling) as probe:
        polling.say(*sent[:10])
        probe.send("2probe")
        assert probe.text() == "3probe"
        received += polling.several(10)
        polling.say(*sent[10:20])
        # These wait for a poll that does not come; the WebSocket brings them.
        probe.send("5", *sent[20:])
        received += probe.websocket.texts(20)
    assert received == sent


def released_polls(subject: Subject) -> None:
    """While the client upgrades, every poll is released, not only the first."""
    polling = PollingClient(subject.port_of())
    polling.connect()
    with polling.waiting() as poll, start_upgrade(polling) as probe:
        assert poll.silent()
        probe.send("2probe")
        assert probe.text() == "3probe"
        assert poll.answer().text == "6"
        for _ in range(3):
            assert polling.get().text == "6"
        probe.send("5")
        assert probe.echoes()


def upgrade_with_a_poll_pending(subject: Subject) -> None:
    """A client that did not wait for its poll gets an answer to it all the same."""
    polling = PollingClient(subject.port_of())
    polling.connect()
    with start_upgrade(polling) as probe:
        probe.send("2probe", "5")
        assert probe.text() == "3probe"
        with Connection(polling.port) as poll:
            poll.send(polling.get_request())
            answer = poll.answer()
            assert is_error(answer, 3) or answer.text == "6", answer
        assert probe.echoes()


def probe_then_gone(subject: Subject) -> None:
    for how in ("close", "reset"):
        with PollingClient(subject.port_of()) as polling:
            polling.connect()
            probe = start_upgrade(polling)
            probe.send("2probe")
            assert probe.text() == "3probe"
            getattr(probe.websocket.connection, how)()
            still_polling(polling)
            with upgrade(polling) as upgraded:
                assert upgraded.echoes()


def silent_probe(subject: Subject) -> None:
    """A WebSocket that never says anything is closed after `upgrade_timeout`."""
    with PollingClient(subject.port_of()) as silent, PollingClient(subject.port_of()) as halfway:
        silent.connect()
        halfway.connect()
        with start_upgrade(silent) as probe, start_upgrade(halfway) as half:
            half.send("2probe")
            assert half.text() == "3probe"
            for websocket in (probe.websocket, half.websocket):
                assert websocket.close_code() == 1000
        still_polling(silent)
        still_polling(halfway)


def closed_while_upgrading(subject: Subject) -> None:
    """The server disconnects a client that is half-way over."""
    polling = PollingClient(subject.port_of())
    polling.connect()
    with start_upgrade(polling) as probe:
        probe.send("2probe")
        assert probe.text() == "3probe"
        polling.say('42["close my connection"]')
        assert polling.several(2) == ["41", "1"]
        assert probe.websocket.close_code() == 1000
    assert polling.gone()
    assert subject.farewell(polling.sid) == "server namespace disconnect"


def ended_while_upgrading(subject: Subject) -> None:
    """The client ends the session that it is moving."""
    polling = PollingClient(subject.port_of())
    polling.connect()
    with start_upgrade(polling) as probe:
        probe.send("2probe")
        assert probe.text() == "3probe"
        polling.say("1")
        assert probe.websocket.close_code() == 1000
    assert subject.farewell(polling.sid) == TRANSPORT_CLOSE


def upgrade_not_allowed(subject: Subject) -> None:
    port = subject.port_of("no upgrades")
    with PollingClient(port) as polling:
        assert polling.open["upgrades"] == []
        with pytest.raises(Refused) as refused:
            WebSocket(port, polling.target("websocket"))
        assert is_error(refused.value.answer, 3)
        polling.connect()
        still_polling(polling)
    with WebSocketClient(port) as direct:
        direct.connect()
        assert direct.echoes()


def upgrade_of_an_ended_session(subject: Subject) -> None:
    polling = PollingClient(subject.port_of())
    polling.say("1")
    with pytest.raises(Refused) as refused:
        WebSocket(polling.port, polling.target("websocket"))
    assert is_unknown_sid(refused.value.answer)


def many_half_upgrades(subject: Subject) -> None:
    """None of them stays, with its client gone or the session ended."""
    for _ in range(50):
        polling = PollingClient(subject.port_of())
        probe = start_upgrade(polling)
        probe.send("2probe")
        polling.say("1")
        assert subject.reason(polling.sid) == TRANSPORT_CLOSE
        probe.websocket.connection.close()


SEVERAL_STEPS: list[tuple[str, Callable[[Subject], None], tuple[Host, ...]]] = [
    ("W-08 subprotocols", the_first_subprotocol, HOSTS),
    ("W-09 odd extensions", odd_extensions, FAST),
    ("W-11 accepted origins", accepted_origins, HOSTS),
    ("W-11 evil upgrade", evil_upgrade, HOSTS),
    ("W-12 glued frames", glued_frames, FAST),
    ("W-13 glued bad frame", glued_bad_frame, FAST),
    ("W-14 reset", reset_after_the_request, HOSTS),
    ("W-16 polling only", polling_only, HOSTS),
    ("W-16 websocket only", websocket_only, HOSTS),
    ("W-36 byte by byte", byte_by_byte, HOSTS),
    ("W-36 largest message", largest_message, HOSTS),
    ("W-46 cut off", cut_off, HOSTS),
    ("W-46 cut off in a frame", cut_off_in_a_frame, HOSTS),
    ("W-54 before CONNECT", binary_before_connect, HOSTS),
    ("W-55 before CONNECT", payload_before_connect, HOSTS),
    ("W-60 bad probes", bad_probes, HOSTS),
    ("W-60 no probe", no_probe, HOSTS),
    ("W-61 probe twice", probe_twice, HOSTS),
    ("W-61 packets of a probe", packets_of_a_probe, HOSTS),
    ("W-62 second while upgrading", second_while_upgrading, HOSTS),
    ("W-62 second after the upgrade", second_after_the_upgrade, HOSTS),
    ("W-62 second beside the first", second_beside_the_first, HOSTS),
    ("W-63 traffic while upgrading", traffic_while_upgrading, HOSTS),
    ("W-63 released polls", released_polls, HOSTS),
    ("W-63 poll pending", upgrade_with_a_poll_pending, HOSTS),
    ("W-64 probe then gone", probe_then_gone, HOSTS),
    ("W-64 silent probe", silent_probe, HOSTS),
    ("W-64 half upgrades", many_half_upgrades, HOSTS),
    ("W-65 closed while upgrading", closed_while_upgrading, HOSTS),
    ("W-65 ended while upgrading", ended_while_upgrading, HOSTS),
    ("W-65 ended before upgrading", upgrade_of_an_ended_session, HOSTS),
]

ROWS = [
    *(Row(row.id, row.run, row.hosts, row.server) for row in HANDSHAKES),
    *(Row(row.id, row.run, row.hosts) for row in (*BAD_FRAMES, *BAD_PACKETS)),
    *(Row(row.id, row.run, row.hosts) for row in FINE_FRAMES),
    *(Row(row.id, row.run, row.hosts) for row in CLOSES),
    *(Row(id_, run, hosts) for id_, run, hosts in SEVERAL_STEPS),
    Row("W-66 upgrades not allowed", upgrade_not_allowed, server="no upgrades"),
]
