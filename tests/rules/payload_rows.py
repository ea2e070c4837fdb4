"""Bad payloads of long-polling, revisions 4 and 3, posted to fresh sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.rules.clients import (
    ENGINE_IO,
    PollingClient,
    WebSocketClient,
    is_error,
    packets3,
    target,
)
from tests.rules.rows import (
    EMPTY_400,
    FORCED,
    PARSE,
    TOO_LARGE,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    VIOLATION,
    Expectation,
    Row,
    like,
    ok,
    still_alive,
)
from tests.rules.subject import Subject
from tests.support.raw import Connection, HeaderLines, exchange, request, upgrade_request

RS = "\x1e"
OCTETS: HeaderLines = [("Content-Type", "application/octet-stream")]
FORM: HeaderLines = [
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Sec-Fetch-Site", "same-origin"),
]


# -- revision 4 -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Payload:
    """A body of revision 4 for a Socket.IO server.

    `reason` is why the session ended, `None` if it goes on. `farewell` are the packets that the
    client still gets with its next poll; without one the session is gone at once. `connections`
    and `events` are what reached the application.
    """

    id: str
    body: str | bytes
    answer: Expectation = ok
    reason: str | None = None
    farewell: list[str] = field(default_factory=list[str])
    connections: int = 0
    events: int = 0
    joined: bool = False

    def run(self, subject: Subject) -> None:
        client = PollingClient(subject.port_of())
        sid = client.sid
        if self.joined:
            client.connect()
        self.answer(client.post(self.body))
        if self.reason is None:
            if self.joined:
                client.say('42["echo","alive"]')
                assert client.packets() == ['42["echo","alive"]']
            else:
                still_alive(client)
            client.say("1")
            assert subject.reason(sid) == TRANSPORT_CLOSE
            return
        if self.farewell:
            packets = client.several(len(self.farewell))
            assert like(packets, self.farewell), packets
        assert client.gone()
        assert subject.reason(sid) == self.reason
        connections = len(subject.seen("connection", sid=sid))
        assert connections == self.connections + self.joined
        if connections:
            assert subject.farewell(sid) == self.reason
        assert len(subject.seen("event", sid=sid)) == self.events


ECHO = '42["echo",1]'
FULL = f'42["echo","{"a" * (100_000 - len(ECHO) - 1)}"]'
assert len(FULL) == 100_000

PAYLOADS_4 = [
    Payload("E4-01 empty", "", EMPTY_400, PARSE),
    Payload("E4-02 no type", "x", EMPTY_400, PARSE),
    Payload("E4-03 type 9", "9", EMPTY_400, PARSE),
    Payload("E4-03 type 7", "7", EMPTY_400, PARSE),
    Payload("E4-03 type 8", "8", EMPTY_400, PARSE),
    Payload("E4-04 separator", RS, EMPTY_400, PARSE),
    Payload("E4-05 trailing separator", f"40{RS}", EMPTY_400, PARSE, connections=1),
    Payload("E4-06 leading separator", f"{RS}40", EMPTY_400, PARSE),
    Payload("E4-07 bad in the middle", f"40{RS}x{RS}{ECHO}", EMPTY_400, PARSE, connections=1),
    Payload("E4-08 empty message", "4", ok, FORCED, ["1"]),
    Payload("E4-09 empty binary", "b", ok, FORCED, ["1"]),
    # Base64 is read as Node reads it: what is not of its alphabet is nothing.
    Payload("E4-10 no base64", "b!!!!", ok, FORCED, ["1"]),
    Payload("E4-12 one character", "bA", ok, FORCED, ["1"]),
    Payload("E4-12 beyond ASCII", "bé", ok, FORCED, ["1"]),
    Payload("E4-12 twice", "bAQ==AQ==", ok, FORCED, ["1"]),
    Payload("E4-12 other alphabet", "b-_8=", ok, FORCED, ["1"]),
    Payload("E4-13 binary uncalled for", f"40{RS}bAQID", ok, FORCED, ["40*", "1"], connections=1),
    Payload("E4-14 ping", "2", ok, TRANSPORT_ERROR),
    Payload("E4-14 probe", "2probe", ok, TRANSPORT_ERROR),
    Payload("E4-15 pong", "3"),
    Payload("E4-15 pongs", RS.join(["3"] * 1000)),
    Payload("E4-16 open", "0"),
    Payload("E4-16 open with data", '0{"sid":"x"}'),
    Payload("E4-17 upgrade", "5"),
    Payload("E4-18 noop", "6"),
    Payload("E4-18 noops", RS.join(["6"] * 10_000)),
    Payload("E4-19 close", "1", ok, TRANSPORT_CLOSE),
    Payload("E4-19 close when joined", "1", ok, TRANSPORT_CLOSE, joined=True),
    Payload("E4-20 behind close", f"1{RS}40{RS}{ECHO}", ok, TRANSPORT_CLOSE),
    Payload("E4-20 event behind close", f"1{RS}{ECHO}", ok, TRANSPORT_CLOSE, joined=True),
    Payload("E4-21 arabic digit", "٤0", EMPTY_400, PARSE),
    Payload("E4-21 wide digit", "４0", EMPTY_400, PARSE),
    Payload("E4-22 no UTF-8", b"\x34\xff\xfe", EMPTY_400, PARSE),
    Payload("E4-23 byte order mark", "\ufeff40", EMPTY_400, PARSE),
    Payload("E4-24 NUL behind", "40\x00", ok, FORCED, ["1"]),
    Payload("E4-24 NUL inside", "4\x000", ok, FORCED, ["1"]),
    Payload("E4-27 too large", "4" + "a" * 100_000, TOO_LARGE),
    Payload("E4-28 bytes, not characters", "€" * 33_334, TOO_LARGE),
    # The half before the separator is a broken event; nothing behind it is looked at.
    Payload(
        "E4-29 separator in JSON",
        f'40{RS}42["echo","a{RS}b"]',
        ok,
        FORCED,
        ["40*", "1"],
        connections=1,
    ),
    Payload("E4-30 twice in /", f"40{RS}40", ok, VIOLATION, ["40*", "1"], connections=1),
]


def unpadded_base64(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        client.connect()
        client.say('451-["echo",{"_placeholder":true,"num":0}]', "bAQI")
        assert client.packets() == ['451-["echo",{"_placeholder":true,"num":0}]', "bAQI="]


def many_packets(subject: Subject) -> None:
    """Others are served while a large payload is taken apart."""
    port = subject.port_of("large")
    with PollingClient(port) as client, Connection(port) as connection:
        connection.send(client.post_request(RS.join(["6x"] * 333_333)))
        with WebSocketClient(port) as other:
            other.connect()
            assert other.echoes()
        ok(connection.answer())
        still_alive(client)


def largest_body(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        client.connect()
        ok(client.post(FULL))
        assert client.packets() == [FULL]


def separator_is_escaped(subject: Subject) -> None:
    """What we send never contains a bare separator."""
    with PollingClient(subject.port_of()) as client:
        client.connect()
        client.say(r'42["echo","a\u001eb"]')
        assert client.packets() == [r'42["echo","a\u001eb"]']


def many_events(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        client.connect()
        events = [f'42["echo",{number}]' for number in range(5000)]
        client.say(*events)
        assert client.several(5000) == events


ROWS_4 = [
    *(Row(payload.id, payload.run) for payload in PAYLOADS_4),
    Row("E4-11 unpadded base64", unpadded_base64),
    Row("E4-25 333 333 packets", many_packets, server="large"),
    Row("E4-26 largest body", largest_body),
    Row("E4-29 our separators", separator_is_escaped),
    Row("E4-31 5 000 events", many_events),
]


# -- revision 3 -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LegacyPayload:
    """A body of revision 3 for an Engine.IO server that echoes.

    `messages` are those that reach the application, whether or not the session survives;
    `packets` is what the next poll brings, if not their echo.
    """

    id: str
    body: str | bytes
    messages: list[str | bytes] = field(default_factory=list[str | bytes])
    reason: str | None = PARSE
    answer: Expectation | None = None
    packets: list[str] | None = None
    headers: HeaderLines = ()

    def run(self, subject: Subject) -> None:
        client = PollingClient(subject.port_of("engine"), 3, path=ENGINE_IO, b64=1)
        sid = client.sid
        answer = self.answer or (EMPTY_400 if self.reason == PARSE else ok)
        answer(client.post(self.body, self.headers))
        if self.reason is None:
            echo = [_echo3(message) for message in self.messages]
            expected = echo if self.packets is None else self.packets
            if expected:
                assert client.packets() == expected
            client.say("4alive")
            assert client.packets() == ["4alive"]
            client.say("1")
        else:
            assert client.gone()
        assert subject.reason(sid) == (self.reason or TRANSPORT_CLOSE)
        told = [report["data"] for report in subject.seen("message", sid=sid)]
        assert told[: len(self.messages)] == [_told(message) for message in self.messages]
        assert len(told) == len(self.messages) + (self.reason is None)


def _echo3(message: str | bytes) -> str:
    if isinstance(message, str):
        return "4" + message
    assert message == b"\x01", "the only one that is used"
    return "b4AQ=="


def _told(message: str | bytes) -> str:
    return message if isinstance(message, str) else repr(message)


def _octets(id_: str, body: str, messages: list[str | bytes] | None = None) -> LegacyPayload:
    """A binary payload; one with messages is proper."""
    reason = PARSE if messages is None else None
    return LegacyPayload(id_, bytes.fromhex(body), messages or [], reason, headers=OCTETS)


PAYLOADS_3 = [
    LegacyPayload("E3-01 empty", ""),
    LegacyPayload("E3-04 UTF-16 units", "6:4hello2:4€", ["hello", "€"], None),
    LegacyPayload("E3-05 bytes", "3:4€"),
    LegacyPayload("E3-06 surrogate pair", "3:4😀", ["😀"], None),
    LegacyPayload("E3-06 half a pair", "2:4😀"),
    LegacyPayload("E3-08 exponent", "2e0:4a"),
    LegacyPayload("E3-08 hexadecimal", "0x2:4a"),
    LegacyPayload("E3-08 space", " 2:4a"),
    LegacyPayload("E3-08 plus", "+2:4a"),
    LegacyPayload("E3-08 fraction", "1.0:4"),
    LegacyPayload("E3-08 leading zero", "01:4", [""], None),
    LegacyPayload("E3-09 minus", "-1:4a"),
    LegacyPayload("E3-09 NaN", "NaN:4a"),
    LegacyPayload("E3-09 Infinity", "Infinity:4"),
    LegacyPayload("E3-09 overflow", "1e1000:4"),
    LegacyPayload("E3-09 no length", ":4a"),
    LegacyPayload("E3-09 arabic digit", "٢:4a"),
    LegacyPayload("E3-10 long length", "99999999999999999999:4a"),
    LegacyPayload("E3-11 short by one", "2:4"),
    LegacyPayload("E3-11 short", "9:4a"),
    LegacyPayload("E3-12 nothing", "0:", [], None),
    LegacyPayload("E3-12 nothing first", "0:2:4a", ["a"], None),
    LegacyPayload("E3-12 nothing often", "0:" * 500_000, [], None),
    LegacyPayload("E3-13 digit behind", "2:4a3", ["a"]),
    LegacyPayload("E3-13 colon behind", "2:4a:", ["a"]),
    LegacyPayload("E3-13 newline behind", "2:4a\n", ["a"]),
    LegacyPayload("E3-14 type 9", "2:9a"),
    LegacyPayload("E3-14 type x", "2:xa"),
    LegacyPayload("E3-15 ping", "1:2", [], None, packets=["3"]),
    LegacyPayload("E3-15 ping with data", "6:2probe", [], None, packets=["3probe"]),
    LegacyPayload("E3-16 pong", "1:3", [], TRANSPORT_ERROR),
    LegacyPayload("E3-17 base64", "4:b4AQ", [b"\x01"], None),
    LegacyPayload("E3-19 base64 of type 9", "3:b9A"),
    # The length cuts the base64: what it leaves of it is a message, the rest is none.
    LegacyPayload("E3-20 base64 cut", "7:b4AQIDBA==", [b"\x01\x02\x03"]),
    _octets("E3-21 unfinished length", "00"),
    _octets("E3-22 no length", "00ff"),
    _octets("E3-22 nothing behind the length", "0001ff"),
    _octets("E3-23 text", "0002ff3461", ["a"]),
    _octets("E3-24 binary", "0102ff0401", [b"\x01"]),
    _octets("E3-25 short", "010100ff0401"),
    _octets("E3-26 no digit", "000bff34"),
    _octets("E3-27 marker 2", "0202ff3461"),
    _octets("E3-28 type 9", "0101ff09"),
    _octets("E3-29 cut UTF-8", "0003ff34e282"),
    _octets("E3-30 400 digits", "00" + "09" * 400 + "ff"),
    LegacyPayload("E3-31 noops", "1:6" * 333_333, [], None),
]


def legacy_empty_message(subject: Subject) -> None:
    """To Socket.IO, a message without a packet in it is a mistake."""
    client = PollingClient(subject.port_of(), 3)
    client.connect()
    ok(client.post("1:4"))
    assert client.packets() == ["1"]
    assert client.gone()
    assert subject.reason(client.sid) == subject.farewell(client.sid) == FORCED


def legacy_connect(subject: Subject) -> None:
    """Clients of Socket.IO 2 are in `/` without asking, and may ask all the same."""
    with PollingClient(subject.port_of(), 3) as client:
        client.connect()
        client.say("40")
        client.say('42["echo",1]')
        assert client.packets() == ['42["echo",1]']
        assert len(subject.seen("connection", sid=client.sid)) == 1


def legacy_emoji(subject: Subject) -> None:
    with PollingClient(subject.port_of("engine"), 3, path=ENGINE_IO, b64=1) as client:
        client.say("4😀")
        answer = client.get()
        assert answer.content_type == "text/plain; charset=UTF-8"
        assert answer.body == "3:4😀".encode()
    with PollingClient(subject.port_of(), 3, b64=1) as client:
        client.connect()
        client.say('42["echo","😀"]')
        # In JSON it is escaped, which also those read rightly that decode text twice.
        assert client.get().body == rb'25:42["echo","\ud83d\ude00"]'


def legacy_empty_binary(subject: Subject) -> None:
    with PollingClient(subject.port_of("engine"), 3, path=ENGINE_IO, b64=1) as client:
        ok(client.post("2:b4"))
        assert client.get().body == b"2:b4"


JSONP_FORMS: list[tuple[str, bytes, Expectation, str | None, list[str]]] = [
    ("E3-32 form", b"d=3%3A4hi", ok, None, ["4hi"]),
    ("E3-32 empty field", b"d=", EMPTY_400, PARSE, []),
    ("E3-32 no field", b"x=1", ok, None, []),
    ("E3-32 no form", b"", ok, None, []),
    ("E3-32 field twice", b"d=3%3A4hi&d=3%3A4ho", ok, None, []),
    ("E3-32 cut escape", b"d=%E0%A4%A", EMPTY_400, PARSE, []),
    ("E3-32 escaped newline", rb"d=4%3A4a%5Cnb", ok, None, ["4a\nb"]),
    ("E3-32 escaped backslash", rb"d=5%3A4a%5C%5Cnb", ok, None, [r"4a\nb"]),
]


def jsonp_forms() -> Iterator[Row]:
    for id_, body, answer, reason, packets in JSONP_FORMS:

        def run(
            subject: Subject,
            body: bytes = body,
            answer: Expectation = answer,
            reason: str | None = reason,
            packets: list[str] = packets,
        ) -> None:
            client = PollingClient(subject.port_of("engine"), 3, path=ENGINE_IO)
            form = request("POST", client.target("polling", j=0), FORM, body)
            answer(exchange(client.port, form))
            if reason is not None:
                assert client.gone()
                assert subject.reason(client.sid) == reason
                return
            with client:
                client.say("4after")
                assert client.packets() == [*packets, "4after"]

        yield Row(id_, run, server="main")


def binary_to_legacy() -> Iterator[Row]:
    """Whoever says `b64` with any value cannot read binary answers."""
    cases = {"b64=1": True, "b64=0": True, "b64=": False, "b": False}
    for query, base64 in cases.items():

        def run(subject: Subject, query: str = query, base64: bool = base64) -> None:
            name, _, value = query.partition("=")
            with PollingClient(subject.port_of(), 3, headers=(), **{name: value}) as client:
                client.connect()
                client.say('42["send bytes",1,2,255]')
                header = '451-["bytes",{"_placeholder":true,"num":0}]'
                answer = client.get()
                if base64:
                    assert answer.content_type == "text/plain; charset=UTF-8"
                    assert packets3(answer.text) == [header, "b4AQL/"]
                else:
                    assert answer.content_type == "application/octet-stream"
                    length = bytes(int(digit) for digit in str(len(header)))
                    text = b"\x00" + length + b"\xff" + header.encode()
                    assert answer.body == text + b"\x01\x04\xff\x04\x01\x02\xff"

        yield Row(f"E3-33 {query}", run)


def legacy_not_allowed(subject: Subject) -> None:
    port = subject.port_of("eio4")
    assert is_error(exchange(port, request("GET", target("polling", 3))), 5)
    assert is_error(exchange(port, upgrade_request(target("websocket", 3))), 5)


def payload_of_revision_4(subject: Subject) -> None:
    client = PollingClient(subject.port_of(), 3)
    EMPTY_400(client.post("40"))
    assert client.gone()
    assert subject.reason(client.sid) == PARSE


ROWS_3 = [
    *(Row(payload.id, payload.run) for payload in PAYLOADS_3),
    Row("E3-02 empty message", legacy_empty_message),
    Row("E3-03 connect", legacy_connect),
    Row("E3-07 emoji", legacy_emoji),
    Row("E3-18 empty binary", legacy_empty_binary),
    *jsonp_forms(),
    *binary_to_legacy(),
    Row("E3-34 not allowed", legacy_not_allowed, server="eio4"),
    Row("E3 payload of revision 4", payload_of_revision_4),
]
