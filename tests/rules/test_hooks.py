"""What users plug into a handshake: `allow_request`, `generate_id`, origins, middleware, handlers.

Here the application refuses, fails, hangs or answers nonsense. Whatever it does, the client gets an
answer that says nothing private, one line of the log says what has happened, and nobody else
notices.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.rules.clients import (
    SOCKET_IO,
    PollingClient,
    WebSocketClient,
    is_error,
    socket_id,
    target,
    upgrade,
)
from tests.rules.conftest import Subjects
from tests.rules.subject import HOSTS, Host, Subject
from tests.support.raw import (
    TEXT,
    Answer,
    Connection,
    Refused,
    WebSocket,
    close_frame,
    exchange,
    frame,
    request,
    upgrade_request,
)


@pytest.fixture(scope="module")
def servers() -> Iterator[Subjects]:
    with ExitStack() as stack:
        yield Subjects(stack, "limits")


def checked(subject: Subject) -> Iterator[Subject]:
    subject.new_log()
    yield subject
    subject.unharmed()


@pytest.fixture(params=HOSTS)
def subject(servers: Subjects, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The servers, which must be unharmed afterwards."""
    host: Host = request.param
    yield from checked(servers[host])


@pytest.fixture
def fast(servers: Subjects) -> Iterator[Subject]:
    """Where telex has HTTP and WebSocket in its own hands."""
    yield from checked(servers["fast"])


