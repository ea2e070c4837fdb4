"""Bad HTTP requests, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.rules.clients import (
    PollingClient,
    is_error,
    is_unknown_sid,
    target,
    upgrade,
)
from tests.rules.payload_rows import OCTETS
from tests.rules.rows import (
    EMPTY_400,
    FAST,
    PARSE,
    TOO_LARGE,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    Expectation,
    Row,
    error,
    ok,
    opened,
    status,
    still_alive,
)
from tests.rules.subject import HOSTS, Host, Subject
from tests.support.raw import (
    Answer,
    Connection,
    HeaderLines,
    exchange,
    request,
    upgrade_request,
)

HANDSHAKE = target("polling")
OK_ORIGIN = ("Origin", "https://ok.example")
OURS = ("vary", "Origin")

Data: TypeAlias = bytes | Callable[[PollingClient], bytes]


@dataclass(frozen=True)
class Http:
    """One request and its answer.

    `data` are the bytes, or makes them for a session that has been opened before; `reason` is why
    that session ended, `None` if it goes on. `closes` says that the connection ends too.
    """

    id: str
    data: Data
    answer: Expectation
    reason: str | None = None
    closes: bool = False
    server: str = "main"
    head: bool = False

    def run(self, subject: Subject) -> None:
        port = subject.port_of(self.server)
        client = None if isinstance(self.data, bytes) else PollingClient(port)
        data = self.data if isinstance(self.data, bytes) else b""
        if client is not None and not isinstance(self.data, bytes):
            data = self.data(client)
        with Connection(port) as connection:
            connection.send(data)
            answer = connection.answer(head=self.head)
            self.answer(answer)
            assert not answer.all("access-control-allow-origin"), answer
            if self.closes:
                assert answer.header("connection") == "close"
                assert connection.ended() == "eof"
            else:
                assert answer.header("connection") in {None, "keep-alive"}
        if client is None:
            return
        if self.reason is None:
            still_alive(client)
            client.say("1")
            assert subject.reason(client.sid) == TRANSPORT_CLOSE
        else:
            assert client.gone()
            assert subject.reason(client.sid) == self.reason


def get(query: str) -> bytes:
    return request("GET", f"/socket.io/{query}")


def with_sid(method: str, **query: object) -> Data:
    return lambda client: request(method, client.target("polling", **query))


def post(
    headers: HeaderLines, body: bytes | None = b"40", more: bytes = b"", *, version: str = "1.1"
) -> Data:
    """A POST of a session with these headers; `more` follows as it is."""

    def make(client: PollingClient) -> bytes:
        to = client.target("polling")
        return request("POST", to, headers, body, version=version) + more

    return make


def method_not_allowed(answer: Answer) -> None:
    assert (answer.status, answer.body) == (405, b""), answer
    assert answer.header("allow") == "GET, POST"


def not_found(answer: Answer) -> None:
    assert answer.status == 404, answer
    assert b'option path: "/socket.io"' in answer.body
    assert answer.content_type == "text/plain; charset=utf-8"


NO_ORIGINS = ("http://\\xe9", "https://evil/https://ok.example", "//ok.example")
"""What no list of origins can name."""


def forbidden_origin(origin: str) -> Expectation:
    """The refusal names the origin, and what a user would have to write."""
    cure = f"origins=[{origin!r}]"
    if origin in NO_ORIGINS:
        cure = "a function, origins=check(origin, request)"
    return error(4, f"origin {origin} is not allowed: the server admits it with {cure}")


def preflight(answer: Answer) -> None:
    assert (answer.status, answer.body) == (204, b""), answer
    assert answer.header("access-control-allow-methods") == "GET, POST"
    assert answer.header("access-control-allow-headers") == "content-type"
    assert answer.header("vary") == "Origin"


POISON = "x" * 8000
SID_8000 = "a" * 8000

# -- the query ------------------------------------------------------------------------------

QUERIES = [
    Http("H-01 no EIO", get("?transport=polling"), error(5)),
    Http("H-02 EIO=5", get("?EIO=5&transport=polling"), error(5)),
    Http("H-02 EIO=04", get("?EIO=04&transport=polling"), error(5)),
    Http("H-02 EIO=4 NUL", get("?EIO=4%00&transport=polling"), error(5)),
    Http("H-02 EIO arabic", get("?EIO=%D9%A4&transport=polling"), error(5)),
    Http("H-02 EIO empty", get("?EIO=&transport=polling"), error(5)),
    Http("H-03 last EIO is 4", get("?EIO=3&EIO=4&transport=polling"), opened, server="eio4"),
    Http("H-03 last EIO is 3", get("?EIO=4&EIO=3&transport=polling"), error(5), server="eio4"),
    Http("H-04 no query", get(""), error(0)),
    Http("H-04 no transport", get("?EIO=4"), error(0)),
    *(
        Http(f"H-04 transport={name!r}", get(f"?EIO=4&transport={name}"), error(0))
        for name in (
            *("", "foo", "Polling", "polling%00", "__proto__", "constructor", "webtransport"),
            *("toString", "polling%20", "%70olling%0d%0a"),
        )
    ),
    Http("H-05 transport[]", get("?EIO=4&transport[]=polling"), error(0)),
    Http("H-05 two transports", get("?EIO=4&transport=polling,websocket"), error(0)),
    *(
        Http(f"H-06 {method} without sid", request(method, HANDSHAKE, (), body), error(2))
        for method, body in (("POST", b"40"), ("PUT", b""), ("DELETE", None), ("PATCH", b""))
    ),
    Http("H-06 HEAD without sid", request("HEAD", HANDSHAKE), status(400), head=True),
    Http("H-07 OPTIONS", request("OPTIONS", HANDSHAKE), preflight),
    Http("H-07 OPTIONS, no CORS", request("OPTIONS", HANDSHAKE), error(2), server="defaults"),
    *(
        Http(f"H-08 {method} with sid", with_sid(method), method_not_allowed)
        for method in ("PUT", "DELETE", "PATCH")
    ),
    Http("H-08 HEAD with sid", with_sid("HEAD"), method_not_allowed, head=True),
    *(
        Http(f"H-09 sid {name}", get(f"?EIO=4&transport=polling&sid={sid}"), error(1))
        for name, sid in {
            "nope": "nope",
            "proto": "__proto__",
            "constructor": "constructor",
            "NUL": "%00",
            "no UTF-8": "%ff%fe",
            "path": "..%2f..",
            "long": SID_8000,
            "markup": "%3Cscript%3E",
        }.items()
    ),
    Http("H-09 POST, unknown sid", request("POST", f"{HANDSHAKE}&sid=nope", (), b"40"), error(1)),
    Http("H-10 empty sid", get("?EIO=4&transport=polling&sid="), opened),
    Http("H-11 last sid is bad", with_sid("GET", x="1&sid=bad"), error(1)),
    Http(
        "H-11 last sid is good",
        lambda c: request("PUT", f"{HANDSHAKE}&sid=bad&sid={c.sid}"),
        method_not_allowed,
    ),
    Http("H-12 websocket, no upgrade", get("?EIO=4&transport=websocket"), error(3)),
    Http("H-13 websocket with sid", lambda c: request("GET", c.target("websocket")), error(3)),
    Http("H-14 GET of EIO=3", with_sid("GET", EIO=3), error(3)),
    Http("H-14 POST of EIO=3", lambda c: request("POST", v3(c), (), b"1:1"), error(3)),
    Http(
        "H-14 upgrade of EIO=3",
        lambda c: upgrade_request(v3(c).replace("polling", "websocket")),
        error(3),
        closes=True,
    ),
    Http("H-14 GET without EIO", lambda c: get(f"?transport=polling&sid={c.sid}"), error(3)),
    Http("H-16 3 000 parameters", get(f"?EIO=4&transport=polling{'&a=b' * 3000}"), opened),
    Http("H-16 question marks", get(f"?EIO=4&transport=polling&{'?' * 1000}"), opened),
    Http("H-16 separators", get(f"?EIO=4&transport=polling{'&' * 1000}"), opened),
]


def v3(client: PollingClient) -> str:
    return client.target("polling").replace("EIO=4", "EIO=3")


# -- the target and the head ----------------------------------------------------------------

QUERY = "?EIO=4&transport=polling"


def raw(*lines: str, body: str = "") -> bytes:
    return ("\r\n".join([*lines, "", ""]) + body).encode("latin-1")


HOST = "Host: 127.0.0.1"
HEAD_LINE = f"GET {HANDSHAKE} HTTP/1.1"


def bad(id_: str, data: Data) -> Http:
    """A request that is not HTTP: refused before anybody looks at its content."""
    return Http(id_, data, status(400), closes=True)


HEADS = [
    # The trailing slash may be missing, or come twice; nothing else may.
    Http("H-17 two slashes", get(f"/{QUERY}"), opened),
    Http("H-17 no slash", get("").replace(b"/socket.io/", b"/socket.io" + QUERY.encode()), opened),
    *(
        Http(f"H-17 {path}", request("GET", path + QUERY), not_found)
        for path in (
            *("/socket.io/x", "/Socket.IO/", "/socket.io/../socket.io/"),
            *("/socket.iox", "/socket.io/socket.io.js.map.js", "/socket.io/%2e%2e/", "/"),
        )
    ),
    Http("H-18 absolute form", request("GET", f"http://x{HANDSHAKE}"), opened),
    Http("H-20 HTTP/1.0", raw(f"GET {HANDSHAKE} HTTP/1.0"), opened, closes=True),
    Http("H-21 no Host", raw(HEAD_LINE), EMPTY_400, closes=True),
    Http("H-21 two Hosts", raw(HEAD_LINE, HOST, "Host: b"), EMPTY_400, closes=True),
    bad("H-22 HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    bad("H-22 TLS", bytes.fromhex("16030100f4010000f00303") + bytes(range(256))),
    bad("H-22 SSH", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    bad("H-22 nothing like it", bytes(number * 7 % 256 for number in range(65536))),
    *(
        bad(f"H-23 {name}", raw(HEAD_LINE, HOST, line))
        for name, line in {
            "NUL in a value": "X-A: a\x00b",
            "bare CR": "X-A: a\rb",
            "space before the colon": "X-A : b",
            "no name": ": b",
            "no colon": "X-A",
            "name with a space": "X A: b",
        }.items()
    ),
    bad("H-23 folded line", raw(HEAD_LINE, HOST, "X-A: a", " b: c")),
    Http(
        "H-25 Origin with Latin-1",
        raw(HEAD_LINE, HOST, "Origin: http://é"),
        forbidden_origin("http://\\xe9"),
    ),
    Http(
        "H-27 broken cookies",
        raw(HEAD_LINE, HOST, "Cookie: " + "a=\x80; ;;=;" * 500),
        opened,
    ),
    Http("H-28 close a handshake", raw(HEAD_LINE, HOST, "Connection: close"), opened, closes=True),
    Http("H-80 GET with a body", request("GET", HANDSHAKE, (), b"hello"), opened),
    Http("H-82 h2c", raw(HEAD_LINE, HOST, "Connection: Upgrade", "Upgrade: h2c"), opened),
]

# -- bodies -----------------------------------------------------------------------------------

CHUNKED = ("Transfer-Encoding", "chunked")


def chunked(body: bytes, *, trailers: bytes = b"\r\n") -> Data:
    return post([CHUNKED], None, body + trailers)


def unsupported(answer: Answer) -> None:
    assert (answer.status, answer.body) == (415, b""), answer
    assert answer.header("accept-encoding") == "identity"


BROKEN_BODY = (status(400), TRANSPORT_ERROR, True)

BODIES = [
    Http("H-40 octet-stream", post(OCTETS, b"\x00\x01"), EMPTY_400, TRANSPORT_ERROR),
    *(
        Http(f"H-42 {coding}", post([("Content-Encoding", coding)], b"40"), unsupported)
        for coding in ("gzip", "br", "deflate, gzip")
    ),
    *(
        Http(
            f"H-43 length {length!r}",
            post([("Content-Length", length)], None, b"40"),
            status(400),
            closes=True,
        )
        for length in ("-1", "+2", "2_0", "0x2", "2, 3", "", "2;", "99999999999999999999")
    ),
    Http(
        "H-43 two lengths",
        post([("Content-Length", "2"), ("Content-Length", "3")], None, b"40"),
        status(400),
        closes=True,
    ),
    Http(
        "H-43 arabic length",
        post([("Content-Length", "٢".encode().decode("latin-1"))], None, b"40"),
        status(400),
        closes=True,
    ),
    # Without a length there is no body, and an empty payload is none.
    Http("H-46 no length", post((), None), EMPTY_400, PARSE),
    Http("H-47 too large", post((), b"4" * 100_001), TOO_LARGE),
    Http(
        "H-70 length and chunks",
        post([("Content-Length", "2"), CHUNKED], None, b"2\r\n40\r\n0\r\n\r\n"),
        status(400),
        closes=True,
    ),
    *(
        Http(
            f"H-71 coding {coding!r}",
            post([("Transfer-Encoding", coding)], None, b"2\r\n40\r\n0\r\n\r\n"),
            status(400, 501),
            reason,
            closes=True,
        )
        for coding, reason in (
            ("chunked, chunked", None),
            ("\x0bchunked", None),
            # Known to be wrong only when the head has been passed on: a body cut short.
            ("xchunked", TRANSPORT_ERROR),
            ("chunked;q=1", TRANSPORT_ERROR),
            ("gzip", TRANSPORT_ERROR),
        )
    ),
    *(
        Http(f"H-73 chunk size {size!r}", chunked(size + b"\r\n40\r\n0\r\n"), *BROKEN_BODY)
        for size in (b"0x2", b"+2", b"2_0", "٢".encode(), b"1" * 17, b"-1", b"")
    ),
    Http("H-74 chunk not ended", chunked(b"2\r\n40XX0\r\n"), *BROKEN_BODY),
    Http("H-74 bare LF in a chunk", chunked(b"2\n40\r\n0\r\n"), *BROKEN_BODY),
]

# -- origins --------------------------------------------------------------------------------


def evil(origin: str) -> Http:
    data = request("GET", HANDSHAKE, [("Origin", origin)])
    return Http(f"H-64 {origin}", data, forbidden_origin(origin))


ORIGINS = [
    bad("H-24 Origin with a control character", raw(HEAD_LINE, HOST, "Origin: a\x01b")),
    Http(
        "H-61 evil Origin",
        request("GET", HANDSHAKE, [("Origin", "https://evil.example")]),
        forbidden_origin("https://evil.example"),
    ),
    Http(
        "H-61 evil Origin posts",
        lambda c: c.post_request("40", [("Origin", "https://evil.example")]),
        forbidden_origin("https://evil.example"),
    ),
    Http(
        "H-61 evil Origin polls",
        lambda c: request("GET", c.target("polling"), [("Origin", "https://evil.example")]),
        forbidden_origin("https://evil.example"),
    ),
    Http(
        "H-61 evil Origin asks first",
        request("OPTIONS", HANDSHAKE, [("Origin", "https://evil.example")]),
        forbidden_origin("https://evil.example"),
    ),
    Http("H-62 no CORS", request("GET", HANDSHAKE), opened, server="defaults"),
    Http(
        "H-63 null",
        request("GET", HANDSHAKE, [("Origin", "null")]),
        forbidden_origin("null"),
    ),
    *map(
        evil,
        (
            "https://ok.example.evil",
            "https://evil/https://ok.example",
            "HTTPS://OK.EXAMPLE",
            "https://ok.example.",
            "https://ok.example:443",
            "https://ok.example:444",
            "https://ok.example/",
            "http://ok.example",
            "//ok.example",
            "ok.example",
            "https://ok.example@evil.example",
            "https://xok.example",
            "https://ok_example",
        ),
    ),
    Http(
        "H-66 long preflight",
        request("OPTIONS", HANDSHAKE, [("Access-Control-Request-Headers", POISON)]),
        preflight,
    ),
]


# -- what takes several steps ---------------------------------------------------------------


def eio4_on_legacy_session(subject: Subject) -> None:
    client = PollingClient(subject.port_of(), 3)
    client.connect()
    for method, body in (("GET", None), ("POST", b"40")):
        to = client.target("polling").replace("EIO=3", "EIO=4")
        assert is_error(exchange(client.port, request(method, to, (), body)), 3)
    with client:
        client.say('42["echo",1]')
        assert client.packets() == ['42["echo",1]']


def odd_targets(subject: Subject) -> None:
    for to in ("//evil/socket.io/", "http://", "*", "http://[", "socket.io", "/%"):
        answer = exchange(subject.port_of(), request("GET", to))
        assert answer.status in {400, 404}, (to, answer)


def huge_heads(subject: Subject) -> None:
    heads = {
        "headers": request("GET", HANDSHAKE, [("X-A", "b")] * 2100),
        "a header": request("GET", HANDSHAKE, [("X-A", "b" * 20_000)]),
        "the request line": request("GET", f"{HANDSHAKE}&a={'b' * 100_000}"),
        "a query": request("GET", f"{HANDSHAKE}&a={'b' * 16_384}"),
        "a cookie": request("GET", HANDSHAKE, [("Cookie", "a=\x80; ;;=;" * 4000)]),
        "an upgrade": upgrade_request(target("websocket"), [("X-A", "b")] * 2100),
        "an upgrade's header": upgrade_request(target("websocket"), [("X-A", "b" * 20_000)]),
    }
    for name, data in heads.items():
        with Connection(subject.port_of()) as connection:
            connection.send(data)
            answer = connection.answer()
            assert (answer.status, answer.body) == (431, b""), name
            assert answer.header("connection") == "close"
            assert connection.ended() in {"eof", "reset"}


def many_headers_are_allowed(subject: Subject) -> None:
    data = request("GET", HANDSHAKE, [(f"X-{number}", "b") for number in range(250)])
    opened(exchange(subject.port_of(), data))


def close_a_poll(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        client.connect()
        client.say('42["echo",1]')
        to = client.target("polling")
        with Connection(client.port) as connection:
            connection.send(request("GET", to, [("Connection", "close")]))
            assert connection.answer().text == '42["echo",1]'
            assert connection.ended() == "eof"
        client.say('42["echo",2]')
        assert client.packets() == ['42["echo",2]']


def expect_continue(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client, Connection(client.port) as connection:
        head = [("Expect", "100-continue"), ("Content-Length", "2")]
        connection.send(request("POST", client.target("polling"), head))
        assert connection.answer().status == 100
        connection.send(b"40")
        ok(connection.answer())


def pipelined_handshakes(subject: Subject) -> None:
    with Connection(subject.port_of()) as connection:
        connection.send(request("GET", HANDSHAKE) * 2)
        sids = {connection.answer().text[:40] for _ in range(2)}
        assert len(sids) == 2
        assert all(sid.startswith('0{"sid":"') for sid in sids)


def pipelined_polls(subject: Subject) -> None:
    """On one connection requests come after each other, so these do not overlap."""
    with PollingClient(subject.port_of()) as client:
        client.connect()
        with Connection(client.port) as connection:
            connection.send(client.get_request() * 2)
            client.say('42["echo",1]')
            assert connection.answer().text == '42["echo",1]'
            client.say('42["echo",2]')
            assert connection.answer().text == '42["echo",2]'


def other_content_types(subject: Subject) -> None:
    kinds: list[HeaderLines] = [
        [("Content-Type", "text/plain")],
        [("Content-Type", "application/json")],
        [("Content-Type", "multipart/form-data; boundary=")],
        [("Content-Type", "application/x-www-form-urlencoded")],
        [("Content-Type", "")],
        [("Content-Type", "/;;=é")],
        [],
    ]
    for kind in kinds:
        with PollingClient(subject.port_of()) as client:
            ok(exchange(client.port, request("POST", client.target("polling"), kind, b"40")))
            assert client.packets()[0].startswith('40{"sid":')


def octets_with_parameters(subject: Subject) -> None:
    """The type is the same with parameters and in capitals."""
    for kind in ("application/octet-stream; x=1", "Application/Octet-Stream"):
        client = PollingClient(subject.port_of())
        EMPTY_400(client.post(b"40", [("Content-Type", kind)]))
        assert client.gone()
        assert subject.reason(client.sid) == TRANSPORT_ERROR


def many_octets(subject: Subject) -> None:
    """Every one is answered, and nothing of them stays."""
    before = subject.descriptors()
    for _ in range(200):
        client = PollingClient(subject.port_of())
        EMPTY_400(client.post(b"\x00", OCTETS))
        assert client.gone()
    assert subject.settled(before)


def post_cut_short(subject: Subject) -> None:
    for how in ("close", "reset", "half_close"):
        client = PollingClient(subject.port_of())
        client.connect()
        with Connection(client.port) as connection:
            length = [("Content-Length", "20")]
            body = b'42["echo",1]'
            connection.send(request("POST", client.target("polling"), length) + body)
            assert connection.silent()
            getattr(connection, how)()
        assert subject.reason(client.sid) == TRANSPORT_ERROR
        assert client.gone()
        assert not subject.seen("event", sid=client.sid)


def next_request_after_413(subject: Subject) -> None:
    """What is too large is read to its end, so that the next request is found behind it."""
    with PollingClient(subject.port_of()) as client, Connection(client.port) as connection:
        connection.send(client.post_request("4" * 100_001) + client.post_request("40"))
        TOO_LARGE(connection.answer())
        ok(connection.answer())
        assert client.packets()[0].startswith('40{"sid":')


def chunks_without_end(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        with Connection(client.port) as connection:
            connection.send(request("POST", client.target("polling"), [CHUNKED]))
            connection.send(b"8000\r\n" + b"4" * 0x8000 + b"\r\n")
            assert connection.silent()
            for _ in range(3):  # together 131 072 bytes, and the last chunk never comes
                connection.send(b"8000\r\n" + b"4" * 0x8000 + b"\r\n")
            TOO_LARGE(connection.answer())
            assert connection.ended() in {"eof", "reset"}
        still_alive(client)


def announced_gigabytes(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        with Connection(client.port) as connection:
            length = [("Content-Length", "10000000000")]
            connection.send(request("POST", client.target("polling"), length) + b"4" * 1024)
            TOO_LARGE(connection.answer())
            assert connection.ended() in {"eof", "reset"}
        still_alive(client)


def unread_body_of_unknown_session(subject: Subject) -> None:
    """Who has no session is told so before a body has been read."""
    with Connection(subject.port_of()) as connection:
        to = target("polling", sid="nope")
        connection.send(request("POST", to, [("Content-Length", "10000000000")]) + b"4" * 1024)
        assert is_unknown_sid(connection.answer())


def two_polls(subject: Subject) -> None:
    client = PollingClient(subject.port_of())
    client.connect()
    with client.waiting() as first:
        EMPTY_400(client.get())
        answer = first.answer()
        assert (answer.status, answer.body) == (200, b"1")
    assert client.gone()
    assert subject.reason(client.sid) == subject.farewell(client.sid) == TRANSPORT_ERROR


def two_posts(subject: Subject) -> None:
    client = PollingClient(subject.port_of())
    client.connect()
    with Connection(client.port) as first:
        event = client.post_request('42["echo",1]')
        first.send(event[:-1])
        assert first.silent()
        EMPTY_400(client.post('42["echo",2]'))
        first.send(event[-1:])
        EMPTY_400(first.answer())
    assert client.gone()
    assert subject.reason(client.sid) == TRANSPORT_ERROR
    assert not subject.seen("event", sid=client.sid)


def poll_cut_short(subject: Subject) -> None:
    for how in ("close", "reset", "half_close"):
        client = PollingClient(subject.port_of())
        client.connect()
        with client.waiting() as connection:
            getattr(connection, how)()
            assert subject.reason(client.sid) == subject.farewell(client.sid) == TRANSPORT_ERROR
        assert client.gone()


def poll_and_post(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        client.connect()
        with client.waiting() as poll:
            client.say('42["echo",1]')
            assert poll.answer().text == '42["echo",1]'


def after_the_upgrade(subject: Subject) -> None:
    polling = PollingClient(subject.port_of())
    polling.connect()
    with upgrade(polling) as client:
        assert client.echoes()
        assert is_error(polling.get(), 3)
        assert is_error(polling.post('42["echo",1]'), 3)
        assert client.echoes()


def one_byte_chunks(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        client.connect()
        event = b'42["echo","' + b"a" * 20_000 + b'"]'
        body = b"".join(b"1\r\n%c\r\n" % byte for byte in event) + b"0\r\n\r\n"
        ok(exchange(client.port, request("POST", client.target("polling"), [CHUNKED]) + body))
        assert client.packets() == [event.decode()]


def long_chunk_extension(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        body = b"2;a=" + b"b" * 100_000 + b"\r\n40\r\n0\r\n\r\n"
        answer = exchange(client.port, request("POST", client.target("polling"), [CHUNKED]) + body)
        ok(answer)


def many_trailers(subject: Subject) -> None:
    client = PollingClient(subject.port_of())
    with Connection(client.port) as connection:
        head = request("POST", client.target("polling"), [CHUNKED])
        connection.send(head + b"2\r\n40\r\n0\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n")
        answer = connection.answer()
        assert (answer.status, answer.body) == (431, b"")
        assert connection.ended() in {"eof", "reset"}


def chunks_on_http_1_0(subject: Subject) -> None:
    with PollingClient(subject.port_of()) as client:
        with Connection(client.port) as connection:
            to = client.target("polling")
            head = request("POST", to, [CHUNKED], version="1.0")
            connection.send(head + b"2\r\n40\r\n0\r\n\r\n")
            answer = connection.answer()
            assert answer.status in {200, 400}
            assert connection.ended() == "eof"


def bare_line_feeds(subject: Subject) -> None:
    data = request("GET", HANDSHAKE).replace(b"\r\n", b"\n")
    assert exchange(subject.port_of(), data).status == 400


def refused_upgrade_with_a_request(subject: Subject) -> None:
    """After a refused upgrade nothing that came with it is taken for a request."""
    with Connection(subject.port_of()) as connection:
        connection.send(
            upgrade_request(target("websocket", sid="nope")) + request("GET", HANDSHAKE)
        )
        assert is_unknown_sid(connection.answer())
        assert connection.ended() == "eof"
    subject.unharmed()
    assert not subject.seen("open", transport="polling")


def upgrade_by_post(subject: Subject) -> None:
    glued = request("GET", HANDSHAKE)
    head = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with Connection(subject.port_of()) as connection:
        connection.send(request("POST", target("websocket"), head, glued))
        answer = connection.answer()
        assert answer.status in {400, 405}, answer
        assert connection.ended() in {"eof", "reset"}
    subject.unharmed()
    assert not subject.seen("open", transport="polling")


def bodies_of_gets_are_skipped(subject: Subject) -> None:
    """The body of a GET is nobody's request."""
    with Connection(subject.port_of()) as connection:
        smuggled = request("GET", f"{HANDSHAKE}&smuggled=1")
        connection.send(request("GET", HANDSHAKE, (), smuggled) + request("GET", HANDSHAKE))
        opened(connection.answer())
        opened(connection.answer())
        assert connection.silent()


