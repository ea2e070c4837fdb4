"""Which pages may connect, and what their browsers are told: on every request, either transport."""

from __future__ import annotations

import pytest

from tests.rules.clients import PollingClient, WebSocketClient, is_error, target
from tests.rules.subject import Subject
from tests.support.raw import Answer, Refused, exchange, request

HANDSHAKE = target("polling")
OK = "https://ok.example"
TWO = "https://two.example:8443"
EVIL = "https://evil.example"


def told(answer: Answer) -> dict[str, str]:
    """What the answer says to a browser."""
    told = {k: v for k, v in answer.headers if k.startswith("access-control-")}
    if "Origin" in answer.all("vary"):
        told["vary"] = "Origin"
    return told


def ask(
    subject: Subject, server: str, origin: str | None, *, method: str = "GET", to: str = HANDSHAKE
) -> Answer:
    headers = [] if origin is None else [("Origin", origin)]
    return exchange(subject.port_of(server), request(method, to, headers))


def is_refused(answer: Answer, origin: str) -> bool:
    message = f"origin {origin} is not allowed: the server admits it with origins=[{origin!r}]"
    return is_error(answer, 4, message) and not told(answer)


# What each server tells a page of an allowed origin.
ALLOWED: list[tuple[str, str, dict[str, str]]] = [
    ("main", OK, {"access-control-allow-origin": OK, "vary": "Origin"}),
    ("any origin", EVIL, {"access-control-allow-origin": "*"}),
    ("any origin", "null", {"access-control-allow-origin": "*"}),
    *(
        (
            "cors",
            origin,
            {
                "access-control-allow-origin": origin,
                "access-control-allow-credentials": "true",
                "access-control-expose-headers": "X-Trace",
                "vary": "Origin",
            },
        )
        for origin in (OK, TWO)
    ),
    *(
        ("patterns", origin, {"access-control-allow-origin": origin, "vary": "Origin"})
        for origin in (
            *("https://ok.example", "http://ok.example", "http://ok.example:3000"),
            *("https://any.example:8443", "null"),
        )
    ),
    # A page of the server's own origin needs no permission, and its browser no header.
    ("defaults", "http://127.0.0.1", {}),
    ("defaults", "https://127.0.0.1", {}),
]

REFUSED = [
    ("main", "null"),
    ("main", "https://ok.example:8443"),
    ("cors", EVIL),
    ("cors", "https://two.example"),
    ("cors", "https://two.example:8444"),
    ("patterns", "https://evil.example"),
    ("patterns", "https://ok.example.evil:3000"),
    ("defaults", EVIL),
    ("defaults", "null"),
    ("defaults", "http://127.0.0.1:3000"),
    ("defaults", "http://127.0.0.1.evil.example"),
    ("defaults", "http://localhost"),
]


@pytest.mark.parametrize(("server", "origin", "expected"), ALLOWED)
def test_allowed(subject: Subject, server: str, origin: str, expected: dict[str, str]) -> None:
    """On every answer of a session, refusals included, so that the page can read them."""
    headers = [("Origin", origin)]
    client = PollingClient(subject.port_of(server), headers=headers)
    assert told(client.handshake) == expected
    answer = client.post("40", headers)
    assert answer.text == "ok"
    assert told(answer) == expected
    to = client.target("polling")
    for method, status in (("GET", 200), ("PUT", 405)):
        answer = exchange(client.port, request(method, to, headers))
        assert answer.status == status
        assert told(answer) == expected
    for answer in (
        client.post("4" * (client.open["maxPayload"] + 1), headers),
        exchange(client.port, request("GET", f"{HANDSHAKE}&sid=unknown", headers)),
        exchange(client.port, request("GET", "/socket.io/?EIO=9&transport=polling", headers)),
    ):
        assert answer.status in {400, 413}
        assert told(answer) == expected
    with WebSocketClient(client.port, headers=headers) as websocket:
        websocket.connect()
        assert websocket.echoes()