@pytest.fixture(params=["polling", "websocket"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(subject: Subject, transport: str, server: str = "main", **query: str) -> Answer:
    """The answer to a handshake; over WebSocket a refusal comes before the 101."""
    to = target(transport, 4, path=SOCKET_IO, **query)
    data = request("GET", to) if transport == "polling" else upgrade_request(to)
    return exchange(subject.port_of(server), data)


def accepted(answer: Answer, transport: str) -> bool:
    return answer.status == (200 if transport == "polling" else 101)


def errors(subject: Subject) -> list[str]:
    """The errors that have been logged; what else is logged must not be one."""
    lines = subject.new_log()
    return [line for line in lines if line.startswith("ERROR telex ")]


# -- allow_request ------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["no", "none"])
def test_refused(subject: Subject, transport: str, verdict: str) -> None:
    """Only `True` lets a client in."""
    assert is_error(ask(subject, transport, verdict=verdict), 4)
    assert errors(subject) == []
    assert not subject.seen("open")


def test_refused_with_a_text(subject: Subject, transport: str) -> None:
    answer = ask(subject, transport, verdict="text")
    assert is_error(answer, 4, 'not you, "Jörg" </b>')
    assert answer.content_type == "application/json"
    assert not subject.seen("open")


def test_check_fails(subject: Subject, transport: str) -> None:
    """The client hears nothing of the reason, the log does, once."""
    assert is_error(ask(subject, transport, verdict="raise"), 4)
    assert errors(subject) == ["ERROR telex ALLOW_REQUEST_FAILED | ValueError('the check failed')"]
    assert not subject.seen("open")


def test_check_hangs(subject: Subject, transport: str) -> None:
    """It is waited for so long (1 s here), then the client is refused."""
    assert is_error(ask(subject, transport, verdict="hang"), 4)
    assert errors(subject) == ["ERROR telex ALLOW_REQUEST_FAILED | TimeoutError()"]
    assert not subject.seen("open")


def test_slow_check(subject: Subject, transport: str) -> None:
    assert accepted(ask(subject, transport, verdict="slow"), transport)


def test_check_is_asked_once_per_session(subject: Subject) -> None:
    """Later requests and the upgrade belong to a session that has been let in."""
    client = PollingClient(subject.port_of(), verdict="slow")
    client.connect()
    with upgrade(client) as upgraded:
        assert upgraded.echoes()
    assert len(subject.seen("allowed")) == 1


def test_refused_before_it_is_asked(subject: Subject, transport: str) -> None:
    """What is wrong with a request is said without bothering the application."""
    to = f"/socket.io/?EIO=9&transport={transport}&verdict=raise"
    data = request("GET", to) if transport == "polling" else upgrade_request(to)
    assert is_error(exchange(subject.port_of(), data), 5)
    assert errors(subject) == []


def test_client_does_not_wait(subject: Subject, transport: str) -> None:
    """Who goes away before the verdict gets no session."""
    for how in ("close", "reset"):
        connection = Connection(subject.port_of())
        to = target(transport, verdict="slow")
        connection.send(request("GET", to) if transport == "polling" else upgrade_request(to))
        assert connection.silent()
        getattr(connection, how)()
    subject.wait("allowed")
    # The verdict on this one comes later than those on the others.
    assert accepted(ask(subject, transport, verdict="slow"), transport)
    sids = [report["sid"] for report in subject.seen("open")]
    # That they have gone may be noticed when they are read again, which is right after it.
    for sid in sids[:-1]:
        assert subject.reason(sid) == "transport close"
    assert errors(subject) == []


def test_glued_frames_wait_for_the_verdict(fast: Subject) -> None:
    """What comes right behind the request is kept, and looked at when there is a session."""
    glued = frame(TEXT, "40") + frame(TEXT, '42["echo",1]')
    with WebSocketClient(fast.port_of(), glued=glued, verdict="slow") as client:
        socket_id(client.text())
        assert client.text() == '42["echo",1]'


def test_bad_glued_frame_waits_for_the_verdict(fast: Subject) -> None:
    for bad in (frame(TEXT, "40", rsv=1), frame(TEXT, "40", mask=None), frame(3)):
        to = target("websocket", verdict="slow")
        with WebSocket(fast.port_of(), to, glued=bad) as websocket:
            assert websocket.close_code() == 1002
            websocket.send(close_frame(1002))
            assert websocket.connection.ended() == "eof"
        assert fast.reason(fast.wait("open")["sid"]) == "transport error"
        fast.unharmed()


# -- generate_id --------------------------------------------------------------------------------


def test_id(subject: Subject, transport: str) -> None:
    if transport == "polling":
        assert PollingClient(subject.port_of(), wish="polling-1").sid == "polling-1"
    else:
        with WebSocketClient(subject.port_of(), wish="websocket-1") as client:
            assert client.sid == "websocket-1"


@pytest.mark.parametrize(("wish", "logged"), [("raise", 1), ("number", 0), ("", 0)])
def test_no_id(subject: Subject, transport: str, wish: str, logged: int) -> None:
    assert is_error(ask(subject, transport, wish=wish), 3)
    assert len(errors(subject)) == logged
    assert not subject.seen("open")


def test_duplicate_id(subject: Subject, transport: str) -> None:
    """The session that has the id keeps it, and hears nothing of the other."""
    client = PollingClient(subject.port_of(), wish="taken")
    client.connect()
    assert is_error(ask(subject, transport, wish="taken"), 3)
    client.say('42["echo",1]')
    assert client.packets() == ['42["echo",1]']
    client.say("1")
    assert subject.reason("taken") == "transport close"
    assert len(subject.seen("open", sid="taken")) == 1


# -- origins ------------------------------------------------------------------------------------


def test_origin_check(subject: Subject) -> None:
    port = subject.port_of("origins")
    ok = exchange(port, request("GET", target("polling"), [("Origin", "https://ok.example")]))
    assert ok.status == 200
    assert ok.header("access-control-allow-origin") == "https://ok.example"
    no = "https://no.example"
    message = f"origin {no} is not allowed: the server admits it with origins=[{no!r}]"
    answer = exchange(port, request("GET", target("polling"), [("Origin", no)]))
    assert is_error(answer, 4, message)
    assert errors(subject) == []


def test_origin_check_fails(subject: Subject, transport: str) -> None:
    port = subject.port_of("origins")
    headers = [("Origin", "https://unexpected.example")]
    to = target(transport)
    data = request("GET", to, headers) if transport == "polling" else upgrade_request(to, headers)
    answer = exchange(port, data)
    assert is_error(answer, 4)
    assert answer.header("access-control-allow-origin") is None
    assert errors(subject) == [
        "ERROR telex ORIGIN_CHECK_FAILED | KeyError('https://unexpected.example')"
    ]


# -- headers and refusals -----------------------------------------------------------------------


def added(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("x-")}


def test_headers(subject: Subject) -> None:
    """`initial_headers` for the first answer of a session, `headers` for every answer."""
    port = subject.port_of("headers")
    client = PollingClient(port)
    both, every = {"x-initial": "yes", "x-every": "yes"}, {"x-every": "yes"}
    assert added(client.handshake) == both
    assert added(client.post("40")) == every
    assert added(client.get()) == every
    assert added(client.post("4" * 1_000_001)) == every
    with upgrade(client) as upgraded:
        assert added(upgraded.websocket.handshake) == every
    with WebSocketClient(port) as websocket:
        assert added(websocket.websocket.handshake) == both


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("every", "x%0d%0aSet-Cookie:%20a=b"),
        ("initial", "x%0aSet-Cookie:%20a=b"),
        ("every", "x%00"),
        ("every", "%E4%BD%A0"),
        ("name", "x-a%0d%0aSet-Cookie"),
        ("name", "x%20a"),
        ("name", ""),
    ],
)
def test_impossible_header(subject: Subject, transport: str, name: str, value: str) -> None:
    """It is not sent, in whole or in part: the handshake fails, and the log says why."""
    answer = ask(subject, transport, "headers", **{name: value})
    assert is_error(answer, 3)
    assert added(answer) == {}
    assert answer.header("set-cookie") is None
    (line,) = errors(subject)
    assert line.startswith("ERROR telex HEADERS_FAILED | ConfigurationError(")
    assert not subject.seen("open")


