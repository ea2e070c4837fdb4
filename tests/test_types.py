"""Requests as ASGI hosts describe them: headers, query, path, mount point."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.types import Headers, Request, local_path
from tests.support.doubles import request


class TestHeaders:
    def test_are_looked_up_without_regard_to_case(self) -> None:
        headers = Headers([(b"Origin", b"https://a.example")])
        assert headers["origin"] == headers["ORIGIN"] == "https://a.example"
        assert "oriGin" in headers
        assert list(headers) == ["origin"]

    def test_that_came_several_times_are_joined(self) -> None:
        headers = Headers(
            [(b"x-a", b"1"), (b"Cookie", b"a=1"), (b"X-A", b"2"), (b"cookie", b"b=2")]
        )
        assert dict(headers) == {"x-a": "1, 2", "cookie": "a=1; b=2"}
        assert len(headers) == 2

    def test_that_did_not_come(self) -> None:
        headers = Headers([(b"a", b"1")])
        assert headers.get("b") is None
        assert "b" not in headers
        with pytest.raises(KeyError):
            headers["b"]

    @pytest.mark.parametrize("name", ["é", "中", ""])
    def test_names_that_no_header_can_have(self, name: str) -> None:
        assert Headers([(b"a", b"1")]).get(name) is None

    def test_any_bytes_are_text(self) -> None:
        assert Headers([(b"x", bytes(range(128, 256)))])["x"] == bytes(range(128, 256)).decode(
            "latin-1"
        )

    def test_show_themselves(self) -> None:
        assert repr(Headers([(b"A", b"1")])) == "Headers({'a': '1'})"


class TestQuery:
    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("EIO=4&transport=polling", {"EIO": "4", "transport": "polling"}),
            ("a=1&a=2", {"a": "2"}),
            ("a&b=&=c", {"a": "", "b": "", "": "c"}),
            ("&&a=1&", {"a": "1"}),
            ("a=b=c", {"a": "b=c"}),
            ("a=%E4%B8%AD&b=x+y", {"a": "中", "b": "x y"}),
            ("a=%FF%zz", {"a": "\ufffd%zz"}),
            ("", {}),
        ],
    )
    def test_last_value_wins(self, text: str, query: dict[str, str]) -> None:
        assert request(text).query == query

    @given(st.text(st.sampled_from("ab=&%+;4é \x00") | st.characters(max_codepoint=255)))
    def test_is_read_as_urllib_reads_it(self, text: str) -> None:
        expected = dict(parse_qsl(text, keep_blank_values=True, errors="replace"))
        assert request(text).query == expected


def scope(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "path": "/x", "query_string": b"", "headers": [], **changes}


class TestRequest:
    def test_of_a_websocket(self) -> None:
        asked = Request(scope(type="websocket", scheme="wss"))
        assert (asked.method, asked.secure, asked.client) == ("GET", True, None)

    @pytest.mark.parametrize(
        ("scheme", "secure"), [("http", False), ("https", True), ("ws", False), ("wss", True)]
    )
    def test_secure(self, scheme: str, secure: bool) -> None:
        assert Request(scope(scheme=scheme)).secure is secure

    def test_client(self) -> None:
        assert Request(scope(client=["127.0.0.1", 5])).client == ("127.0.0.1", 5)
        assert Request(scope(client=None)).client is None

    def test_url_is_what_was_requested(self) -> None:
        asked = Request(scope(path="/ä", raw_path=b"/%C3%A4", query_string=b"a=%20"))
        assert asked.url == "/%C3%A4?a=%20"
        assert Request(scope()).url == "/x"

    def test_shows_itself_without_secrets(self) -> None:
        shown = repr(request("EIO=4&sid=secret", headers={"cookie": "secret"}))
        assert "secret" not in shown
        assert "GET" in shown


class TestLocalPath:
    @pytest.mark.parametrize(
        ("root", "path", "local"),
        [
            ("", "/socket.io/", "/socket.io/"),
            ("/rt", "/rt/socket.io/", "/socket.io/"),
            ("/rt", "/rt", ""),
            # Older hosts strip the mount point from the path.
            ("/rt", "/socket.io/", "/socket.io/"),
            # A name that only begins like the mount point.
            ("/rt", "/rtx/socket.io/", "/rtx/socket.io/"),
            ("/a/b", "/a/b/c", "/c"),
        ],
    )
    def test_below_the_mount_point(self, root: str, path: str, local: str) -> None:
        assert local_path(scope(root_path=root, path=path)) == local
        assert Request(scope(root_path=root, path=path)).path == local

    def test_without_a_mount_point(self) -> None:
        assert local_path(scope()) == "/x"