@pytest.mark.parametrize(("server", "origin"), REFUSED)
def test_refused(subject: Subject, server: str, origin: str) -> None:
    """With 403 on either transport, before a session is looked for or a WebSocket is opened."""
    assert is_refused(ask(subject, server, origin), origin)
    with PollingClient(subject.port_of(server)) as client:
        headers = [("Origin", origin)]
        for data in (
            request("GET", client.target("polling"), headers),
            client.post_request("40", headers),
        ):
            assert is_refused(exchange(client.port, data), origin)
        with pytest.raises(Refused) as refusal:
            WebSocketClient(client.port, headers=headers)
        assert is_refused(refusal.value.answer, origin)


@pytest.mark.parametrize("server", ["main", "any origin", "cors", "defaults"])
def test_no_origin(subject: Subject, server: str) -> None:
    """Clients that are no browsers send none, and are served."""
    answer = ask(subject, server, None)
    assert answer.status == 200
    expected = {
        "main": {"vary": "Origin"},
        "cors": {"vary": "Origin"},
        "any origin": {"access-control-allow-origin": "*"},
        "defaults": {},
    }
    assert told(answer) == expected[server]


def test_legacy_credentials(subject: Subject) -> None:
    """Browsers with Socket.IO 1 and 2 send credentials always, and refuse the answer without."""
    answer = ask(subject, "main", OK, to=target("polling", 3))
    assert told(answer) == {
        "access-control-allow-origin": OK,
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }
    # Never together with the wildcard.
    answer = ask(subject, "any origin", OK, to=target("polling", 3))
    assert told(answer) == {"access-control-allow-origin": "*"}


def preflight(subject: Subject, server: str, origin: str, wish: str = "x-token") -> Answer:
    headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", wish),
    ]
    return exchange(subject.port_of(server), request("OPTIONS", HANDSHAKE, headers))


def test_preflight(subject: Subject) -> None:
    answer = preflight(subject, "cors", OK)
    assert (answer.status, answer.body) == (204, b"")
    assert told(answer) == {
        "access-control-allow-origin": OK,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, POST, PUT",
        "access-control-allow-headers": "X-Token, Content-Type",
        "access-control-expose-headers": "X-Trace",
        "access-control-max-age": "600",
        "vary": "Origin",
    }
    answer = preflight(subject, "main", OK)
    assert told(answer) == {
        "access-control-allow-origin": OK,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "x-token",
        "vary": "Origin",
    }
    answer = preflight(subject, "any origin", EVIL)
    assert told(answer) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "x-token",
    }


def test_preflight_reflects_no_more_than_is_listed(subject: Subject) -> None:
    for wish in ("x-evil", "x" * 8000, "*", "a, b; c=<script>"):
        answer = preflight(subject, "cors", OK, wish)
        assert answer.header("access-control-allow-headers") == "X-Token, Content-Type"


def test_preflight_refused(subject: Subject) -> None:
    assert is_refused(preflight(subject, "cors", EVIL), EVIL)
    # Without a policy there is nothing to ask about.
    assert is_error(preflight(subject, "defaults", "http://127.0.0.1"), 2)


def test_preflight_of_a_session(subject: Subject) -> None:
    with PollingClient(subject.port_of("cors"), headers=[("Origin", OK)]) as client:
        answer = exchange(
            client.port, request("OPTIONS", client.target("polling"), [("Origin", OK)])
        )
        assert answer.status == 204
        client.connect()
        client.say('42["echo",1]')
        assert client.packets() == ['42["echo",1]']


def test_bundle(subject: Subject) -> None:
    """The JavaScript client is for everybody; only listed origins may read it with scripts."""
    to = "/socket.io/socket.io.min.js"
    answer = ask(subject, "cors", OK, to=to)
    assert answer.status == 200
    assert told(answer)["access-control-allow-origin"] == OK
    answer = ask(subject, "cors", EVIL, to=to)
    assert answer.status == 200
    assert told(answer) == {"vary": "Origin"}
    answer = ask(subject, "any origin", EVIL, to=to)
    assert told(answer) == {"access-control-allow-origin": "*"}