@pytest.mark.parametrize(
    ("query", "code", "message", "context"),
    [
        ("EIO=4&transport=foo", 0, "Transport unknown", {"transport": "foo"}),
        ("EIO=4&transport={}&sid=foo", 1, "Session ID unknown", {"sid": "foo"}),
        ("EIO=4&transport={}&verdict=no", 4, "Forbidden", {}),
        ("EIO=4&transport={}&verdict=text", 4, 'not you, "Jörg" </b>', {}),
        ("EIO=9&transport={}", 5, "Unsupported protocol version", {"protocol": "9"}),
    ],
)
def test_connection_error(
    subject: Subject,
    transport: str,
    query: str,
    code: int,
    message: str,
    context: dict[str, str],
) -> None:
    """The application is told what the client was not."""
    to = f"/socket.io/?{query.format(transport)}"
    data = request("GET", to) if transport == "polling" else upgrade_request(to)
    assert is_error(exchange(subject.port_of("headers"), data), code, message)
    refused = subject.wait("refused", at="headers")
    assert refused["code"] == code
    assert refused["why"] == message
    assert refused["context"] == context
    assert refused["path"] == "/socket.io/"


# -- middleware and handlers ----------------------------------------------------------------------

NEUTRAL = '{"message":"the connection was refused by the server"}'


def test_middleware_fails(subject: Subject) -> None:
    with WebSocketClient(subject.port_of()) as client:
        client.send("40/broken,")
        assert client.text() == f"44/broken,{NEUTRAL}"
        client.connect()
        assert client.echoes()
    (line,) = errors(subject)
    assert line.endswith("| KeyError('secret')")


def test_middleware_hangs(subject: Subject) -> None:
    """It is waited for so long (1 s here), then the socket is refused."""
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.send("40/stuck,")
        assert client.text() == f"44/stuck,{NEUTRAL}"
        assert client.echoes()
    assert len(errors(subject)) == 1


def test_connection_handler_fails(subject: Subject) -> None:
    """Its socket is disconnected; the connection goes on."""
    with WebSocketClient(subject.port_of()) as client:
        client.send("40/falling,")
        socket_id(client.text(), "/falling")
        assert client.text() == "41/falling,"
        client.connect()
        assert client.echoes()
    (line,) = errors(subject)
    assert line.endswith("| KeyError('secret')")


FAILURE = '[{"error":{"type":"HandlerError","message":"the handler failed"}}]'


