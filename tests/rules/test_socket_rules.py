"""The rules of Socket.IO, revisions 5 and 4, with exact bytes.

The cases of the official protocol suite are all here, over both transports and under both hosts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Literal, TypeAlias

import pytest

from tests.rules.clients import (
    PollingClient,
    Revision,
    WebSocketClient,
    socket_id,
)
from tests.rules.subject import Subject

Transport: TypeAlias = Literal["polling", "websocket"]
PLACEHOLDER = '{"_placeholder":true,"num":0}'
SECOND = '{"_placeholder":true,"num":1}'


class Peer:
    """A client that has not joined anything, over either transport."""

    def __init__(self, port: int, transport: Transport, revision: Revision = 4) -> None:
        self.revision: Revision = revision
        self._polling: PollingClient | None = None
        self._websocket: WebSocketClient | None = None
        if transport == "polling":
            self._polling = PollingClient(port, revision, b64=1)
            self.sid = self._polling.sid
        else:
            self._websocket = WebSocketClient(port, revision)
            self.sid = self._websocket.sid
        self._received: list[str | bytes] = []

    def say(self, *packets: str | bytes) -> None:
        """Send Socket.IO packets, and attachments, as the messages they are."""
        if self._polling is not None:
            self._polling.say(*map(self._polling_form, packets))
            return
        assert self._websocket is not None
        for packet in packets:
            if isinstance(packet, str):
                self._websocket.send("4" + packet)
            else:
                type_ = b"" if self.revision == 4 else b"\x04"
                self._websocket.websocket.send_binary(type_ + packet)

    def _polling_form(self, packet: str | bytes) -> str:
        if isinstance(packet, str):
            return "4" + packet
        return ("b" if self.revision == 4 else "b4") + base64.b64encode(packet).decode()

    def hear(self, count: int = 1) -> list[str | bytes]:
        """The next messages."""
        while len(self._received) < count:
            if self._polling is not None:
                self._received += map(self._message, self._polling.packets())
            else:
                assert self._websocket is not None
                self._received.append(self._message(self._websocket.message()))
        heard, self._received = self._received[:count], self._received[count:]
        return heard

    def _message(self, packet: str | bytes) -> str | bytes:
        if isinstance(packet, bytes):
            return packet if self.revision == 4 else packet[1:]
        prefix = "b" if self.revision == 4 else "b4"
        if packet.startswith(prefix):
            return base64.b64decode(packet.removeprefix(prefix))
        assert packet.startswith("4"), packet
        return packet[1:]

    def connect(self, nsp: str = "/", auth: str = "") -> str:
        """Join a namespace; the id."""
        if self.revision == 3:
            assert self.hear() == ["0"]
            return self.sid
        name = "" if nsp == "/" else nsp + ","
        self.say(f"0{name}{auth}")
        return socket_id("4" + str(self.hear()[0]), nsp)

    def is_closed(self) -> bool:
        """Whether the server ends the connection now, without another word."""
        if self._polling is not None:
            return self._polling.packets() == ["1"] and self._polling.gone()
        assert self._websocket is not None
        return self._websocket.websocket.close_code() == 1000

    def close(self) -> None:
        if self._websocket is not None:
            self._websocket.websocket.connection.close()


@pytest.fixture(params=["polling", "websocket"])
def transport(request: pytest.FixtureRequest) -> Transport:
    transport: Transport = request.param
    return transport


class Meeting:
    """Makes peers, and sees them off."""

    def __init__(self, subject: Subject, transport: Transport) -> None:
        self.subject = subject
        self._transport: Transport = transport
        self._peers: list[Peer] = []

    def peer(self, server: str = "suite", revision: Revision = 4) -> Peer:
        peer = Peer(self.subject.port_of(server), self._transport, revision)
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        for peer in self._peers:
            peer.close()


@pytest.fixture
def meeting(subject: Subject, transport: Transport) -> Iterator[Meeting]:
    meeting = Meeting(subject, transport)
    yield meeting
    meeting.close()


# -- connect ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nsp", "auth", "seen"),
    [
        ("/", "", "{}"),
        ("/", '{"token":"123"}', '{"token":"123"}'),
        ("/custom", "", "{}"),
        ("/custom", '{"token":"abc","n":[1,2]}', '{"token":"abc","n":[1,2]}'),
    ],
)
def test_connect(meeting: Meeting, nsp: str, auth: str, seen: str) -> None:
    """The answer has an id and nothing else; the application sees the payload."""
    peer = meeting.peer()
    assert len(peer.connect(nsp, auth)) == 20
    name = "" if nsp == "/" else "/custom,"
    assert peer.hear() == [f'2{name}["auth",{seen}]']


def test_connect_to_several(meeting: Meeting) -> None:
    """Ids are the namespace's, and none is the session's, which is a secret."""
    peer = meeting.peer()
    first = peer.connect()
    assert peer.hear() == ['2["auth",{}]']
    second = peer.connect("/custom")
    assert peer.hear() == ['2/custom,["auth",{}]']
    assert len({first, second, peer.sid}) == 3


def test_connect_without_root(meeting: Meeting) -> None:
    """`/` need not be joined first."""
    peer = meeting.peer()
    peer.connect("/custom")
    assert peer.hear() == ['2/custom,["auth",{}]']
    peer.say('2/custom,["message",1]')
    assert peer.hear() == ['2/custom,["message-back",1]']


def test_unknown_namespace(meeting: Meeting) -> None:
    peer = meeting.peer()
    peer.say("0/random")
    assert peer.hear() == ['4/random,{"message":"Invalid namespace"}']
    peer.say('0/random,{"token":"123"}')
    assert peer.hear() == ['4/random,{"message":"Invalid namespace"}']
    peer.connect()
    assert peer.hear() == ['2["auth",{}]']


def test_refused_by_a_middleware(meeting: Meeting) -> None:
    """With its message and its data; the connection goes on."""
    peer = meeting.peer("main")
    peer.say("0/refusing,")
    assert peer.hear() == ['4/refusing,{"message":"not today","data":{"code":7}}']
    peer.connect()
    peer.say('2["echo",1]')
    assert peer.hear() == ['2["echo",1]']
    peer.say("0/refusing,")
    assert peer.hear() == ['4/refusing,{"message":"not today","data":{"code":7}}']
    assert not meeting.subject.seen("connection", sid=peer.sid, nsp="/refusing")


def test_slow_middleware(meeting: Meeting) -> None:
    peer = meeting.peer("main")
    peer.connect()
    peer.say("0/slow,", '2["echo",1]')
    assert peer.hear() == ['2["echo",1]']
    socket_id("4" + str(peer.hear()[0]), "/slow")
    peer.say('2/slow,["echo",2]')
    assert peer.hear() == ['2/slow,["echo",2]']


@pytest.mark.parametrize("packet", ["4abc", "", "0[]", "0null", "2", "x"])
def test_invalid_handshake(meeting: Meeting, packet: str) -> None:
    peer = meeting.peer()
    peer.say(packet)
    assert peer.is_closed()
    assert meeting.subject.reason(peer.sid).startswith("forced")


def test_no_handshake(meeting: Meeting) -> None:
    """Who joins no namespace in time (1 s here) is closed."""
    peer = meeting.peer()
    assert peer.is_closed()
    assert meeting.subject.reason(peer.sid) == "forced server close"


def test_refused_is_not_joined(meeting: Meeting) -> None:
    """A refusal is no handshake: the time runs on (1.5 s here)."""
    peer = meeting.peer("main")
    peer.say("0/refusing,")
    assert peer.hear() == ['4/refusing,{"message":"not today","data":{"code":7}}']
    assert peer.is_closed()
    assert meeting.subject.reason(peer.sid) == "forced server close"


def test_no_time_limit_after_joining(meeting: Meeting) -> None:
    """Also for one who has left again: the limit is for the first namespace."""
    left = meeting.peer()
    left.connect("/custom")
    assert left.hear() == ['2/custom,["auth",{}]']
    left.say("1/custom,")
    late = meeting.peer()
    assert late.is_closed()  # began later, and its time is up
    left.connect()
    assert left.hear() == ['2["auth",{}]']


# -- disconnect -------------------------------------------------------------------------------


def test_client_leaves(meeting: Meeting) -> None:
    peer = meeting.peer("main")
    peer.connect()
    peer.say("1")
    assert meeting.subject.farewell(peer.sid) == "client namespace disconnect"


def test_client_leaves_one_namespace(meeting: Meeting) -> None:
    """The others go on."""
    peer = meeting.peer()
    for nsp, name in (("/", ""), ("/custom", "/custom,")):
        peer.connect(nsp)
        assert peer.hear() == [f'2{name}["auth",{{}}]']
    peer.say("1/custom")
    peer.say('2["message","still here"]')
    assert peer.hear() == ['2["message-back","still here"]']


def test_server_throws_out(meeting: Meeting) -> None:
    peer = meeting.peer("main")
    peer.connect()
    peer.connect("/custom")
    peer.say('2["throw me out"]')
    assert peer.hear() == ["1"]
    peer.say('2/custom,["throw me out"]')
    assert peer.hear() == ["1/custom,"]
    assert meeting.subject.farewell(peer.sid) == "server namespace disconnect"
    socket = peer.connect()
    assert meeting.subject.wait("connection", id=socket)["nsp"] == "/"


def test_server_closes_the_connection(meeting: Meeting) -> None:
    """Every namespace is told, then the connection ends."""
    peer = meeting.peer("main")
    peer.connect()
    peer.connect("/custom")
    peer.say('2["close my connection"]')
    assert sorted(map(str, peer.hear(2))) == ["1", "1/custom,"]
    assert peer.is_closed()
    assert meeting.subject.farewell(peer.sid) == "server namespace disconnect"
    assert meeting.subject.reason(peer.sid) == "forced close"


def test_every_namespace_hears_of_the_end(meeting: Meeting) -> None:
    peer = meeting.peer("main")
    for nsp in ("/", "/custom"):
        peer.connect(nsp)
    peer.say('2["echo"')
    assert peer.is_closed()
    for nsp in ("/", "/custom"):
        report = meeting.subject.wait("disconnect", sid=peer.sid, nsp=nsp)
        assert report["reason"] == "forced close"
        error = meeting.subject.wait("error", sid=peer.sid, nsp=nsp)
        assert error["args"][0].startswith("invalid payload")


# -- events and acknowledgements --------------------------------------------------------------


def joined(meeting: Meeting, nsp: str = "/") -> Peer:
    peer = meeting.peer()
    peer.connect(nsp)
    peer.hear()
    return peer


@pytest.mark.parametrize("nsp", ["/", "/custom"])
def test_text_event(meeting: Meeting, nsp: str) -> None:
    peer = joined(meeting, nsp)
    name = "" if nsp == "/" else "/custom,"
    data = '1,"2",{"3":[true]},null,-1.5,"你好 👋"'
    peer.say(f'2{name}["message",{data}]')
    assert peer.hear() == [f'2{name}["message-back",{data}]']


@pytest.mark.parametrize("nsp", ["/", "/custom"])
def test_binary_event(meeting: Meeting, nsp: str) -> None:
    peer = joined(meeting, nsp)
    name = "" if nsp == "/" else "/custom,"
    peer.say(f'52-{name}["message",{PLACEHOLDER},{{"a":[{SECOND}]}}]', b"\x01\x02\x03", b"\x04\x05")
    assert peer.hear(3) == [
        f'52-{name}["message-back",{PLACEHOLDER},{{"a":[{SECOND}]}}]',
        b"\x01\x02\x03",
        b"\x04\x05",
    ]


@pytest.mark.parametrize("nsp", ["/", "/custom"])
def test_text_ack(meeting: Meeting, nsp: str) -> None:
    peer = joined(meeting, nsp)
    name = "" if nsp == "/" else "/custom,"
    peer.say(f'2{name}456["message-with-ack",1,"2",{{"3":[false]}}]')
    assert peer.hear() == [f'3{name}456[1,"2",{{"3":[false]}}]']
    peer.say(f'2{name}0["message-with-ack"]')
    assert peer.hear() == [f"3{name}0[]"]


@pytest.mark.parametrize("nsp", ["/", "/custom"])
def test_binary_ack(meeting: Meeting, nsp: str) -> None:
    peer = joined(meeting, nsp)
    name = "" if nsp == "/" else "/custom,"
    peer.say(f'52-{name}789["message-with-ack",{PLACEHOLDER},{SECOND}]', b"\x01\x02\x03", b"\x04")
    assert peer.hear(3) == [f"62-{name}789[{PLACEHOLDER},{SECOND}]", b"\x01\x02\x03", b"\x04"]


def test_attachments_are_numbered_as_they_come(meeting: Meeting) -> None:
    peer = joined(meeting)
    peer.say(f'52-["message",{SECOND},{PLACEHOLDER}]', b"first", b"second")
    assert peer.hear(3) == [f'52-["message-back",{PLACEHOLDER},{SECOND}]', b"second", b"first"]


def test_server_is_acknowledged(meeting: Meeting) -> None:
    """A server's event with an id, and the client's answer, plain and binary."""
    peer = meeting.peer("main")
    peer.connect()
    for answer in (['["yes",1]'], [f"[{PLACEHOLDER}]", b"\x01"]):
        peer.say('2["ask","really?"]')
        question = str(peer.hear()[0])
        assert question.endswith('["question","really?"]')
        id_ = question[1 : -len('["question","really?"]')]
        assert id_.isdecimal()
        kind = "3" if len(answer) == 1 else "61-"
        peer.say(f"{kind}{id_}{answer[0]}", *answer[1:])
    meeting.subject.wait("answer", sid=peer.sid, args=["yes", 1])
    meeting.subject.wait("answer", sid=peer.sid, args=[repr(b"\x01")])


@pytest.mark.parametrize(
    "packet",
    [
        *("7", "8", "9", "x", " ", ""),  # unknown packet type
        *("2", "2{}", '2["message"', "2[]", "2[{}]", "2[null]"),  # invalid payload
        *('2abc["message-with-ack"]', '2-1["message"]', '21.5["message"]', "3abc[]"),  # bad id
        *('51["message"]', '5-["message"]', '50-["message"]', '5x-["message"]'),  # attachments
        *("0", "0{}", "1{}", "4", '4{"message":"x"}'),  # out of place
        '2["connect"]',
    ],
)
def test_connection_is_closed(meeting: Meeting, packet: str) -> None:
    peer = joined(meeting)
    peer.say(packet)
    assert peer.is_closed()
    assert meeting.subject.reason(peer.sid).startswith("forced")


def test_attachment_uncalled_for(meeting: Meeting) -> None:
    peer = joined(meeting)
    peer.say(b"\x01")
    assert peer.is_closed()
    assert meeting.subject.reason(peer.sid) == "forced close"


# -- broadcasts ---------------------------------------------------------------------------------


def test_broadcast(meeting: Meeting) -> None:
    """Everybody in the namespace gets the same bytes, and nobody else anything."""
    first, second, outside = (meeting.peer("main") for _ in range(3))
    first.connect()
    second.connect()
    outside.connect("/custom")
    first.say('2["tell all","你好"]')
    assert first.hear() == second.hear() == ['2["told","你好"]']
    first.say(f'51-["tell all",{PLACEHOLDER}]', b"\x01")
    assert first.hear(2) == second.hear(2) == [f'51-["told",{PLACEHOLDER}]', b"\x01"]
    outside.say('2/custom,["echo",1]')
    assert outside.hear() == ['2/custom,["echo",1]']


def test_room(meeting: Meeting) -> None:
    inside, outside = meeting.peer("main"), meeting.peer("main")
    for peer in (inside, outside):
        peer.connect()
    inside.say('2["join","r"]', '2["echo",1]')
    assert inside.hear() == ['2["echo",1]']
    outside.say('2["tell room","r",1]', '2["echo",1]')
    assert inside.hear() == ['2["told",1]']
    assert outside.hear() == ['2["echo",1]']


def test_both_revisions_hear(meeting: Meeting) -> None:
    new, old = meeting.peer("main"), meeting.peer("main", 3)
    new.connect()
    old.connect()
    new.say('2["tell all",1]')
    assert new.hear() == old.hear() == ['2["told",1]']
    old.say(f'51-["tell all",{PLACEHOLDER}]', b"\x01")
    assert new.hear(2) == old.hear(2) == [f'51-["told",{PLACEHOLDER}]', b"\x01"]


# -- revision 4 (Socket.IO 1 and 2) ---------------------------------------------------------------


def test_legacy_connect(meeting: Meeting) -> None:
    """In `/` without asking, under the id of the session; elsewhere by asking."""
    peer = meeting.peer(revision=3)
    assert peer.hear(2) == ["0", '2["auth",{}]']
    for ask in ("0/custom", "0/custom,", "0/custom?token=123&b=%C3%A9"):
        peer.say(ask)
        assert peer.hear()[0] == "0/custom,"
        query = '{"token":"123","b":"é"}' if "?" in ask else "{}"
        heard = str(peer.hear()[0]).replace("\\u00e9", "é")
        assert heard == f'2/custom,["auth",{query}]'
        peer.say("1/custom")
    report = meeting.peer("main", 3)
    assert report.connect() == report.sid
    connection = meeting.subject.wait("connection", sid=report.sid)
    assert connection["id"] == report.sid


def test_legacy_unknown_namespace(meeting: Meeting) -> None:
    """The message is a string, as those clients expect it."""
    peer = meeting.peer("main", 3)
    peer.connect()
    peer.say("0/random")
    assert peer.hear() == ['4/random,"Invalid namespace"']
    peer.say("0/refusing")
    assert peer.hear() == ['4/refusing,{"code":7}']
    peer.say('2["echo",1]')
    assert peer.hear() == ['2["echo",1]']


def test_legacy_needs_no_handshake(meeting: Meeting) -> None:
    """The limit of 1 s does not hold for a client that is in `/` by itself."""
    legacy = meeting.peer(revision=3)
    late = meeting.peer()
    assert late.is_closed()
    legacy.say('2["message",1]')
    assert legacy.hear(3)[-1] == '2["message-back",1]'


def test_legacy_events(meeting: Meeting) -> None:
    peer = meeting.peer(revision=3)
    assert peer.hear(2) == ["0", '2["auth",{}]']
    peer.say('2["message",1,"2",{"3":[true]}]')
    assert peer.hear() == ['2["message-back",1,"2",{"3":[true]}]']
    peer.say('212["message-with-ack",1]')
    assert peer.hear() == ["312[1]"]
    peer.say(f'51-["message",{PLACEHOLDER}]', b"\x01\x02")
    assert peer.hear(2) == [f'51-["message-back",{PLACEHOLDER}]', b"\x01\x02"]
    peer.say(f'51-7["message-with-ack",{PLACEHOLDER}]', b"")
    assert peer.hear(2) == [f"61-7[{PLACEHOLDER}]", b""]


def test_legacy_leaves(meeting: Meeting) -> None:
    peer = meeting.peer("main", 3)
    peer.connect()
    peer.say("0/custom")
    assert peer.hear() == ["0/custom,"]
    peer.say("1/custom")
    report = meeting.subject.wait("disconnect", sid=peer.sid, nsp="/custom")
    assert report["reason"] == "client namespace disconnect"
    peer.say('2["throw me out"]')
    assert peer.hear() == ["1"]
    assert meeting.subject.farewell(peer.sid) == "server namespace disconnect"


@pytest.mark.parametrize(
    "packet", ["7", "2{}", '2["message"', '2x["message"]', '51["message"]', '2["disconnect"]', ""]
)
def test_legacy_connection_is_closed(meeting: Meeting, packet: str) -> None:
    peer = meeting.peer(revision=3)
    assert peer.hear(2) == ["0", '2["auth",{}]']
    peer.say(packet)
    assert peer.is_closed()
    assert meeting.subject.reason(peer.sid).startswith("forced")
