"""What a socket knows of the request that opened it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.server.handshake import Handshake
from telex.types import Request
from tests.support.doubles import request

ISSUED = 1709209805123  # milliseconds since 1970


def handshake(auth: dict[str, Any] | None = None, **options: Any) -> Handshake:
    return Handshake(request("EIO=4&a=1", **options), auth or {}, ISSUED)


class TestHandshake:
    def test_of_a_page_over_tls(self) -> None:
        shaken = handshake({"token": 1}, scheme="https", headers={"origin": "https://a.example"})
        assert (shaken.secure, shaken.xdomain, shaken.address) == (True, True, "192.0.2.1")
        assert (shaken.query["a"], shaken.auth) == ("1", {"token": 1})
        assert shaken.headers["Origin"] == "https://a.example"

    def test_of_something_else(self) -> None:
        shaken = handshake(client=None)
        assert (shaken.secure, shaken.xdomain, shaken.address) == (False, False, "")

    def test_time_is_what_javascript_prints(self) -> None:
        shaken = handshake()
        assert shaken.issued == ISSUED
        assert shaken.time == "Thu Feb 29 2024 12:30:05 GMT+0000 (Coordinated Universal Time)"

    def test_json_form(self) -> None:
        data = handshake({"token": 1}, headers={"x": "y"}).to_dict()
        assert json.loads(json.dumps(data)) == data
        assert set(data) == {
            *("headers", "time", "address", "xdomain", "secure"),
            *("issued", "url", "query", "auth"),
        }
        assert data["url"] == "/engine.io/?EIO=4&a=1"

    def test_extra_is_asked_for_once(self) -> None:
        calls: list[Request] = []

        def extra(of: Request) -> dict[str, Any]:
            calls.append(of)
            return {"eos": 5}

        asked = request()
        shaken = Handshake(asked, {}, ISSUED, extra)
        assert calls == []
        assert shaken.extra == shaken.extra == {"eos": 5}
        assert shaken.eos == 5
        assert calls == [asked]

    def test_without_extra(self) -> None:
        assert handshake().extra == {}
        with pytest.raises(AttributeError, match="eos"):
            _ = handshake().eos