@pytest.mark.parametrize(
    "event", ["raise", "raise later", "recurse", "exit", "send a set", "return a set"]
)
def test_handler_fails(subject: Subject, event: str) -> None:
    """That event only: its acknowledgement says so, without the reason; the next is handled."""
    with WebSocketClient(subject.port_of("leaving")) as client:
        client.connect()
        client.send(f'427["{event}"]', '428["echo",1]')
        assert client.websocket.texts(2) == [f"437{FAILURE}", "438[1]"]
        client.send(f'42["{event}"]', '429["echo",2]')
        if event == "return a set":  # nobody asked for the answer
            assert client.text() == "439[2]"
            assert len(errors(subject)) == 1
        else:
            assert client.text() == "439[2]"
            assert len(errors(subject)) == 2


def test_disconnecting_handler_fails(subject: Subject) -> None:
    """The others run all the same."""
    client = WebSocketClient(subject.port_of("leaving"))
    client.connect()
    client.websocket.close()
    report = subject.wait("disconnect", sid=client.sid)
    assert report["reason"] == "transport close"
    assert len(errors(subject)) == 1


# -- patience -------------------------------------------------------------------------------------


def test_body_does_not_come(subject: Subject) -> None:
    """H-45: a body is waited for so long (1 s here)."""
    client = PollingClient(subject.port_of())
    client.connect()
    with Connection(client.port) as connection:
        head = request("POST", client.target("polling"), [("Content-Length", "10")])
        connection.send(head + b"42")
        answer = connection.answer()
        assert (answer.status, answer.body) == (408, b"")
        assert answer.header("connection") == "close"
        assert connection.ended() == "eof"
    assert client.gone()
    assert subject.reason(client.sid) == "transport error"


def test_head_does_not_come(fast: Subject) -> None:
    """A request line without end, one that is dribbled, and none at all."""
    with (
        Connection(fast.port_of()) as begun,
        Connection(fast.port_of()) as dribbled,
        Connection(fast.port_of()) as silent,
    ):
        begun.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nX-A: ")
        assert silent.ended() == "eof"
        for _ in range(200):
            dribbled.send(b"G")
            if not dribbled.silent(0.01):
                break
        else:
            raise AssertionError("a dribbled head is waited for")
        assert begun.ended() in {"eof", "reset"}


def test_head_after_an_answer_does_not_come(fast: Subject) -> None:
    with Connection(fast.port_of()) as connection:
        connection.send(request("GET", target("polling")) + b"GET /socket.io/?EIO")
        assert connection.answer().status == 200
        assert connection.ended() == "eof"


def test_close_frame_is_not_answered(fast: Subject) -> None:
    """W-47: the connection is dropped (after 1 s here)."""
    with WebSocketClient(fast.port_of()) as client:
        client.connect()
        client.send("4")
        assert client.websocket.close_code() == 1000
        assert client.websocket.connection.ended() == "eof"
        assert fast.reason(client.sid) == "forced close"


def test_attachments_do_not_come(subject: Subject) -> None:
    """They are waited for so long (1 s here)."""
    placeholder = '{"_placeholder":true,"num":0}'
    with WebSocketClient(subject.port_of()) as client:
        client.connect()
        client.send(f'451-["echo",{placeholder}]')
        assert client.websocket.close_code() == 1000
        assert subject.reason(client.sid) == "forced server close"
        assert not subject.seen("event", sid=client.sid)


def test_close_packet_is_not_fetched(subject: Subject) -> None:
    """A polling client that is closed and does not poll again (1 s here)."""
    client = PollingClient(subject.port_of())
    client.connect()
    client.say('42["close my connection"]')
    assert subject.reason(client.sid) == "forced close"
    assert client.gone()


def test_upgrade_of_an_impatient_server(subject: Subject) -> None:
    """None of these limits touches a client that is there."""
    with pytest.raises(Refused):
        WebSocketClient(subject.port_of(), verdict="no")
    client = PollingClient(subject.port_of())
    client.connect()
    with upgrade(client) as upgraded:
        assert upgraded.echoes()
