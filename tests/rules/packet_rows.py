"""Bad Socket.IO packets, as messages of a WebSocket that has joined `/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.apps.rules import LONG_NAME
from tests.rules.clients import (
    PollingClient,
    WebSocketClient,
    socket_id,
    start_upgrade,
)
from tests.rules.rows import FORCED, TRANSPORT_CLOSE, VIOLATION, Row
from tests.rules.subject import Subject
from tests.support.raw import BINARY, TEXT, close_frame, frame

Message: TypeAlias = str | bytes


def frames(messages: list[Message]) -> list[bytes]:
    """Messages as frames."""
    return [frame(TEXT if isinstance(message, str) else BINARY, message) for message in messages]


@dataclass(frozen=True)
class Packet:
    """Messages, all sent together, and exactly what they are answered with.

    `reason` is why the connection ended, `None` if it goes on; `joined` says that `/` has been
    joined before; `events` is how many events reached the application.
    """

    id: str
    sent: list[Message]
    answers: list[Message] = field(default_factory=list[Message])
    reason: str | None = None
    events: int = 0
    joined: bool = True
    server: str = "main"
    error: str = ""
    """What the `error` handler of the socket is told, in part."""

    def run(self, subject: Subject) -> None:
        with WebSocketClient(subject.port_of(self.server)) as client:
            if self.joined:
                client.connect()
            client.websocket.send(*frames(self.sent))
            for answer in self.answers:
                assert client.message() == answer
            if self.reason is None:
                if self.joined:
                    assert client.echoes()
                return
            assert client.websocket.close_code() == 1000
            client.websocket.send(close_frame(1000))
            assert client.websocket.connection.ended() == "eof"
            assert subject.reason(client.sid) == self.reason
            if self.joined:
                assert subject.farewell(client.sid) == self.reason
        assert len(subject.seen("event", sid=client.sid)) == self.events
        told = subject.seen("error", sid=client.sid)
        # The application is told of what cannot be decoded, not of what was out of place.
        assert len(told) == (self.joined and self.reason == FORCED), told
        assert all(self.error in report["args"][0] for report in told), told


def bad(id_: str, *sent: Message, reason: str = FORCED, error: str = "") -> Packet:
    """What ends the connection."""
    return Packet(id_, list(sent), [], reason, error=error)


def echo(id_: str, packet: str, answer: str | None = None) -> Packet:
    """What is echoed, as it is unless something else is given."""
    return Packet(id_, [packet], [packet if answer is None else answer], events=1)


def each(id_: str, packets: tuple[str, ...], *, reason: str = FORCED) -> list[Packet]:
    return [bad(f"{id_} {packet[:40]}", packet, reason=reason) for packet in packets]


PLACEHOLDER = '{"_placeholder":true,"num":0}'
HEADER = f'451-["echo",{PLACEHOLDER}]'


def with_placeholder(num: str) -> Packet:
    text = f'451-["echo",{{"_placeholder":true,"num":{num}}}]'
    return bad(f"S-64 num {num}", text, b"\x01")


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return f'42["echo",{opening * depth}1{closing * depth}]'


UNJOINED = [
    Packet("S-01 event before CONNECT", ['42["echo",1]'], [], VIOLATION, joined=False),
    Packet("S-01 ack before CONNECT", ["430[]"], [], VIOLATION, joined=False),
    Packet("S-01 binary before CONNECT", [HEADER, b"\x01"], [], VIOLATION, joined=False),
    Packet("S-01 DISCONNECT before CONNECT", ["41"], [], VIOLATION, joined=False),
    *(
        Packet(f"S-04 {packet}", [packet], [], FORCED, joined=False)
        for packet in (
            *("40[]", "40null", '40"x"', "40true", "40{", "40{}x", "401[]", "40-1", "40{},"),
            "40/custom,[]",
        )
    ),
    Packet("S-13 CONNECT_ERROR", ["44"], [], FORCED, joined=False),
    Packet("S-14 empty", ["4"], [], FORCED, joined=False),
]

CONNECTING = [
    bad("S-02 twice", "40", reason=VIOLATION),
    bad("S-02 twice with payload", "40{}", reason=VIOLATION),
    Packet("S-03 unknown namespace", ["40/nope,"], ['44/nope,{"message":"Invalid namespace"}']),
    Packet("S-03 without comma", ["40/nope"], ['44/nope,{"message":"Invalid namespace"}']),
    Packet("S-03 with payload", ["40/nope,{}"], ['44/nope,{"message":"Invalid namespace"}']),
    Packet(
        "S-06 payload without comma",
        ["40/custom{}"],
        ['44/custom{},{"message":"Invalid namespace"}'],
    ),
    Packet("S-07 query", ["40/custom?b=c,{}"], ['44/custom?b=c,{"message":"Invalid namespace"}']),
    bad("S-08 long namespace", f"40/{'n' * 10_000},"),
    Packet(
        "S-08 longest namespace",
        [f"40/{'n' * 254},"],
        [f'44/{"n" * 254},{{"message":"Invalid namespace"}}'],
    ),
    *each("S-12", ("41{}", "41[]", '41"x"', "41null")),
    bad("S-12 not joined", "41/custom", reason=VIOLATION),
    bad("S-12 unknown", "41/x,", reason=VIOLATION),
    *each("S-13", ("44", '44{"message":"x"}', '44"x"', '44/custom,{"message":"x"}')),
    *each("S-14", ("47", "48", "49", "4x", "4 ", "4-1", "4", '4"', "4\x00")),
    bad("S-15 event for a namespace not joined", '42/custom,["echo",1]', reason=VIOLATION),
    bad("S-15 ack for a namespace not joined", "43/custom,0[]", reason=VIOLATION),
    bad(
        "S-15 binary for a namespace not joined",
        f"451-/custom,[{PLACEHOLDER}]",
        b"",
        reason=VIOLATION,
    ),
]

EVENTS = [
    *each("S-20", ("42",)),
    *each("S-21", ("42[]", "42{}", "42null", '42"a"', "421", "421[]", "42true")),
    *each(
        "S-22", ("42[null]", "42[true]", "42[false]", "42[{}]", '42[["a"]]', '42[{"toString":"a"}]')
    ),
    Packet("S-23 empty name", ['42[""]']),
    Packet("S-24 numbers", ["42[1,2]", "42[1.5]", "42[-1]", "42[0]", "421[1]"]),
    *each("S-24", ("42[1e400]",)),
    *each(
        "S-25",
        tuple(
            f'42["{name}"]'
            for name in (
                *("connect", "connect_error", "disconnect", "disconnecting"),
                *("newListener", "removeListener"),
            )
        ),
    ),
    *each("S-25 escaped", ('42["disc\\u006fnnect"]', '420["disconnect"]', '42["connect",{}]')),
    *each(
        "S-27",
        (
            *('42["echo",1', '42["echo"]x', '42["echo"],', "42'echo'", '42["echo"]]', '42["echo'),
            *('42["echo",]', '42["echo" 1]', '42[,"echo"]', '42["echo"]\x00', '42["a\nb"]'),
        ),
    ),
    Packet("S-28 space behind", ['42["echo"] '], ['42["echo"]'], events=1),
    # White space belongs to the JSON: it is no digit of an ack id, as it is to Node.
    echo("S-28 space before", '42 ["echo",1]', '42["echo",1]'),
    echo("S-28 newline before", '42 \n["echo"]', '42["echo"]'),
    echo("S-28 tab before", '42\t["echo"]', '42["echo"]'),
    *each("S-28", ('42 1["echo"]', '42\u00a0["echo"]', '421 2["echo"]')),
    echo("S-29 ack", '421["echo",1]', "431[1]"),
    echo("S-30 ack 0", '420["echo"]', "430[]"),
    echo("S-31 largest ack id", '429007199254740991["echo",1]', "439007199254740991[1]"),
    echo("S-31 16 digits", '429999999999999999["echo",1]', "439999999999999999[1]"),
    *each("S-31", ('4210000000000000000["echo"]', '42999999999999999999999["echo",1]')),
    bad("S-32 5 000 digits", f'42{"2" * 5000}["echo",1]'),
    bad("S-32 99 990 digits", f"42{'2' * 99_990}"),
    *each(
        "S-33",
        (
            *('42-1["echo"]', '421.5["echo"]', '42٣["echo"]', '42+1["echo"]', '421_0["echo"]'),
            *('42１["echo"]', '42²["echo"]', '420x1["echo"]', '421e1["echo"]', '42-["echo"]'),
        ),
    ),
    Packet("S-34 acks nobody waits for", ["43", "430[]", "4399[1]", "43[]", '431["x",{}]']),
    Packet("S-34 many acks", [f"43{number}[1]" for number in range(2000)]),
    *each("S-34", ("43-1[1]", "43+1[1]")),
    *each("S-35", ("43x", "431{}", "431null", '431"x"', "431[", "431[]x", "431")),
]

ECHO_TEXT = '42["echo",'

JSON = [
    *each(
        "S-40",
        tuple(
            f"{ECHO_TEXT}{value}]"
            for value in (
                *("NaN", "Infinity", "-Infinity", "0x1", "01", ".5", "'a'", "[1,]", "1.", "+1"),
                *("/* */1", "1 // x", "undefined", "True", "None", "1e", "--1", "tru", "{a:1}"),
                *('{"a":1,}', '{"a"}', "{1:2}", '"\\x41"', '"\\u12"', '"\t"', "\x0b1", "\u00a01"),
            )
        ),
    ),
    bad("S-41 1e400", '42["echo",1e400]'),
    bad("S-41 -1e400", '42["echo",-1e400]'),
    echo("S-42 minus zero", '42["echo",-0]', '42["echo",0]'),
    echo("S-42 minus zero, float", '42["echo",-0.0]'),
    echo("S-43 beyond 2^53", '42["echo",9007199254740993]'),
    echo("S-44 largest of 64 bits", '42["echo",18446744073709551615,-9223372036854775808]'),
    bad("S-45 5 000 nines", f'42["echo",{"9" * 5000}]'),
    echo("S-47 controls", r'42["echo","\u0000\u001e\u007f"]', '42["echo","\\u0000\\u001e\x7f"]'),
    echo("S-47 separators", '42["echo","\u2028\u2029"]'),
    echo("S-47 escapes", r'42["echo","\u4f60\ud83d\ude00\/"]', '42["echo","你😀/"]'),
    echo("S-48 nesting 100", nested(100)),
    echo("S-48 nesting 127", nested(127)),
    bad("S-48 nesting 128", nested(128)),
    bad("S-49 nesting 5 000", nested(5000)),
    bad("S-49 nesting 20 000", nested(20_000)),
    bad("S-49 nesting 10 000 objects", nested(10_000, '{"a":', "}")),
    bad("S-50 100 000 unclosed", "42" + "[" * 99_998),
    bad("S-50 unclosed objects", "42" + '{"a":' * 19_000),
    bad("S-50 quotes", "42[" + "[" * 130 + '"' + '\\"' * 49_000),
    echo("S-51 keys twice", '42["echo",{"a":1,"b":2,"a":3}]', '42["echo",{"a":3,"b":2}]'),
    echo("S-52 prototype", '42["echo",{"__proto__":{"x":1},"constructor":1,"__class__":"y"}]'),
    Packet(
        "S-52 prototype as event", ['42["__proto__",1]', '42["constructor"]', '42["__class__"]']
    ),
    echo("S-54 byte order mark inside", '42["echo","\ufeff"]'),
    *each("S-54 byte order mark", ('42\ufeff["echo",1]',)),
    bad("S-54 UTF-16", "42".encode("utf-16-le") + '["echo"]'.encode("utf-16-le")),
]

BINARIES = [
    *each(
        "S-60",
        (
            *('45-["echo"]', '45a-["echo"]', '451.5-["echo"]', '451e0-["echo"]', '450x1-["echo"]'),
            *('45 1-["echo"]', '45+1-["echo"]', '45٣-["echo"]', '451["echo"]', "45", "451", "46"),
            *('45-1-["echo"]', '451_0-["echo"]', '45１-["echo"]', '421-["echo"]'),
            *("461", '46["x"]'),
        ),
    ),
    *each("S-60 attachments where none belong", ("401-{}", "431-1[]", "411-", '441-"x"')),
    *each("S-61", ('450-["echo"]', '4500-["echo"]', "460-0[]")),
    bad("S-62 11", '4511-["echo"]', error="11 are announced, the limit is 10"),
    bad("S-62 many", '4599999999999-["echo"]', error="too many attachments"),
    bad("S-62 5 000 digits", f'45{"9" * 5000}-["echo"]', error="too many attachments"),
    Packet("S-63 binary", [HEADER, b"\x01\x02\xff"], [HEADER, b"\x01\x02\xff"], events=1),
    Packet("S-63 empty binary", [HEADER, b""], [HEADER, b""], events=1),
    *map(with_placeholder, ("1", "-1", "true", '"0"', "null", "0.5", "1e99", "0.0", "[]", "{}")),
    bad("S-64 num missing", '451-["echo",{"_placeholder":true}]', b"\x01"),
    Packet(
        "S-65 no placeholder",
        ['451-["echo",{"_placeholder":1,"num":0}]', b"\x01"],
        ['42["echo",{"_placeholder":1,"num":0}]'],
        events=1,
    ),
    Packet(
        "S-65 nor with text",
        ['451-["echo",{"_placeholder":"true","num":0}]', b"\x01"],
        ['42["echo",{"_placeholder":"true","num":0}]'],
        events=1,
    ),
    Packet(
        "S-66 one twice",
        [f'452-["echo",{PLACEHOLDER},{PLACEHOLDER}]', b"\x01", b"\x02"],
        [f'452-["echo",{PLACEHOLDER},{PLACEHOLDER.replace("0", "1")}]', b"\x01", b"\x01"],
        events=1,
    ),
    bad("S-67 as event name", f"451-[{PLACEHOLDER}]", b"\x01"),
    bad("S-67 as payload", f"451-{PLACEHOLDER}", b"\x01"),
    bad("S-68 text in between", HEADER, '42["echo",1]'),
    bad("S-68 another header in between", HEADER, HEADER),
    Packet("S-69 pong in between", [HEADER, "3", b"\x01"], [HEADER, b"\x01"], events=1),
    bad("S-70 binary with no header", b"\x01"),
    Packet(
        "S-70 one too many",
        [HEADER, b"\x01", b"\x02"],
        [HEADER, b"\x01"],
        FORCED,
        events=1,
    ),
    bad("S-71 DISCONNECT in between", HEADER, "41", b"\x01"),
    echo("S-73 placeholder in an event", f'42["echo",{PLACEHOLDER}]'),
    # The client cannot tell these two apart; an application that needs to must not send this.
    Packet(
        "S-74 likeness of a placeholder",
        ['42["send a likeness"]'],
        [f'451-["likeness",{PLACEHOLDER},{PLACEHOLDER}]', b"\x01"],
    ),
    Packet(
        "S-75 ack with binary",
        [f"461-1[{PLACEHOLDER}]", b"\x01", f"461-[{PLACEHOLDER}]", b"\x01"],
    ),
    bad("S-76 too many bytes", f'459-["echo",{PLACEHOLDER}]', b"a" * 99_000, b"a" * 99_000),
    bad("S-76 large header", f'451-["echo",{PLACEHOLDER},"{"a" * 99_000}"]', b"a" * 2000),
    bad("S-77 bad JSON in a binary event", '451-["echo",', b"\x01"),
    bad("S-77 deep JSON in a binary event", "451-" + nested(5000)[2:], b"\x01"),
    bad("S-77 two dashes", '451--["echo"]', b"\x01"),
    bad("S-77 no event", "451-{}", b"\x01"),
    bad("S-77 reserved name", f'451-["disconnect",{PLACEHOLDER}]', b"\x01"),
]

# -- what takes several steps ---------------------------------------------------------------


def many_unknown_namespaces(subject: Subject) -> None:
    """They leave nothing. The log sums them up (not in this process, see ``tally.FEW``)."""
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        for start in range(0, 2000, 500):
            client.send(*(f"40/x{number}," for number in range(start, start + 500)))
            for number in range(start, start + 500):
                assert client.text() == f'44/x{number},{{"message":"Invalid namespace"}}'
        assert client.echoes()
    log = subject.new_log()
    refused = [line for line in log if "there is no such namespace" in line]
    assert len(refused) == 2000
    (name,) = {line.partition("(")[2] for line in refused}
    assert len([line for line in log if name in line]) < 2010


def root_by_name(subject: Subject) -> None:
    for packet in ("40/", "40/,", "40/,{}"):
        with WebSocketClient(subject.port_of()) as client:
            client.send(packet)
            socket_id(client.text())
            assert client.echoes()


def legacy_query(subject: Subject) -> None:
    """Clients of Socket.IO 2 send the query of a namespace with its name."""
    with WebSocketClient(subject.port_of(), 3) as client:
        client.connect()
        client.send("40/custom?b=c&d=%C3%A9,")
        assert client.text() == "40/custom,"
        report = subject.wait("connection", sid=client.sid, nsp="/custom")
        assert report["auth"] == {"b": "c", "d": "é"}
        client.send("40//")
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == FORCED


def silence(subject: Subject) -> None:
    """Who joins nothing is closed after `connect_timeout`, polling or not."""
    polling = PollingClient(subject.port_of())
    refused = WebSocketClient(subject.port_of())
    refused.send("40/nope,")
    assert refused.text() == '44/nope,{"message":"Invalid namespace"}'
    with WebSocketClient(subject.port_of()) as client, refused:
        with polling.waiting() as poll:
            assert client.websocket.close_code() == 1000
            assert refused.websocket.close_code() == 1000
            assert poll.answer().text == "1"
        assert polling.gone()
        for sid in (polling.sid, client.sid):
            assert subject.reason(sid) == VIOLATION


def event_after_leaving(subject: Subject) -> None:
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.send("41", '42["echo",1]')
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == VIOLATION
        assert subject.farewell(client.sid) == "client namespace disconnect"
        assert not subject.seen("event", sid=client.sid)


def connect_with_an_id(subject: Subject) -> None:
    """An id means nothing in a CONNECT."""
    for packet in ("401", "401{}", "40 {}"):
        with WebSocketClient(subject.port_of()) as client:
            client.send(packet)
            socket_id(client.text())
            assert client.echoes()


def joined_again(subject: Subject) -> None:
    with WebSocketClient(subject.port_of()) as client:
        first = client.connect()
        client.send("41")
        assert subject.farewell(client.sid) == "client namespace disconnect"
        assert client.connect() != first
        assert client.echoes()


def ack_id(packet: str, payload: str) -> int:
    """The id under which the server wants to be answered."""
    assert packet.startswith("42"), packet
    assert packet.endswith(payload), packet
    return int(packet[2 : -len(payload)])


def answered_twice(subject: Subject) -> None:
    """Only the first answer counts, only from the one who was asked, only where it was asked."""
    with (
        WebSocketClient(subject.port_of()) as client,
        WebSocketClient(subject.port_of()) as other,
    ):
        client.connect()
        client.connect("/custom")
        other.connect()
        client.send('42["ask","?"]')
        id_ = ack_id(client.text(), '["question","?"]')
        other.send(f'43{id_}["mine"]')
        assert other.echoes()
        client.send(f'43/custom,{id_}["elsewhere"]')
        client.send(f'43{id_}["first"]', f'43{id_}["second"]')
        assert client.echoes()
        assert other.echoes()
        answers = [report["args"] for report in subject.seen("answer")]
        assert answers == [["first"]]


def answered_too_late(subject: Subject) -> None:
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.send('42["ask briefly"]')
        id_ = ack_id(client.text(), '["question"]')
        assert client.text() == '42["too late"]'
        client.send(f"43{id_}[]")
        assert client.echoes()


def large_integers(subject: Subject) -> None:
    """Beyond 64 bits: delivered as they are, to others too."""
    numbers = "18446744073709551616,-9223372036854775809"
    room_mates(subject, f'42["tell room","r",{numbers}]', f'42["told",{numbers}]')


def lone_surrogates(subject: Subject) -> None:
    """JavaScript has them in its strings: they travel on in escaped form, and harm nobody."""
    for text in (r"\ud800", r"\udc00\ud800", r"a\udfff", r"\ud83d\ud83d\ude00"):
        room_mates(subject, f'42["tell room","r","{text}"]', f'42["told","{text}"]')
        with PollingClient(subject.port_of(), 3, b64=1) as legacy:
            legacy.connect()
            legacy.say(f'42["echo","{text}"]')
            assert legacy.packets() == [f'42["echo","{text}"]']


def room_mates(subject: Subject, sent: str, told: str) -> None:
    """What one tells a room arrives with everybody in it, over both transports."""
    port = subject.port_of()
    with WebSocketClient(port) as client, PollingClient(port) as poller:
        client.connect()
        poller.connect()
        client.send('42["join","r"]')
        poller.say('42["join","r"]')
        client.send(sent)
        assert client.text() == told
        assert poller.packets() == [told]


def separators_everywhere(subject: Subject) -> None:
    text = '"\\u0000\\u001e\u2028\\"\\\\"'
    room_mates(subject, f'42["tell room","r",{text}]', f'42["told",{text}]')


def many_keys(subject: Subject) -> None:
    port = subject.port_of("large")
    keys = ",".join(f'"{number}":0' for number in range(70_000))
    twice = ",".join(['"k":0'] * 50_000 + ['"k":1'])
    with WebSocketClient(port) as client:
        client.connect()
        client.send(f'42["echo",{{{keys}}}]')
        assert client.text() == f'42["echo",{{{keys}}}]'
        client.send(f'42["echo",{{{twice}}}]')
        assert client.text() == '42["echo",{"k":1}]'


def long_event_name(subject: Subject) -> None:
    """It is handled, and no line of the log has it, not even when it is unknown."""
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.send(f'42["{LONG_NAME}",1]', f'42["{"y" * 50_000}",1]')
        assert client.text() == '42["long",1]'
        assert client.echoes()
    assert all(len(line) < 1000 for line in subject.new_log())


def sixty_four_attachments(subject: Subject) -> None:
    """The limit is an option."""
    port = subject.port_of("attachments")
    places = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(64))
    event = f'4564-["echo",{places}]'
    binary = [bytes([number]) for number in range(64)]
    with WebSocketClient(port) as client:
        client.connect()
        client.websocket.send(*frames([event, *binary]))
        assert [client.message() for _ in range(65)] == [event, *binary]
    with WebSocketClient(port) as client:
        client.connect()
        client.send('4565-["echo"]')
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == FORCED


def attachments_of_a_room_left(subject: Subject) -> None:
    """The server ends a namespace while attachments for it are on their way."""
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.connect("/custom")
        client.send('42/custom,["throw me out"]', f'451-/custom,["echo",{PLACEHOLDER}]')
        assert client.text() == "41/custom,"
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == VIOLATION


def attachments_across_an_upgrade(subject: Subject) -> None:
    polling = PollingClient(subject.port_of())
    polling.connect()
    with start_upgrade(polling) as client:
        polling.say(f'452-["echo",{PLACEHOLDER},{PLACEHOLDER.replace("0", "1")}]', "bAQ==")
        client.send("2probe", "5")
        assert client.text() == "3probe"
        client.websocket.send_binary(b"\x02")
        received = [client.message() for _ in range(3)]
        header = f'452-["echo",{PLACEHOLDER},{PLACEHOLDER.replace("0", "1")}]'
        assert received == [header, b"\x01", b"\x02"]


def twice_in_a_slow_namespace(subject: Subject) -> None:
    """A second CONNECT while the middleware has not decided: no second socket."""
    with WebSocketClient(subject.port_of()) as client:
        client.send("40/slow,", "40/slow,")
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == VIOLATION
    subject.unharmed()
    assert not subject.seen("connection", nsp="/slow")


def events_before_admission(subject: Subject) -> None:
    """Events for a namespace that has not let the client in yet reach nobody."""
    with WebSocketClient(subject.port_of()) as client:
        client.send("40/slow,", '42/slow,["echo",1]')
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == VIOLATION
        assert not subject.seen("event", sid=client.sid)


def joined_often(subject: Subject) -> None:
    with WebSocketClient(subject.port_of()) as client:
        for _ in range(300):
            client.send("40/custom,", "41/custom,")
            socket_id(client.text(), "/custom")
        client.connect()
        assert client.echoes()
    assert subject.reason(client.sid) == TRANSPORT_CLOSE
    reports = subject.seen("disconnect", sid=client.sid, nsp="/custom")
    assert [report["reason"] for report in reports] == ["client namespace disconnect"] * 300


def leaves_while_others_are_told(subject: Subject) -> None:
    """A client that goes away in the middle of a broadcast keeps nobody from it."""
    port = subject.port_of()
    with WebSocketClient(port) as client:
        client.connect()
        client.send('42["join","r"]')
        leaver = WebSocketClient(port)
        leaver.connect()
        leaver.send('42["join","r"]', *(f'42["tell room","r",{n}]' for n in range(100)))
        leaver.websocket.connection.reset()
        client.send('42["tell room","r","end"]')
        told = client.text()
        while told != '42["told","end"]':
            assert told.startswith('42["told",')
            told = client.text()


SEVERAL_STEPS: list[tuple[str, Callable[[Subject], None]]] = [
    ("S-03 many unknown namespaces", many_unknown_namespaces),
    ("S-04 connect with an id", connect_with_an_id),
    ("S-05 root by name", root_by_name),
    ("S-07 query in revision 4", legacy_query),
    ("S-09 silence", silence),
    ("S-10 event after DISCONNECT", event_after_leaving),
    ("S-11 joined again", joined_again),
    ("S-11 joined often", joined_often),
    ("S-16 CONNECT while pending", twice_in_a_slow_namespace),
    ("S-16 event while pending", events_before_admission),
    ("S-36 answered twice", answered_twice),
    ("S-36 answered too late", answered_too_late),
    ("S-44 large integers", large_integers),
    ("S-46 lone surrogates", lone_surrogates),
    ("S-47 separators everywhere", separators_everywhere),
    ("S-53 long event name", long_event_name),
    ("S-62 as many as allowed", sixty_four_attachments),
    ("S-71 thrown out in between", attachments_of_a_room_left),
    ("S-72 upgrade in between", attachments_across_an_upgrade),
    ("S-78 leaving during a broadcast", leaves_while_others_are_told),
]

ROWS = [
    *(
        Row(packet.id, packet.run, server=packet.server)
        for packet in (*UNJOINED, *CONNECTING, *EVENTS, *JSON, *BINARIES)
    ),
    *(Row(id_, run) for id_, run in SEVERAL_STEPS),
    Row("S-51 many keys", many_keys, server="large"),
]
