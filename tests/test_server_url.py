"""What a client makes of a URL."""

from __future__ import annotations

from typing import Any

import pytest

from telex.errors import ConfigurationError
from telex.server_url import ServerUrl, parse


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:3000", ServerUrl(False, "localhost", 3000, "", {})),
        ("https://localhost", ServerUrl(True, "localhost", 443, "", {})),
        ("http://localhost", ServerUrl(False, "localhost", 80, "", {})),
        ("ws://host/news", ServerUrl(False, "host", 80, "/news", {})),
        ("wss://host:444/news/of/today", ServerUrl(True, "host", 444, "/news/of/today", {})),
        ("HTTPS://Example.Com/Chat", ServerUrl(True, "example.com", 443, "/Chat", {})),
        ("localhost:3000", ServerUrl(False, "localhost", 3000, "", {})),
        ("localhost:443", ServerUrl(True, "localhost", 443, "", {})),
        ("example.com/chat", ServerUrl(False, "example.com", 80, "/chat", {})),
        ("//host:8080/chat", ServerUrl(False, "host", 8080, "/chat", {})),
        ("http://[::1]:3000/a", ServerUrl(False, "::1", 3000, "/a", {})),
        (" http://host \n", ServerUrl(False, "host", 80, "", {})),
        (
            "http://host/chat?token=a%20b&flag=&token=last&c=%C3%A9#fragment",
            ServerUrl(False, "host", 80, "/chat", {"token": "last", "flag": "", "c": "é"}),
        ),
        ("http://user:secret@host:3000/", ServerUrl(False, "host", 3000, "/", {})),
    ],
)
def test_urls(url: str, expected: ServerUrl) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "names no server"),
        ("http://", "names no server"),
        ("/chat", "names no server"),
        ("ftp://host", "scheme must be"),
        ("file:///etc", "scheme must be"),
        ("http://host:port", "is no URL"),
        ("http://host:99999", "is no URL"),
        ("http://[::1", "is no URL"),
        (None, "a URL is text"),
        (3000, "a URL is text"),
    ],
)
def test_what_is_no_url(url: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(url)


@pytest.mark.parametrize(
    ("url", "websocket", "expected"),
    [
        ("http://host", False, "http://host/path/?a=b+c"),
        ("http://host:80", True, "ws://host/path/?a=b+c"),
        ("https://host:443", True, "wss://host/path/?a=b+c"),
        ("https://host:80", False, "https://host:80/path/?a=b+c"),
        ("http://[::1]:3000", False, "http://[::1]:3000/path/?a=b+c"),
    ],
)
def test_urls_of_requests(url: str, websocket: bool, expected: str) -> None:
    assert parse(url).url("/path/", {"a": "b c"}, websocket=websocket) == expected
    assert parse(url).url("/path/", {}, websocket=websocket) == expected.partition("?")[0]