def mixed_case_upgrade(subject: Subject) -> None:
    head = [
        ("connection", "keep-alive, UpGrade"),
        ("uPGRADE", "WebSocket"),
        ("SEC-websocket-VERSION", "13"),
        ("sec-WebSocket-KEY", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with Connection(subject.port_of()) as connection:
        connection.send(request("GET", target("websocket"), head))
        assert connection.answer().status == 101


def upgrade_behind_a_poll(subject: Subject) -> None:
    """On a connection that still owes an answer nothing else can begin."""
    client = PollingClient(subject.port_of())
    client.connect()
    with Connection(client.port) as connection:
        connection.send(client.get_request() + upgrade_request(client.target("websocket")))
        assert connection.answer().status == 400
        assert connection.ended() == "eof"
    assert subject.reason(client.sid) == TRANSPORT_ERROR


def vanished_sessions(subject: Subject) -> None:
    """A client that goes away during its handshake leaves nothing."""
    before = subject.descriptors()
    for _ in range(50):
        connection = Connection(subject.port_of())
        connection.send(request("GET", HANDSHAKE))
        connection.reset()
        connection = Connection(subject.port_of())
        connection.send(upgrade_request(target("websocket")))
        connection.reset()
    assert subject.settled(before)


SEVERAL_STEPS: list[tuple[str, Callable[[Subject], None], tuple[Host, ...]]] = [
    ("H-15 EIO=4 on a session of 3", eio4_on_legacy_session, HOSTS),
    ("H-19 odd targets", odd_targets, HOSTS),
    ("H-26 huge heads", huge_heads, FAST),
    ("H-26 250 headers", many_headers_are_allowed, HOSTS),
    ("H-28 close a poll", close_a_poll, HOSTS),
    ("H-29 expect 100", expect_continue, HOSTS),
    ("H-30 two handshakes at once", pipelined_handshakes, HOSTS),
    ("H-30 two polls at once", pipelined_polls, HOSTS),
    ("H-40 octet-stream often", many_octets, HOSTS),
    ("H-41 other content types", other_content_types, HOSTS),
    ("H-41 octet-stream with parameters", octets_with_parameters, HOSTS),
    ("H-44 body cut short", post_cut_short, HOSTS),
    ("H-47 next request", next_request_after_413, HOSTS),
    ("H-48 chunks without end", chunks_without_end, HOSTS),
    ("H-49 10 GB", announced_gigabytes, HOSTS),
    ("H-49 10 GB for nobody", unread_body_of_unknown_session, HOSTS),
    ("H-50 two polls", two_polls, HOSTS),
    ("H-51 two posts", two_posts, HOSTS),
    ("H-52 poll cut short", poll_cut_short, HOSTS),
    ("H-54 poll and post", poll_and_post, HOSTS),
    ("H-55 after the upgrade", after_the_upgrade, HOSTS),
    ("H-72 chunks on HTTP/1.0", chunks_on_http_1_0, HOSTS),
    ("H-75 one-byte chunks", one_byte_chunks, HOSTS),
    ("H-75 long chunk extension", long_chunk_extension, HOSTS),
    ("H-76 many trailers", many_trailers, FAST),
    ("H-77 bare line feeds", bare_line_feeds, HOSTS),
    ("H-78 request behind a refused upgrade", refused_upgrade_with_a_request, HOSTS),
    ("H-79 upgrade by POST", upgrade_by_post, FAST),
    ("H-80 request in a body", bodies_of_gets_are_skipped, HOSTS),
    ("H-81 mixed case", mixed_case_upgrade, HOSTS),
    ("H-83 upgrade behind a poll", upgrade_behind_a_poll, FAST),
    ("H-84 vanished", vanished_sessions, HOSTS),
]

ROWS = [
    *(Row(http.id, http.run, server=http.server) for http in (*QUERIES, *HEADS, *BODIES, *ORIGINS)),
    *(Row(id_, run, hosts) for id_, run, hosts in SEVERAL_STEPS),
]
