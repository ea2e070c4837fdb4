"""What is kept of a request reads like the scope that it stands for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.fronts.uvicorn.head import LazyRequest, LazyScope
from telex.types import Request

BASE: dict[str, Any] = {
    "type": "websocket",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 3000),
    "root_path": "",
    "method": "GET",
    "state": {},
}


def scope_of(
    path: str = "/socket.io/",
    raw_path: bytes = b"/socket.io/",
    query: bytes = b"EIO=4&transport=websocket",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> dict[str, Any]:
    return {
        **BASE,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "client": ("127.0.0.1", 40000),
        "scheme": "ws",
        "headers": [(b"host", b"here"), (b"cookie", b"a=b")] if headers is None else headers,
        "extensions": {},
        "subprotocols": [],
    }


_NO_BREAKS = st.binary(max_size=20).filter(lambda value: b"\n" not in value)


class TestPackedScope:
    @given(
        path=st.sampled_from([("/socket.io/", b"/socket.io/"), ("/ä/", b"/%C3%A4/")]),
        query=_NO_BREAKS,
        headers=st.lists(st.tuples(_NO_BREAKS, _NO_BREAKS), max_size=5),
    )
    def test_equals_what_was_packed(
        self, path: tuple[str, bytes], query: bytes, headers: list[tuple[bytes, bytes]]
    ) -> None:
        scope = scope_of(*path, query, headers)
        packed = LazyScope(BASE, scope)
        assert dict(packed) == scope
        assert list(packed) == list(dict(packed))
        assert len(packed) == len(scope)
        assert repr(packed) == repr(dict(packed))
        assert {key: packed[key] for key in scope} == scope

    def test_changes_are_kept(self) -> None:
        packed = LazyScope(BASE, scope_of())
        packed["mine"] = 1
        del packed["method"]
        assert packed["mine"] == 1
        assert "method" not in packed
        assert BASE["method"] == "GET"

    def test_what_scopes_share_is_not_handed_out(self) -> None:
        packed = LazyScope(BASE, scope_of())
        packed["state"]["x"] = 1
        packed["asgi"].clear()
        assert BASE["state"] == {}
        assert BASE["asgi"]

    def test_an_unknown_key(self) -> None:
        with pytest.raises(KeyError):
            LazyScope(BASE, scope_of())["nothing"]

    def test_a_request_reads_it(self) -> None:
        scope = scope_of(query=b"EIO=4&who=me", headers=[(b"host", b"here"), (b"origin", b"o")])
        request = Request(scope)
        before = (request.url, request.query, dict(request.headers), request.client, request.path)
        request.pack(LazyScope(BASE, scope))
        assert before == (
            request.url,
            request.query,
            dict(request.headers),
            request.client,
            request.path,
        )
        assert request.method == "GET"
        assert not request.secure


HEAD = (
    b"/socket.io/%C3%A4?EIO=4&transport=websocket&who=me%20too HTTP/1.1\r\nHost: here\r\n"
    b"COOKIE:  a=b; c=d \t\r\nX-Twice: 1\r\nx-twice:2\r\nX-Colon: a:b"
)
CLIENT = ("127.0.0.1", 40000)


def packed(head: bytes = HEAD, root_path: str = "", scheme: str = "ws") -> LazyRequest:
    foreign = b"ORIGIN" in head
    return LazyRequest({**BASE, "root_path": root_path}, head, CLIENT, scheme, foreign)


class TestPackedRequest:
    @pytest.mark.parametrize("looked", [False, True], ids=["at once", "after the scope"])
    @pytest.mark.parametrize("root_path", ["", "/mounted"])
    @pytest.mark.parametrize(
        "head", [HEAD, HEAD + b"\r\nORIGIN: http://here", b"/ HTTP/1.1\r\nX-Query: a?b c"]
    )
    def test_reads_like_one_with_a_scope(self, head: bytes, root_path: str, looked: bool) -> None:
        request = packed(head, root_path)
        plain = Request(packed(head, root_path).unpacked())
        if looked:
            assert dict(request.scope) == dict(plain.scope)
        for name in ("query", "path", "origin", "client", "method", "secure", "url"):
            assert getattr(request, name) == getattr(plain, name), name
        assert dict(request.headers) == dict(plain.headers)
        assert repr(request) == repr(plain)

    def test_what_it_says(self) -> None:
        request = packed(root_path="/mounted")
        assert request.query == {"EIO": "4", "transport": "websocket", "who": "me too"}
        assert request.path == "/socket.io/ä"
        assert request.url == ("/mounted/socket.io/%C3%A4?EIO=4&transport=websocket&who=me%20too")
        assert dict(request.headers) == {
            "host": "here",
            "cookie": "a=b; c=d",
            "x-twice": "1, 2",
            "x-colon": "a:b",
        }
        assert request.origin is None
        assert request.client == CLIENT
        assert not request.secure
        assert packed(scheme="wss").secure

    def test_what_is_changed_in_the_scope_stays(self) -> None:
        request = packed()
        request.scope["client"] = ("192.0.2.1", 1)
        request.scope["query_string"] = b"x=1"
        request.scope["mine"] = True
        assert request.client == ("192.0.2.1", 1)
        assert request.query == {"x": "1"}
        assert request.scope["mine"]

    def test_the_query_can_be_read_again(self) -> None:
        request = packed()
        first = request.query
        assert request.query is first
        request.drop_query()
        assert request.query == first

    def test_a_query_that_comes_again_is_the_clients_own(self) -> None:
        head = b"/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here"
        first = packed(head)
        first.query["mine"] = "yes"
        assert packed(head).query == {"EIO": "4", "transport": "websocket"}

    def test_whom_a_proxy_has_named(self) -> None:
        scope = {**packed().unpacked(), "client": ("192.0.2.1", 0), "scheme": "wss"}
        request = packed().with_client_of(scope)
        assert request.client == ("192.0.2.1", 0)
        assert request.secure
        assert request.query == packed().query
