"""The rules of Engine.IO, revisions 4 and 3, with exact bytes.

The cases of the official protocol suites are all here, under both hosts.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from tests.rules.clients import (
    ENGINE_IO,
    MessageClient,
    PollingClient,
    Revision,
    WebSocketClient,
    is_error,
    payload3,
    start_upgrade,
    target,
    upgrade,
)
from tests.rules.subject import HOSTS, Host, Subject
from tests.support.raw import (
    BINARY,
    PING,
    PONG,
    Connection,
    Frame,
    Refused,
    WebSocket,
    close_frame,
    exchange,
    frame,
    request,
)

REVISIONS: tuple[Revision, ...] = (4, 3)
RS = "\x1e"

revisions = pytest.mark.parametrize("revision", REVISIONS)
transports = pytest.mark.parametrize("transport", ["polling", "websocket"])


def polling(
    subject: Subject, revision: Revision = 4, server: str = "engine", **query: int
) -> PollingClient:
    return PollingClient(subject.port_of(server), revision, path=ENGINE_IO, headers=(), **query)


def websocket(subject: Subject, revision: Revision = 4, server: str = "engine") -> WebSocketClient:
    return WebSocketClient(subject.port_of(server), revision, path=ENGINE_IO)


def payload(revision: Revision, *packets: str) -> str:
    return RS.join(packets) if revision == 4 else payload3(*packets)


# -- handshake ------------------------------------------------------------------------------

OPEN = {"pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}


@revisions
def test_open_polling(subject: Subject, revision: Revision) -> None:
    client = polling(subject, revision)
    assert list(client.open) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    sid = client.open.pop("sid")
    assert client.open == {"upgrades": ["websocket"], **OPEN}
    # 120 random bits at least, in characters that need no escaping anywhere.
    assert len(sid) >= 20
    assert sid.replace("-", "").replace("_", "").isalnum()
    answer = client.handshake
    assert answer.status == 200
    assert answer.content_type == "text/plain; charset=UTF-8"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.header("set-cookie") is None


@revisions
def test_open_websocket(subject: Subject, revision: Revision) -> None:
    with websocket(subject, revision) as client:
        client.open.pop("sid")
        assert client.open == {"upgrades": [], **OPEN}


def test_open_packet_is_compact(subject: Subject) -> None:
    """The exact bytes, in the order of the reference."""
    client = polling(subject)
    assert client.handshake.text == (
        f'0{{"sid":"{client.sid}","upgrades":["websocket"],"pingInterval":25000,'
        '"pingTimeout":20000,"maxPayload":1000000}'
    )
    client = polling(subject, 3)
    text = (
        f'0{{"sid":"{client.sid}","upgrades":["websocket"],"pingInterval":25000,'
        '"pingTimeout":20000,"maxPayload":1000000}'
    )
    assert client.handshake.text == f"{len(text)}:{text}"


def test_open_packet_tells_the_settings(subject: Subject) -> None:
    client = polling(subject, server="engine beat")
    assert client.open["pingInterval"] == 300
    assert client.open["pingTimeout"] == 800
    client = PollingClient(subject.port_of("main"))
    assert client.open["maxPayload"] == 100_000
    client = PollingClient(subject.port_of("polling only"))
    assert client.open["upgrades"] == []
    client = PollingClient(subject.port_of("no upgrades"))
    assert client.open["upgrades"] == []


def test_ids_differ(subject: Subject) -> None:
    assert len({polling(subject).sid for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("transport=polling", 5),
        ("EIO=abc&transport=polling", 5),
        ("EIO=2&transport=polling", 5),
        ("EIO=5&transport=polling", 5),
        ("EIO=4", 0),
        ("EIO=4&transport=abc", 0),
        ("EIO=4&transport=webtransport", 0),
        ("EIO=4&transport=constructor", 0),
        ("EIO=4&transport=__proto__", 0),
        ("EIO=4&transport=polling&sid=abc", 1),
        ("EIO=4&transport=websocket", 3),
    ],
)
def test_refused_polling(subject: Subject, query: str, code: int) -> None:
    answer = exchange(subject.port_of("engine"), request("GET", f"{ENGINE_IO}?{query}"))
    assert is_error(answer, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("EIO=abc&transport=websocket", 5),
        ("EIO=5&transport=websocket", 5),
        ("transport=websocket", 5),
        ("EIO=4", 0),
        ("EIO=4&transport=abc", 0),
        ("EIO=4&transport=constructor", 0),
        ("EIO=4&transport=__proto__", 0),
        ("EIO=4&transport=polling", 3),
        ("EIO=4&transport=websocket&sid=abc", 1),
    ],
)
def test_refused_websocket(subject: Subject, query: str, code: int) -> None:
    """Before the 101, with the same answer as over polling, and the connection ends."""
    with pytest.raises(Refused) as refusal:
        WebSocket(subject.port_of("engine"), f"{ENGINE_IO}?{query}")
    assert is_error(refusal.value.answer, code)
    assert refusal.value.answer.header("connection") == "close"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_bad_handshake_method(subject: Subject, method: str) -> None:
    to = target("polling", path=ENGINE_IO)
    assert is_error(exchange(subject.port_of("engine"), request(method, to)), 2)


def test_queries_and_paths(subject: Subject) -> None:
    """A cache buster is nothing; the slash behind the path may be missing, or be two."""
    port = subject.port_of("engine")
    for to in (
        "/engine.io/?EIO=4&transport=polling&t=P5Fq2A",
        "/engine.io?EIO=4&transport=polling",
        "/engine.io//?EIO=4&transport=polling",
    ):
        assert exchange(port, request("GET", to)).text.startswith('0{"sid":')
    with WebSocketClient(port, path="/engine.io//") as client:
        client.send("4hello")
        assert client.text() == "4hello"
    with PollingClient(port, path="/engine.io//") as poller:
        poller.say("4hello")
        assert poller.packets() == ["4hello"]
    assert exchange(port, request("GET", target("polling"))).status == 404


# -- messages ---------------------------------------------------------------------------------


@revisions
def test_polling_one_message(subject: Subject, revision: Revision) -> None:
    with polling(subject, revision) as client:
        answer = client.post(payload(revision, "4hello"))
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert (answer.body, answer.header("content-length")) == (b"ok", "2")
        assert answer.header("cache-control") == "no-store"
        answer = client.get()
        assert answer.status == 200
        assert answer.content_type == "text/plain; charset=UTF-8"
        assert answer.text == payload(revision, "4hello")
        assert answer.header("cache-control") == "no-store"


@revisions
def test_polling_several_messages(subject: Subject, revision: Revision) -> None:
    texts = ["4test1", "4test2", "4test3", "4hello €", "4"]
    with polling(subject, revision, b64=1) as client:
        client.say(*texts)
        assert client.several(len(texts)) == texts


def test_polling_text_and_binary(subject: Subject) -> None:
    with polling(subject) as client:
        assert client.post("4hello\x1ebAQIDBA==").body == b"ok"
        assert client.get().body == b"4hello\x1ebAQIDBA=="


def test_polling_text_and_binary_3(subject: Subject) -> None:
    """Base64 for a client that says so, a binary payload for one that does not."""
    with polling(subject, 3, b64=1) as client:
        assert client.post("6:4hello10:b4AQIDBA==").body == b"ok"
        assert client.get().body == b"6:4hello10:b4AQIDBA=="
    with polling(subject, 3) as client:
        binary = bytes.fromhex("0006ff 3468656c6c6f 0105ff 0401020304")
        octets = [("Content-Type", "application/octet-stream")]
        assert client.post(binary, octets).body == b"ok"
        answer = client.get()
        assert answer.content_type == "application/octet-stream"
        assert answer.body == binary


def test_polling_wide_text(subject: Subject) -> None:
    text = "4你好, мир, عالم 👋 𝒳"
    with polling(subject) as client:
        client.say(text)
        assert client.get().body == text.encode()
    with polling(subject, 3, b64=1) as client:
        client.say(text)
        assert client.get().body == payload3(text).encode()
    with polling(subject, 3) as client:
        # Not every browser with XHR2 reads text rightly; all of them read UTF-8 in binary.
        client.say(text)
        answer = client.get()
        assert answer.content_type == "application/octet-stream"
        digits = bytes(int(digit) for digit in str(len(text.encode())))
        assert answer.body == b"\x00" + digits + b"\xff" + text.encode()


@revisions
def test_websocket_messages(subject: Subject, revision: Revision) -> None:
    with websocket(subject, revision) as client:
        client.send("4hello", "4你好 👋", "4")
        assert client.websocket.texts(3) == ["4hello", "4你好 👋", "4"]
        binary = (b"" if revision == 4 else b"\x04") + b"\x01\x02\x03\x04"
        client.websocket.send_binary(binary)
        assert client.websocket.receive() == Frame(BINARY, binary)
        client.websocket.send(frame(PING, b"are you there"))
        assert client.websocket.receive() == Frame(PONG, b"are you there")


@revisions
def test_websocket_base64(subject: Subject, revision: Revision) -> None:
    """Clients that are told to do so send binary as text on a WebSocket, too."""
    type_ = "" if revision == 4 else "4"
    with websocket(subject, revision) as client:
        client.send(f"b{type_}AQIDBA==")
        binary = (b"" if revision == 4 else b"\x04") + b"\x01\x02\x03\x04"
        assert client.message() == binary


def test_websocket_base64_of_another_type(subject: Subject) -> None:
    with websocket(subject, 3) as client:
        client.send("b2AQ==")
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == "parse error"


def test_websocket_binary_of_another_type(subject: Subject) -> None:
    """In revision 3 binary messages begin with their type, which must be that of a message."""
    for data in (b"\x02probe", b"", b"4hello", b"\x00"):
        with websocket(subject, 3) as client:
            client.websocket.send_binary(data)
            assert client.websocket.close_code() == 1000
            assert subject.reason(client.sid) == "parse error"


@revisions
def test_order(subject: Subject, revision: Revision) -> None:
    sent = [f"4{number}" for number in range(500)]
    with websocket(subject, revision) as client:
        client.send(*sent)
        assert client.websocket.texts(500) == sent
    with polling(subject, revision) as other:
        other.say(*sent[:250])
        other.say(*sent[250:])
        assert other.several(500) == sent


@revisions
def test_polling_invalid_packet(subject: Subject, revision: Revision) -> None:
    client = polling(subject, revision)
    with client.waiting() as poll:
        answer = client.post("abc")
        assert (answer.status, answer.body) == (400, b"")
        # Who was waiting is told that it is over.
        assert poll.answer().text == payload(revision, "1")
    assert client.gone()
    assert subject.reason(client.sid) == "parse error"


@revisions
def test_websocket_invalid_packet(subject: Subject, revision: Revision) -> None:
    with websocket(subject, revision) as client:
        client.send("abc")
        assert client.websocket.close_code() == 1000
        client.websocket.send(close_frame(1000))
        assert client.websocket.connection.ended() == "eof"
        assert subject.reason(client.sid) == "parse error"


@revisions
def test_duplicate_poll(subject: Subject, revision: Revision) -> None:
    """The first gets the close packet, the second a refusal; the session is over."""
    client = polling(subject, revision)
    with client.waiting() as first:
        second = client.get()
        assert (second.status, second.body) == (400, b"")
        answer = first.answer()
        assert (answer.status, answer.text) == (200, payload(revision, "1"))
    assert client.gone()
    assert subject.reason(client.sid) == "transport error"


@revisions
def test_duplicate_post(subject: Subject, revision: Revision) -> None:
    client = polling(subject, revision)
    with Connection(client.port) as first:
        first.send(client.post_request(payload(revision, "4hello"))[:-1])
        assert first.silent()
        second = client.post(payload(revision, "4hello"))
        assert (second.status, second.body) == (400, b"")
    assert client.gone()
    assert subject.reason(client.sid) == "transport error"
    assert not subject.seen("message", sid=client.sid)


def test_compression(subject: Subject) -> None:
    """Polls are compressed from 1 KB on, for clients that read it, and not otherwise."""
    long = "4" + "hello " * 500
    gzips = [("Accept-Encoding", "gzip, deflate")]
    with polling(subject) as client:
        for headers, compressed in ((gzips, True), ([], False)):
            client.say(long)
            answer = exchange(client.port, request("GET", client.target("polling"), headers))
            if compressed:
                assert answer.header("content-encoding") == "gzip"
                assert answer.header("vary") == "Accept-Encoding"
                assert len(answer.body) < 200
                assert gzip.decompress(answer.body).decode() == long
            else:
                assert answer.header("content-encoding") is None
                assert answer.text == long
        client.say("4short")
        answer = exchange(client.port, request("GET", client.target("polling"), gzips))
        assert answer.header("content-encoding") is None
        assert answer.text == "4short"
    with PollingClient(subject.port_of("no compression")) as plain:
        plain.connect()
        event = f'42["echo","{"a" * 5000}"]'
        plain.say(event)
        answer = exchange(plain.port, request("GET", plain.target("polling"), gzips))
        assert answer.header("content-encoding") is None
        assert answer.text == event


# -- heartbeat --------------------------------------------------------------------------------


def test_ping_polling(subject: Subject) -> None:
    """Revision 4: the server pings, and goes on as long as it is answered."""
    client = polling(subject, server="engine beat")
    for _ in range(3):
        assert client.get().text == "2"
        client.say("3")
    client.say("4hello")
    assert "4hello" in client.several(1)
    client.say("1")


def test_ping_websocket(subject: Subject) -> None:
    with websocket(subject, server="engine beat") as client:
        for _ in range(3):
            assert client.message() == "2"
            client.send("3")
        client.send("4hello")
        assert client.message() == "4hello"


def test_ping_with_the_poll_that_comes(subject: Subject) -> None:
    """It waits like any packet, and comes once."""
    client = polling(subject, server="engine beat")
    client.say("4hello")
    assert sorted(client.several(2)) == ["2", "4hello"]
    client.say("3")
    client.say("1")


def test_no_pong_polling(subject: Subject) -> None:
    client = polling(subject, server="engine beat")
    assert client.get().text == "2"
    with client.waiting() as poll:
        answer = poll.answer()
        assert (answer.status, answer.text) == (200, "1")
    assert client.gone()
    assert subject.reason(client.sid) == "ping timeout"


def test_no_poll(subject: Subject) -> None:
    """A polling client that has gone away without a word."""
    client = polling(subject, server="engine beat")
    assert subject.reason(client.sid) == "ping timeout"
    assert client.gone()


def test_no_pong_websocket(subject: Subject) -> None:
    with websocket(subject, server="engine beat") as client:
        assert client.message() == "2"
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == "ping timeout"


def test_unsolicited_pongs_change_nothing(subject: Subject) -> None:
    """They neither hasten the next ping nor put it off."""
    with websocket(subject, server="engine beat") as client:
        client.send(*["3"] * 1000)
        assert client.message() == "2"
        client.send(*["3"] * 1000)
        assert client.message() == "2"
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == "ping timeout"


@transports
def test_ping_3(subject: Subject, transport: str) -> None:
    """Revision 3: the client pings, and the server answers with what it was sent."""
    if transport == "websocket":
        with websocket(subject, 3, server="engine beat") as client:
            client.send("2", "2probe")
            assert client.websocket.texts(2) == ["3", "3probe"]
    else:
        with polling(subject, 3, server="engine beat") as poller:
            poller.say("2")
            assert poller.get().text == "1:3"
            poller.say("2probe")
            assert poller.get().text == "6:3probe"


@transports
def test_no_ping_3(subject: Subject, transport: str) -> None:
    if transport == "websocket":
        with websocket(subject, 3, server="engine beat") as client:
            client.send("4hello")
            assert client.message() == "4hello"
            assert client.websocket.close_code() == 1000
            assert subject.reason(client.sid) == "ping timeout"
    else:
        poller = polling(subject, 3, server="engine beat")
        with poller.waiting() as poll:
            assert poll.answer().text == "1:1"
        assert poller.gone()
        assert subject.reason(poller.sid) == "ping timeout"


@revisions
@transports
def test_wrong_direction(subject: Subject, revision: Revision, transport: str) -> None:
    packet = "2" if revision == 4 else "3"
    if transport == "websocket":
        with websocket(subject, revision) as client:
            client.send(packet)
            assert client.websocket.close_code() == 1000
            assert subject.reason(client.sid) == "transport error"
    else:
        poller = polling(subject, revision)
        assert poller.post(payload(revision, packet)).body == b"ok"
        assert poller.gone()
        assert subject.reason(poller.sid) == "transport error"


def test_heartbeat_survives_the_upgrade(subject: Subject) -> None:
    client = upgrade(polling(subject, server="engine beat"))
    with client:
        for _ in range(3):
            assert client.message() == "2"
            client.send("3")
        assert client.message() == "2"
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == "ping timeout"


def test_heartbeat_during_the_upgrade(subject: Subject) -> None:
    """A client that begins to upgrade and falls silent is noticed all the same."""
    poller = polling(subject, server="engine beat")
    with start_upgrade(poller) as probe:
        probe.send("2probe")
        assert probe.text() == "3probe"
        assert subject.reason(poller.sid) == "ping timeout"
        assert probe.websocket.close_code() == 1000


# -- close --------------------------------------------------------------------------------------


@revisions
def test_client_closes_polling(subject: Subject, revision: Revision) -> None:
    client = polling(subject, revision)
    with client.waiting() as poll:
        assert client.post(payload(revision, "1")).body == b"ok"
        answer = poll.answer()
        # The waiting poll is released, as the official suites want it.
        assert (answer.status, answer.text) == (200, payload(revision, "6"))
    assert client.gone()
    assert subject.reason(client.sid) == "transport close"


@revisions
def test_client_closes_websocket(subject: Subject, revision: Revision) -> None:
    client = websocket(subject, revision)
    client.websocket.close()
    assert subject.reason(client.sid) == "transport close"
    assert is_error(exchange(client.port, request("GET", client.target("polling"))), 1)


@revisions
def test_client_says_close_on_websocket(subject: Subject, revision: Revision) -> None:
    with websocket(subject, revision) as client:
        client.send("1")
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == "transport close"


@revisions
def test_server_closes_polling(subject: Subject, revision: Revision) -> None:
    """The close packet waits for the next poll."""
    client = polling(subject, revision)
    client.say("4close me")
    answer = client.get()
    assert (answer.status, answer.text) == (200, payload(revision, "1"))
    assert client.gone()
    assert subject.reason(client.sid) == "forced close"


@revisions
def test_server_closes_pending_poll(subject: Subject, revision: Revision) -> None:
    client = polling(subject, revision)
    with client.waiting() as poll:
        client.say("4close me")
        assert poll.answer().text == payload(revision, "1")
    assert client.gone()
    assert subject.reason(client.sid) == "forced close"


@revisions
def test_server_closes_websocket(subject: Subject, revision: Revision) -> None:
    """There is no close packet on a WebSocket, only a close frame."""
    with websocket(subject, revision) as client:
        client.send("4close me")
        assert client.websocket.close_code() == 1000
        client.websocket.send(close_frame(1000))
        assert client.websocket.connection.ended() == "eof"
        assert subject.reason(client.sid) == "forced close"


@transports
def test_last_words(subject: Subject, transport: str) -> None:
    """What was sent before `close` arrives, what was sent after it does not."""
    if transport == "websocket":
        with websocket(subject) as client:
            client.send("4last words", "4too late")
            assert client.websocket.texts(2) == ["4one", "4two"]
            assert client.websocket.close_code() == 1000
            sid = client.sid
    else:
        poller = polling(subject)
        poller.say("4last words", "4too late")
        assert poller.several(3) == ["4one", "4two", "1"]
        assert poller.gone()
        sid = poller.sid
    assert subject.reason(sid) == "forced close"
    assert [report["data"] for report in subject.seen("message", sid=sid)] == ["last words"]


@transports
def test_close_at_once(subject: Subject, transport: str) -> None:
    """`close(discard=True)` does not wait for what has been queued."""
    if transport == "websocket":
        with websocket(subject) as client:
            client.send("4close me at once")
            assert client.websocket.close_code() == 1000
            sid = client.sid
    else:
        poller = polling(subject)
        poller.say("4hello", "4close me at once")
        assert poller.packets() == ["1"]
        sid = poller.sid
    assert subject.reason(sid) == "forced close"


def test_close_inside_a_payload(subject: Subject) -> None:
    """Nothing behind the close packet is looked at, and no poll is owed anything."""
    client = polling(subject)
    client.say("4before", "1", "4after")
    assert client.gone()
    assert subject.reason(client.sid) == "transport close"
    assert [report["data"] for report in subject.seen("message", sid=client.sid)] == ["before"]


def test_close_is_told_once(subject: Subject) -> None:
    """Whatever else happens to a session that has ended."""
    client = polling(subject)
    with client.waiting() as poll:
        client.say("4close me")
        assert poll.answer().text == "1"
    client.post("1")
    client.post("4hello")
    client.get()
    assert subject.reason(client.sid) == "forced close"
    assert len(subject.seen("close", sid=client.sid)) == 1


def test_connection_close_header(subject: Subject) -> None:
    """A client that wants no connection to be kept is served as well."""
    with polling(subject) as client:
        close = [("Connection", "close")]
        to = client.target("polling")
        for data in (request("POST", to, close, b"4hello"), request("GET", to, close)):
            with Connection(client.port) as connection:
                connection.send(data)
                answer = connection.answer()
                assert answer.text in {"ok", "4hello"}
                assert answer.header("connection") == "close"
                assert connection.ended() == "eof"


# -- upgrade --------------------------------------------------------------------------------------


@revisions
def test_upgrade(subject: Subject, revision: Revision) -> None:
    """Probe, noop, upgrade; what has waited and what comes then go over the WebSocket."""
    poller = polling(subject, revision)
    with poller.waiting() as poll, start_upgrade(poller) as client:
        client.send("2probe")
        assert client.text() == "3probe"
        answer = poll.answer()
        assert (answer.status, answer.text) == (200, payload(revision, "6"))
        poller.say("4before")
        client.send("5")
        assert client.text() == "4before"
        client.send("4after")
        assert client.text() == "4after"
        assert subject.wait("upgrade", sid=client.sid)["transport"] == "websocket"
        client.websocket.close()
    assert subject.reason(client.sid) == "transport close"


@revisions
def test_upgrade_then_polling(subject: Subject, revision: Revision) -> None:
    """After the upgrade nobody is served over polling with that id."""
    poller = polling(subject, revision)
    with upgrade(poller) as client:
        client.send("4hello")
        assert client.text() == "4hello"
        assert is_error(poller.get(), 3)
        assert is_error(poller.post(payload(revision, "4hello")), 3)
        client.send("4hello")
        assert client.text() == "4hello"
    assert len(subject.seen("message", sid=client.sid)) == 2


@revisions
def test_upgrade_then_second_websocket(subject: Subject, revision: Revision) -> None:
    poller = polling(subject, revision)
    with upgrade(poller) as client:
        client.send("4hello")
        assert client.text() == "4hello"
        with start_upgrade(poller) as second:
            assert second.websocket.close_code() == 1000
        client.send("4hello")
        assert client.text() == "4hello"


def test_websocket_with_the_id_of_a_websocket(subject: Subject) -> None:
    """Nor can a session that began as a WebSocket be taken over, or polled."""
    with websocket(subject) as client:
        with WebSocket(client.port, client.target("websocket")) as second:
            second.send_text("2probe")
            assert second.close_code() == 1000
        assert is_error(exchange(client.port, request("GET", client.target("polling"))), 3)
        client.send("4hello")
        assert client.text() == "4hello"


def test_upgrade_timeout(subject: Subject) -> None:
    """A probe that is not finished in time is closed; the session polls on."""
    poller = polling(subject)
    with start_upgrade(poller) as probe:
        probe.send("2probe")
        assert probe.text() == "3probe"
        assert probe.websocket.close_code() == 1000
    with poller:
        poller.say("4hello")
        assert poller.packets() == ["4hello"]


@revisions
def test_upgrade_without_probe(subject: Subject, revision: Revision) -> None:
    """Some devices say nothing but `5`."""
    poller = polling(subject, revision)
    with poller.waiting() as poll, start_upgrade(poller) as client:
        client.send("5", "4hello")
        assert poll.answer().text == payload(revision, "6")
        assert client.text() == "4hello"
        assert subject.wait("upgrade", sid=client.sid)["transport"] == "websocket"


def test_no_timeout_after_the_upgrade(subject: Subject) -> None:
    """The deadline of the upgrade is gone with it (2 seconds here)."""
    poller = polling(subject)
    other = polling(subject)
    with upgrade(poller) as client, start_upgrade(other) as slow:
        slow.send("2probe")
        assert slow.text() == "3probe"
        # When the slow one has been closed, so would be one that had begun before it.
        assert slow.websocket.close_code() == 1000
        client.send("4hello")
        assert client.text() == "4hello"


def test_abandoned_upgrade(subject: Subject) -> None:
    poller = polling(subject)
    client = start_upgrade(poller)
    client.send("2probe")
    assert client.text() == "3probe"
    client.websocket.connection.reset()
    with poller:
        poller.say("4hello")
        assert poller.packets() == ["4hello"]
        with upgrade(poller) as upgraded:
            upgraded.send("4again")
            assert upgraded.text() == "4again"


# -- the end of the server --------------------------------------------------------------------


def leave_open(subject: Subject) -> list[Callable[[], None]]:
    """Clients in every state, and how they find out that the server has ended."""
    port = subject.port_of("main")
    silent = WebSocketClient(port)
    silent.connect()
    poller = PollingClient(port)
    poller.connect()
    poll = poller.waiting()
    halfway = PollingClient(port)
    halfway.connect()
    probe = start_upgrade(halfway)
    probe.send("2probe")
    assert probe.text() == "3probe"
    unjoined: MessageClient = WebSocketClient(port)
    idle = Connection(port)

    def see_close(client: MessageClient) -> Callable[[], None]:
        def check() -> None:
            assert client.websocket.close_code() == 1000
            client.websocket.connection.close()

        return check

    def see_poll() -> None:
        assert poll.answer().text == "1"
        poll.close()

    def see_nothing() -> None:
        assert idle.ended() == "eof"
        idle.close()

    return [see_close(silent), see_close(probe), see_close(unjoined), see_poll, see_nothing]


@pytest.mark.parametrize("host", HOSTS)
def test_server_ends(host: Host) -> None:
    """It says so to everybody, waits for nobody who does not answer, and leaves nothing open."""
    subject = Subject(host)
    try:
        checks = leave_open(subject)
        subject.stop()
        for check in checks:
            check()
    finally:
        if subject.running:
            subject.kill()
