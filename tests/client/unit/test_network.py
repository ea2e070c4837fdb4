"""Where requests go: options that cannot be sent, redirects, proxies of the environment."""

from __future__ import annotations

from typing import Any

import pytest

import telex
from telex.client.network import Answer, Network
from telex.client.options import EngineClientOptions
from telex.options import TransportName
from telex.server_url import parse

FORGED = "7\r\nX-Token: let me in"


class TestRefused:
    @pytest.mark.parametrize(
        "options",
        [
            {"headers": {"X-Trace": FORGED}},
            {"headers": {"X-Trace": "a\x00b"}},
            {"headers": {FORGED: "7"}},
            {"headers": {"X Trace": "7"}},
            {"headers": {"": "7"}},
            {"headers": {"Cookie": FORGED}},
            {"headers": {"X-Trace": None}},
            {"query": {"token": None}},
            {"transport_options": {"websocket": {"headers": {"X-Trace": FORGED}}}},
            {"transport_options": {"polling": {"headers": {"X-Trace": None}}}},
            {"path": "/a HTTP/1.1\r\nX-Token: let me in\r\n"},
            {"path": "/a b"},
        ],
    )
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    def test_what_would_break_a_request(
        self, options: dict[str, Any], transport: TransportName
    ) -> None:
        for connect in (telex.connect, telex.connect_engine, telex.Manager):
            with pytest.raises(telex.ConfigurationError):
                connect("http://127.0.0.1:1", transports=[transport], **options)

    def test_names_of_servers(self) -> None:
        for url in ("http://a b/", "http://a\x00b/", "http://a\x7f"):
            with pytest.raises(telex.ConfigurationError):
                parse(url)

    def test_other_letters_are_escaped(self) -> None:
        assert "/m%C3%A4rz/?" in network(path="/märz").url("websocket", None)


def network(url: str = "http://a.example", **options: Any) -> Network:
    return Network(parse(url), EngineClientOptions(timestamp_requests=False, **options))


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    @pytest.mark.parametrize(
        ("url", "location", "there"),
        [
            ("http://a.example", "/b/", "http://a.example/b/?"),
            ("http://a.example", "https://a.example/b", "https://a.example/b?"),
            ("http://a.example:80", "HTTPS://A.example/b/", "https://a.example/b/?"),
            ("http://a.example:81", "https://a.example:81/b/", "https://a.example:81/b/?"),
            ("https://a.example", "//a.example/b/", "https://a.example/b/?"),
            ("http://a.example", "/b c/", "http://a.example/b%20c/?"),
        ],
    )
    def test_that_stay(self, status: int, url: str, location: str, there: str) -> None:
        asked = network(url)
        moved = asked.follow("polling", asked.url("polling", None), status, location)
        assert moved is not None
        assert moved.startswith(there)
        assert asked.url("polling", "id").startswith(there)
        assert asked.url("websocket", "id").startswith(there.replace("http", "ws"))
        assert asked.url("polling", None).startswith(url.removesuffix(":80") + "/engine.io/?")

    @pytest.mark.parametrize(
        ("url", "location"),
        [
            ("http://a.example", "http://b.example/engine.io/"),
            ("http://a.example", "https://www.a.example/engine.io/"),
            ("http://a.example", "http://a.example:81/engine.io/"),
            ("http://a.example:81", "https://a.example/engine.io/"),
            ("https://a.example", "http://a.example/engine.io/"),
            ("http://a.example", "http://user:word@a.example/engine.io/"),
            ("http://a.example", "ftp://a.example/engine.io/"),
            ("http://a.example", "http://[a.example/"),
            ("http://a.example", ""),
        ],
    )
    def test_that_lead_elsewhere(self, url: str, location: str) -> None:
        asked = network(url)
        first = asked.url("polling", None)
        assert asked.follow("polling", first, 307, location) is None
        assert asked.place.authority in url

    def test_other_answers(self) -> None:
        asked = network()
        for status in (200, 300, 303, 304, 400):
            assert asked.follow("polling", asked.url("polling", None), status, "/b/") is None

    def test_what_the_target_adds_to_the_query(self) -> None:
        asked = network(query={"mine": "1"})
        first = asked.url("polling", None)
        moved = asked.follow("polling", first, 302, "/b/?mine=2&theirs=3&transport=x&sid=y")
        assert moved == "http://a.example/b/?theirs=3&sid=y&EIO=4&mine=1&transport=polling"


class TestSentences:
    @pytest.mark.parametrize(
        ("status", "moved", "body", "said"),
        [
            (403, "", b'{"code":4,"message":"no token"}', "HTTP status 403: no token"),
            (404, "", b"Not Found: look there", "HTTP status 404: Not Found: look there"),
            (502, "", b"<html>no</html>", "HTTP status 502"),
            (400, "", b"", "HTTP status 400"),
            (400, "", b'{"message":"a\\nb\\u001b[31m"}', r"HTTP status 400: a\u000ab\u001b[31m"),
            (
                301,
                "https://b.example/c?secret=1",
                b"Moved",
                "HTTP status 301: redirected to https://b.example/c: connect to that place itself",
            ),
        ],
    )
    def test_of_servers_are_told(self, status: int, moved: str, body: bytes, said: str) -> None:
        answer = Answer(status, moved, body)
        error = network().refusal("xhr poll error", "http://a.example/", answer)
        assert str(error) == f"xhr poll error: {said}"
        assert (error.description, error.context) == (status, body.decode())


class TestProxies:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
        monkeypatch.setenv("HTTPS_PROXY", "secure.example:3129")

    @pytest.mark.parametrize(
        ("url", "proxy"),
        [
            ("http://a.example", "http://proxy.example:3128"),
            ("ws://a.example:81", "http://proxy.example:3128"),
            ("wss://a.example", "http://secure.example:3129"),
            ("http://localhost:3000", None),
            ("http://127.0.0.9", None),
            ("http://[::1]:3000", None),
        ],
    )
    def test_of_the_environment(self, url: str, proxy: str | None) -> None:
        assert network(url).proxy() == proxy
        assert network(url, trust_env=False).proxy() is None
        mine = "http://mine.example:1"
        assert network(url, proxy=mine, trust_env=False).proxy() == mine
        assert network(url, proxy=mine).proxy() == mine

    @pytest.mark.parametrize(
        ("entries", "passed"),
        [
            ("*", True),
            ("a.example", True),
            ("b.example, .example", True),
            ("*.example", True),
            ("A.example:81", True),
            ("a.example:82", False),
            ("b.example", False),
            ("example.a", False),
            ("xample", False),
            ("", False),
            (" , ", False),
        ],
    )
    def test_what_goes_past_it(
        self, monkeypatch: pytest.MonkeyPatch, entries: str, passed: bool
    ) -> None:
        monkeypatch.setenv("NO_PROXY", entries)
        assert (network("http://a.example:81").proxy() is None) == passed

    def test_networks_go_past_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
        assert network("http://10.1.2.3").proxy() is None
        assert network("http://11.1.2.3").proxy() is not None

    def test_passwords_are_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://me:secret@proxy.example:3128")
        said = network().cause(ConnectionRefusedError(111, ""))
        assert "through the proxy proxy.example:3128 (trust_env=False" in said
        assert "secret" not in said
