"""Origins that may connect, and the headers that tell browsers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from telex.engine.cors import CorsPolicy, legal
from telex.errors import ConfigurationError
from telex.types import FORWARDED_HOST, Request
from tests.support.doubles import request

ORIGIN = "https://app.example"


def asked(origin: str | None = ORIGIN, host: str = "app.example", **options: Any) -> Request:
    headers = {"host": host}
    if origin is not None:
        headers["origin"] = origin
    return request(headers=headers, **options)


class TestSameOrigin:
    """Without `origins`, only pages of the same host may connect."""

    @pytest.mark.parametrize(
        ("origin", "host", "scheme"),
        [
            ("https://app.example", "app.example", "https"),
            ("https://app.example", "app.example:443", "https"),
            ("http://app.example", "app.example", "http"),
            ("http://app.example", "app.example:80", "http"),
            ("http://app.example:3000", "app.example:3000", "http"),
            ("http://[::1]:3000", "[::1]:3000", "http"),
            ("http://App.example", "app.Example", "http"),
            # Behind a proxy that ends TLS we see http where the page says https.
            ("https://app.example", "app.example", "http"),
        ],
    )
    def test_allowed(self, origin: str, host: str, scheme: str) -> None:
        assert CorsPolicy().allows(origin, asked(origin, host, scheme=scheme))

    @pytest.mark.parametrize(
        ("origin", "host", "scheme"),
        [
            ("https://evil.example", "app.example", "https"),
            ("http://app.example", "app.example", "https"),
            ("https://app.example:8443", "app.example", "https"),
            ("https://app.example", "app.example:8443", "https"),
            ("https://app.example.evil.example", "app.example", "https"),
            ("null", "app.example", "https"),
            ("", "app.example", "https"),
            ("app.example", "app.example", "https"),
            ("https://", "", "https"),
        ],
    )
    def test_refused(self, origin: str, host: str, scheme: str) -> None:
        assert not CorsPolicy().allows(origin, asked(origin, host, scheme=scheme))

    @pytest.mark.parametrize(
        ("origin", "scheme", "same"),
        [
            ("https://public.example", "https", True),
            ("https://public.example:443", "https", True),
            ("http://public.example", "https", False),
            ("https://app.example", "https", False),
            ("https://public.example.evil.example", "https", False),
        ],
    )
    def test_a_trusted_proxy_names_the_host(self, origin: str, scheme: str, same: bool) -> None:
        of = asked(origin, scheme=scheme)
        of.scope["extensions"] = {FORWARDED_HOST: "public.example"}
        assert CorsPolicy().allows(origin, of) is same

    def test_browsers_are_told_nothing(self) -> None:
        assert CorsPolicy().headers(asked()) == []


class TestLists:
    @pytest.mark.parametrize(
        ("entry", "allowed", "refused"),
        [
            ("https://a.example", ["https://a.example"], ["http://a.example", "https://b.example"]),
            ("https://a.example:443", ["https://a.example"], ["https://a.example:444"]),
            ("http://a.example:3000", ["http://a.example:3000"], ["http://a.example"]),
            ("https://A.example/", ["https://a.example"], []),
            ("http://[::1]:80", ["http://[::1]"], ["http://[::2]"]),
            ("app://local", ["app://local"], ["app://other"]),
            # The forms of Socket.IO 2.
            ("a.example:443", ["https://a.example"], ["http://a.example", "https://b.example"]),
            ("a.example:*", ["https://a.example", "http://a.example:1"], ["http://b.example"]),
            ("a.example", ["https://a.example", "http://a.example:1"], ["http://b.example"]),
            ("*:443", ["https://a.example", "https://b.example"], ["http://a.example"]),
            ("https://*", ["https://a.example"], ["http://a.example"]),
            ("null", ["null"], ["https://null.example"]),
            # Programs, and pages without a host.
            ("file://", ["file://"], ["file:///", "https://a.example", "", "null"]),
            ("", [""], ["https://a.example", "null", "file://"]),
            ("https://a.example:443", ["https://a.example:443"], ["https://a.example:80"]),
        ],
    )
    def test_entries(self, entry: str, allowed: list[str], refused: list[str]) -> None:
        policy = CorsPolicy([entry])
        for origin in allowed:
            assert policy.allows(origin, asked(origin, host="other.example")), origin
        for origin in refused:
            assert not policy.allows(origin, asked(origin, host="other.example")), origin

    @pytest.mark.parametrize(
        "origin",
        [
            "https://a.example.evil.example",
            "https://evil.example/a.example",
            "https://evil.example#https://a.example",
            "https://a.example@evil.example",
            "https://a.example:443",
            "https://a.example/",
            "https://A.example",
            "xhttps://a.example",
            "null",
            "",
            "*",
        ],
    )
    def test_names_that_only_look_alike(self, origin: str) -> None:
        assert not CorsPolicy(["https://a.example"]).allows(origin, asked(origin))

    def test_the_own_origin_must_be_listed_too(self) -> None:
        assert not CorsPolicy(["https://a.example"]).allows(ORIGIN, asked())

    def test_one_string_is_one_entry(self) -> None:
        assert CorsPolicy("https://a.example").allows("https://a.example", asked())

    def test_an_empty_list_admits_no_page(self) -> None:
        assert not CorsPolicy([]).allows(ORIGIN, asked())
        assert CorsPolicy([]).allows(None, asked(None))

    @pytest.mark.parametrize(
        "entry",
        [
            "https://",
            "http://",
            "://",
            "https://*.example.com",
            "*.example.com",
            "https://a.example/path",
            "a b:c",
        ],
    )
    def test_entries_that_match_nothing_are_refused(self, entry: str) -> None:
        with pytest.raises(ConfigurationError, match="is not an origin"):
            CorsPolicy([entry])


class TestPatterns:
    def test_match_the_whole_origin(self) -> None:
        policy = CorsPolicy([re.compile(r"https://[a-z]+\.example"), "https://b.example:8443"])
        request = asked()
        for origin in ("https://a.example", "https://b.example:8443"):
            assert policy.allows(origin, request)
        for origin in (
            "https://a.example.evil.com",
            "https://a.example\n",
            "xhttps://a.example",
            "http://a.example",
            "https://" + "a" * 300 + ".example",
        ):
            assert not policy.allows(origin, request)

    def test_one_alone(self) -> None:
        policy = CorsPolicy(re.compile(r"https://(a|b)\.example"))
        assert policy.allows("https://b.example", asked())
        assert dict(policy.headers(asked("https://b.example"))) == {
            "vary": "Origin",
            "access-control-allow-origin": "https://b.example",
        }


class TestEverybody:
    @pytest.mark.parametrize("origins", ["*", ["*"], ["*:*"], ["https://a.example", "*"]])
    def test_any_origin(self, origins: Any) -> None:
        policy = CorsPolicy(origins)
        for origin in (ORIGIN, "null", "https://b.example:1"):
            assert policy.allows(origin, asked(origin, host="x"))
        assert policy.headers(asked()) == [("access-control-allow-origin", "*")]

    def test_not_with_credentials(self) -> None:
        with pytest.raises(ConfigurationError, match="cannot be combined with credentials"):
            CorsPolicy("*", credentials=True)


class TestFunctions:
    def test_are_asked(self) -> None:
        seen: list[tuple[str, str]] = []

        def check(origin: str, of: Request) -> bool:
            seen.append((origin, of.query["EIO"]))
            return origin.endswith(".example")

        policy = CorsPolicy(check)
        assert policy.allows(ORIGIN, asked())
        assert not policy.allows("https://other", asked())
        assert seen == [(ORIGIN, "4"), ("https://other", "4")]

    def test_are_not_asked_without_an_origin(self) -> None:
        assert CorsPolicy(lambda origin, of: False).allows(None, asked(None))


class TestHeaders:
    def test_the_origin_is_named(self) -> None:
        assert CorsPolicy([ORIGIN]).headers(asked()) == [
            ("vary", "Origin"),
            ("access-control-allow-origin", ORIGIN),
        ]

    def test_caches_know_even_without_an_origin(self) -> None:
        assert CorsPolicy([ORIGIN]).headers(asked(None)) == [("vary", "Origin")]

    def test_credentials(self) -> None:
        assert ("access-control-allow-credentials", "true") in CorsPolicy(
            [ORIGIN], credentials=True
        ).headers(asked())

    def test_old_clients_always_send_credentials(self) -> None:
        old = request("EIO=3", headers={"origin": ORIGIN})
        assert ("access-control-allow-credentials", "true") in CorsPolicy([ORIGIN]).headers(old)

    def test_exposed_headers(self) -> None:
        policy = CorsPolicy("*", exposed_headers=["x-a", "x-b"])
        assert policy.headers(asked())[-1] == ("access-control-expose-headers", "x-a, x-b")

    def test_preflight(self) -> None:
        policy = CorsPolicy(
            [ORIGIN], methods="GET,POST,PUT", allowed_headers=["x-token"], max_age=600
        )
        assert policy.preflight_headers(asked())[2:] == [
            ("access-control-allow-methods", "GET, POST, PUT"),
            ("access-control-allow-headers", "x-token"),
            ("access-control-max-age", "600"),
        ]

    @pytest.mark.parametrize(
        ("asked_for", "allowed"),
        [
            ("authorization", "authorization"),
            ("Authorization,X-Token , content-type", "Authorization, X-Token, content-type"),
            (", ".join(["x"] * 32), ", ".join(["x"] * 32)),
            # No browser asks so.
            ("", "content-type"),
            ("x\x01y", "content-type"),
            ("x y", "content-type"),
            ("a,,b", "content-type"),
            ("*", "content-type"),
            ("x" * 65, "content-type"),
            (", ".join(["x"] * 33), "content-type"),
        ],
    )
    @pytest.mark.parametrize("origins", ["*", [ORIGIN]])
    def test_preflight_allows_what_is_asked_for(
        self, origins: Any, asked_for: str, allowed: str
    ) -> None:
        of = request(headers={"origin": ORIGIN, "access-control-request-headers": asked_for})
        headers = CorsPolicy(origins).preflight_headers(of)
        assert ("access-control-allow-headers", allowed) in headers
        listed = CorsPolicy(origins, allowed_headers=["x-token"]).preflight_headers(of)
        assert ("access-control-allow-headers", "x-token") in listed

    @pytest.mark.parametrize("option", ["methods", "allowed_headers", "exposed_headers"])
    @pytest.mark.parametrize("value", ["a b", "a\r\nb: c", ["ok", ""], "é"])
    def test_nothing_is_injected(self, option: str, value: Any) -> None:
        options: dict[str, Any] = {option: value}
        with pytest.raises(ConfigurationError, match="no header or method name"):
            CorsPolicy("*", **options)


class TestOptions:
    def test_both_spellings(self) -> None:
        assert CorsPolicy.from_options(ORIGIN, None).allows(ORIGIN, asked(host="x"))
        assert CorsPolicy.from_options(None, {"origins": ORIGIN}).allows(ORIGIN, asked(host="x"))
        assert not CorsPolicy.from_options(None, None).enabled
        assert not CorsPolicy.from_options(None, {}).enabled

    def test_not_both_at_once(self) -> None:
        with pytest.raises(ConfigurationError, match="not both"):
            CorsPolicy.from_options("*", {"origins": "*"})

    def test_unknown_keys(self) -> None:
        with pytest.raises(ConfigurationError, match="did you mean 'origins'"):
            CorsPolicy.from_options(None, {"origin": "*"})
        with pytest.raises(ConfigurationError, match="maxAge"):
            CorsPolicy.from_options(None, {"maxAge": 1})


@pytest.mark.parametrize(
    ("origin", "verdict"),
    [
        (ORIGIN, True),
        ("null", True),
        ("a b", False),
        ("a\x00", False),
        ("a\x7f", False),
        ("\t", False),
    ],
)
def test_legal_characters(origin: str, verdict: bool) -> None:
    assert legal(origin) is verdict
