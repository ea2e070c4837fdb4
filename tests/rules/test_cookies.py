"""The session cookie: off unless asked for, set once, with the attributes it was given."""

from __future__ import annotations

import pytest

from tests.rules.clients import PollingClient, WebSocketClient, upgrade
from tests.rules.subject import Subject
from tests.support.raw import exchange, request

COOKIES = {
    "cookie": "io={sid}; Path=/; HttpOnly; SameSite=Lax",
    "named cookie": "sticky={sid}; Path=/; HttpOnly; SameSite=Lax",
    "cookie attributes": (
        "sticky={sid}; Max-Age=3600; Domain=example.org; Path=/socket.io; Secure; Partitioned;"
        " SameSite=None"
    ),
}


@pytest.mark.parametrize("server", COOKIES)
def test_cookie(subject: Subject, server: str) -> None:
    port = subject.port_of(server)
    client = PollingClient(port)
    assert client.handshake.header("set-cookie") == COOKIES[server].format(sid=client.sid)
    with WebSocketClient(port) as websocket:
        cookie = websocket.websocket.handshake.header("set-cookie")
        assert cookie == COOKIES[server].format(sid=websocket.sid)


def test_cookie_is_set_once(subject: Subject) -> None:
    client = PollingClient(subject.port_of("cookie"))
    assert client.post("40").header("set-cookie") is None
    assert client.get().header("set-cookie") is None
    with upgrade(client) as upgraded:
        assert upgraded.websocket.handshake.header("set-cookie") is None
    refusal = exchange(client.port, request("GET", "/socket.io/?EIO=4&transport=polling&sid=no"))
    assert refusal.header("set-cookie") is None


def test_no_cookie(subject: Subject) -> None:
    assert PollingClient(subject.port_of("defaults")).handshake.header("set-cookie") is None


@pytest.mark.parametrize(
    "cookies", ["io=other; io=another", "a=\x01; ;;=;", ";" * 4000, "io", "=", "io=\xff\xfe"]
)
def test_cookies_of_the_client_mean_nothing(subject: Subject, cookies: str) -> None:
    """A session is known by its id in the query alone."""
    port = subject.port_of("cookie")
    data = request("GET", "/socket.io/?EIO=4&transport=polling", [("Cookie", cookies)])
    answer = exchange(port, data)
    assert answer.status == (400 if "\x01" in cookies else 200)
    assert len(subject.new_log()) <= 1
