"""From a request to a verdict: refusals, the open packet, the session cookie."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from telex.config import EngineOptions
from telex.engine.cors import CorsPolicy
from telex.engine.handshake import (
    MESSAGES,
    OpenPacket,
    Refused,
    SessionCookie,
    check_origin,
    check_page,
    check_protocol,
    check_transport,
)
from telex.errors import ConfigurationError
from tests.support.doubles import request


class TestRefused:
    @pytest.mark.parametrize(
        ("code", "status", "message"),
        [
            (0, 400, "Transport unknown"),
            (1, 400, "Session ID unknown"),
            (2, 400, "Bad handshake method"),
            (3, 400, "Bad request"),
            (4, 403, "Forbidden"),
            (5, 400, "Unsupported protocol version"),
        ],
    )
    def test_answers(self, code: int, status: int, message: str) -> None:
        response = Refused(code).response()
        assert response.status == status
        assert response.headers == [("content-type", "application/json")]
        assert response.body == b'{"code":%d,"message":"%b"}' % (code, message.encode())
        assert MESSAGES[code] == message

    def test_a_message_of_the_application(self) -> None:
        refused = Refused(4, 'say "please" é')
        assert json.loads(refused.response().body)["message"] == 'say "please" é'
        assert str(refused) == 'say "please" é'

    def test_context_is_not_told_to_the_client(self) -> None:
        refused = Refused(3, name="SECRET")
        assert refused.context == {"name": "SECRET"}
        assert b"SECRET" not in refused.response().body


class TestTransport:
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    def test_enabled(self, transport: str) -> None:
        assert check_transport({"transport": transport}, EngineOptions()) == transport

    @pytest.mark.parametrize(
        "query",
        ["", "transport=", "transport=webtransport", "transport=__proto__", "transport=Polling"],
    )
    def test_unknown(self, query: str) -> None:
        with pytest.raises(Refused, match="Transport unknown") as caught:
            check_transport(request(query).query, EngineOptions())
        assert caught.value.code == 0

    def test_not_enabled(self) -> None:
        options = EngineOptions(transports=("websocket",))
        with pytest.raises(Refused, match="Transport unknown"):
            check_transport({"transport": "polling"}, options)


class TestProtocol:
    def test_revisions(self) -> None:
        assert check_protocol({"EIO": "4"}, EngineOptions()) == 4
        assert check_protocol({"EIO": "3"}, EngineOptions()) == 3

    @pytest.mark.parametrize(
        "query", ["", "EIO=", "EIO=2", "EIO=5", "EIO=04", "EIO=4.0", "EIO=%C2%B4"]
    )
    def test_unsupported(self, query: str) -> None:
        with pytest.raises(Refused, match="Unsupported protocol version"):
            check_protocol(request(query).query, EngineOptions())

    def test_old_clients_can_be_turned_away(self) -> None:
        with pytest.raises(Refused, match="Unsupported"):
            check_protocol({"EIO": "3"}, EngineOptions(allow_eio3=False))


class TestOrigin:
    def test_clients_other_than_browsers_have_none(self) -> None:
        check_origin(request(), CorsPolicy("https://a.example"))

    def test_allowed(self) -> None:
        asked = request(headers={"origin": "https://a.example"})
        check_origin(asked, CorsPolicy("https://a.example"))

    def test_not_allowed(self) -> None:
        asked = request(headers={"origin": "https://b.example"})
        with pytest.raises(Refused, match=r"https://b.example is not allowed.*origins") as caught:
            check_origin(asked, CorsPolicy("https://a.example"))
        assert caught.value.code == 4

    @pytest.mark.parametrize(
        "origin", ["https://a.example\x00", "a b", "\x7f", "https://a.example\n"]
    )
    def test_characters_that_no_origin_has(self, origin: str) -> None:
        with pytest.raises(Refused, match="Bad request"):
            check_origin(request(headers={"origin": origin}), CorsPolicy("*"))

    def test_what_is_told_is_short_and_ascii(self) -> None:
        asked = request(headers={"origin": "https://é" + "x" * 1000})
        with pytest.raises(Refused) as caught:
            check_origin(asked, CorsPolicy("https://a.example"))
        assert caught.value.message.isascii()
        assert len(caught.value.message) < 400

    @pytest.mark.parametrize(
        "origin",
        [
            *(
                "https://b.example",
                "https://b.example:8443",
                "http://[::1]:80",
                "null",
                "",
                "file://",
            ),
            *("HTTPS://B.example", "capacitor://localhost", "app://.", "b.example", "content://"),
        ],
    )
    def test_the_option_that_a_refusal_names_admits_the_origin(self, origin: str) -> None:
        asked = request(headers={"origin": origin})
        for policy in (CorsPolicy(), CorsPolicy("https://a.example")):
            with pytest.raises(Refused) as caught:
                check_origin(asked, policy)
            _, _, option = caught.value.message.partition("admits it with origins=")
            check_origin(asked, CorsPolicy(ast.literal_eval(option)))

    @pytest.mark.parametrize(
        "origin",
        ["*", "https://*", "*:443", "https://", "https://a/b", "é", "https://" + "x" * 200],
    )
    def test_what_would_admit_more_or_nothing_is_not_named(self, origin: str) -> None:
        with pytest.raises(Refused, match=r"with a function, origins=check\(origin, request\)"):
            check_origin(request(headers={"origin": origin}), CorsPolicy("https://a.example"))

    def test_a_check_that_fails_refuses(self) -> None:
        def check(origin: str, asked: object) -> bool:
            raise RuntimeError("database is down")

        with pytest.raises(Refused, match="Forbidden") as caught:
            check_origin(request(headers={"origin": "https://a.example"}), CorsPolicy(check))
        assert isinstance(caught.value.context["error"], RuntimeError)


ANY, LISTED = "*", "https://a.example"
SITE, REFERER = "sec-fetch-site", "referer"


def asked_about(origin: str, _: object) -> bool:
    return origin == LISTED


class TestPages:
    """What a browser asks for without an `Origin`: what pages embed, JSONP, links."""

    @pytest.mark.parametrize(
        ("headers", "admitted"),
        [
            # No page asks, or one of the same origin, or the user by the address bar.
            ({}, [None, LISTED, ANY, asked_about]),
            ({SITE: "same-origin"}, [None, LISTED, ANY, asked_about]),
            ({SITE: "none"}, [None, LISTED, ANY, asked_about]),
            ({REFERER: "https://evil.example/"}, [None, LISTED, ANY, asked_about]),
            # A page of another site embeds it, which no client does.
            ({SITE: "cross-site"}, []),
            ({SITE: "same-site"}, []),
            ({SITE: "cross-site", REFERER: "https://a.example/"}, []),
            # With an Origin, that decides.
            ({SITE: "cross-site", "origin": "https://a.example"}, [LISTED, ANY, asked_about]),
            ({SITE: "same-origin", "origin": "https://evil.example"}, [ANY]),
        ],
    )
    @pytest.mark.parametrize("query", ["EIO=4&transport=polling&j=0", "EIO=3&transport=polling"])
    def test_polling(self, query: str, headers: dict[str, str], admitted: list[Any]) -> None:
        assert self.admitted_by(query, headers) == admitted

    @pytest.mark.parametrize(
        ("headers", "admitted"),
        [
            ({}, [ANY]),
            ({SITE: "same-origin"}, [None, LISTED, ANY, asked_about]),
            ({SITE: "none"}, [None, LISTED, ANY, asked_about]),
            ({SITE: "cross-site"}, [ANY]),
            ({SITE: "same-site"}, [ANY]),
            ({SITE: "same-origin, cross-site"}, [ANY]),
            ({SITE: "cross-site", REFERER: "https://a.example/page"}, [LISTED, ANY, asked_about]),
            ({SITE: "cross-site", REFERER: "http://app.example/"}, [ANY]),
            ({REFERER: "http://app.example/page?q"}, [None, ANY]),
            ({REFERER: "http://APP.example/page"}, [None, ANY]),
            ({REFERER: "https://a.example/"}, [LISTED, ANY, asked_about]),
            ({REFERER: "https://evil.example/https://a.example"}, [ANY]),
            ({REFERER: "https://evil.example?http://app.example"}, [ANY]),
            ({REFERER: "https://evil.example\\@a.example/"}, [ANY]),
            ({REFERER: "https://a.example@evil.example/"}, [ANY]),
            ({REFERER: "about:blank"}, [ANY]),
            ({SITE: "same-origin", "origin": "https://evil.example"}, [ANY]),
        ],
    )
    def test_jsonp(self, headers: dict[str, str], admitted: list[Any]) -> None:
        assert self.admitted_by("EIO=3&transport=polling&j=0", headers) == admitted

    @staticmethod
    def admitted_by(query: str, headers: dict[str, str]) -> list[Any]:
        """The `origins` with which a request is served."""
        served: list[Any] = []
        for origins in (None, LISTED, ANY, asked_about):
            try:
                check_page(
                    request(query, headers={"host": "app.example", **headers}), CorsPolicy(origins)
                )
            except Refused as refused:
                if (refused.code, refused.message) == (4, "Forbidden"):
                    raise
            else:
                served.append(origins)
        return served


def opened(transport: str, sid: str = "abc", **options: Any) -> dict[str, Any]:
    (message,) = OpenPacket(EngineOptions(**options)).encode(sid, transport).messages()
    assert isinstance(message, str)
    assert message[0] == "0"
    data: dict[str, Any] = json.loads(message[1:])
    return data


class TestOpenPacket:
    def test_fields(self) -> None:
        assert opened("polling") == {
            "sid": "abc",
            "upgrades": ["websocket"],
            "pingInterval": 25000,
            "pingTimeout": 20000,
            "maxPayload": 1000000,
        }

    def test_durations_are_milliseconds(self) -> None:
        data = opened("polling", ping_interval=0.3, ping_timeout=0.0004)
        assert (data["pingInterval"], data["pingTimeout"]) == (300, 0)

    @pytest.mark.parametrize(
        ("transport", "options", "upgrades"),
        [
            ("websocket", {}, []),
            ("polling", {"allow_upgrades": False}, []),
            ("polling", {"transports": ("polling",)}, []),
            ("polling", {"transports": ("websocket", "polling")}, ["websocket"]),
        ],
    )
    def test_upgrades(self, transport: str, options: dict[str, Any], upgrades: list[str]) -> None:
        assert opened(transport, **options)["upgrades"] == upgrades

    def test_any_session_id_is_json(self) -> None:
        assert opened("polling", 'a"\\é\n')["sid"] == 'a"\\é\n'


class TestCookie:
    @pytest.mark.parametrize(
        ("option", "header"),
        [
            (True, "io=abc; Path=/; HttpOnly; SameSite=Lax"),
            ("sid", "sid=abc; Path=/; HttpOnly; SameSite=Lax"),
            (
                {"name": "s", "path": "/x", "domain": "a.example", "max_age": 60, "secure": True},
                "s=abc; Max-Age=60; Domain=a.example; Path=/x; HttpOnly; Secure; SameSite=Lax",
            ),
            (
                {"same_site": "None", "secure": True, "partitioned": True, "http_only": False},
                "io=abc; Path=/; Secure; Partitioned; SameSite=None",
            ),
            ({"same_site": True, "path": False}, "io=abc; HttpOnly; SameSite=Strict"),
            ({"same_site": False, "max_age": 0}, "io=abc; Max-Age=0; Path=/; HttpOnly"),
        ],
    )
    def test_header(self, option: Any, header: str) -> None:
        assert SessionCookie(option).header("abc") == header

    @pytest.mark.parametrize(
        "option",
        [
            "a;b",
            "a b",
            "",
            "é",
            {"name": "a=b"},
            {"path": "/\r\nSet-Cookie: x=y"},
            {"domain": "a;b"},
            {"same_site": "sometimes"},
            {"httpOnly": True},
            {"max_age": "1;"},
        ],
    )
    def test_configuration_errors(self, option: Any) -> None:
        with pytest.raises(ConfigurationError, match="cookie"):
            SessionCookie(option)

    @pytest.mark.parametrize("sid", ["a b", "a;b", "a\r\nb", "é", 'a"'])
    def test_session_ids_that_no_cookie_can_hold(self, sid: str) -> None:
        with pytest.raises(ConfigurationError, match="session id"):
            SessionCookie(True).header(sid)
