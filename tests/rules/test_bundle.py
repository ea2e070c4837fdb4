"""The JavaScript client under the path of the server."""

from __future__ import annotations

import gzip
import json

import pytest

from telex.client_bundle import FILES, directory, version
from tests.rules.clients import is_error
from tests.rules.subject import Subject
from tests.support.raw import Answer, Connection, HeaderLines, exchange, request

MIN = "socket.io.min.js"


def ask(
    subject: Subject,
    name: str,
    headers: HeaderLines = (),
    *,
    method: str = "GET",
    server: str = "defaults",
    path: str = "/socket.io/",
) -> Answer:
    data = request(method, path + name, headers)
    return exchange(subject.port_of(server), data, head=method == "HEAD")


def content(name: str) -> bytes:
    folder = directory()
    assert folder is not None, "the JavaScript client is missing; `make client` fetches it"
    return (folder / name).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_file(subject: Subject, name: str) -> None:
    answer = ask(subject, name)
    kind = "application/json" if name.endswith(".map") else "application/javascript"
    assert answer.status == 200
    assert answer.content_type == f"{kind}; charset=utf-8"
    assert answer.header("etag") == f'"{version()}"'
    assert answer.header("cache-control") == "public, max-age=0"
    assert answer.header("vary") == "Accept-Encoding"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-encoding") is None
    assert answer.body == content(name)
    if name.endswith(".map"):
        assert json.loads(answer.body)["version"] == 3
    else:
        # The map that the script names is served as well.
        named = answer.body.rstrip().rpartition(b"\n//# sourceMappingURL=")[2].decode()
        assert named in FILES


@pytest.mark.parametrize("name", FILES)
def test_gzip(subject: Subject, name: str) -> None:
    for accepted in ("gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8", "*", "GZIP"):
        answer = ask(subject, name, [("Accept-Encoding", accepted)])
        assert answer.header("content-encoding") == "gzip", accepted
        assert answer.header("vary") == "Accept-Encoding"
        assert gzip.decompress(answer.body) == content(name)
        assert len(answer.body) < len(content(name)) / 2
    for accepted in ("", "identity", "br", "gzip;q=0", "gzip;q=0.0, br", "xgzip"):
        answer = ask(subject, name, [("Accept-Encoding", accepted)])
        assert answer.header("content-encoding") is None, accepted
        assert answer.body == content(name)


@pytest.mark.parametrize(
    "tags",
    ['"{}"', 'W/"{}"', '"other", "{}"', 'W/"other" , W/"{}"', '"{}"  ', "*"],
)
def test_not_modified(subject: Subject, tags: str) -> None:
    """Strong or weak, one of several, or any."""
    known = [("If-None-Match", tags.format(version()))]
    for name in (MIN, "socket.io.js.map"):
        answer = ask(subject, name, known)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.header("etag") == f'"{version()}"'
        assert answer.header("vary") == "Accept-Encoding"
        assert answer.header("content-encoding") is None
    # On one connection, so that a body would be seen.
    with Connection(subject.port_of("defaults")) as connection:
        connection.send(request("GET", f"/socket.io/{MIN}", known) * 2)
        assert connection.answer().status == 304
        assert connection.answer().status == 304
        assert connection.silent()


@pytest.mark.parametrize("tags", ["{}", '"{}x"', '"x{}"', '"4"', "", 'w/"{}"'])
def test_modified(subject: Subject, tags: str) -> None:
    answer = ask(subject, MIN, [("If-None-Match", tags.format(version()))])
    assert answer.status == 200
    assert answer.body == content(MIN)


def test_head(subject: Subject) -> None:
    """The same headers, and no body."""
    for headers in ([], [("Accept-Encoding", "gzip")]):
        full = ask(subject, MIN, headers)
        with Connection(subject.port_of("defaults")) as connection:
            connection.send(request("HEAD", f"/socket.io/{MIN}", headers))
            answer = connection.answer(head=True)
            assert connection.silent()
        assert answer.status == 200
        for name in ("content-type", "etag", "content-length", "content-encoding", "vary"):
            assert answer.header(name) == full.header(name), name


def test_query(subject: Subject) -> None:
    answer = ask(subject, f"{MIN}?buster=123&EIO=4&transport=polling&sid=x")
    assert answer.body == content(MIN)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "socket.io.jsx",
            "socket.io",
            "SOCKET.IO.JS",
            "VERSION",
            "__init__.py",
            "socket.io.min.map",
        ),
        *(
            "../socket.io.js",
            "%2e%2e/__init__.py",
            "./socket.io.js",
            "socket.io.js/",
            "/socket.io.js",
        ),
        *("..%2f..%2fapp.py", "socket.io.js%00", "socket.io.js.gz", "files/socket.io.js"),
    ],
)
def test_wrong_name(subject: Subject, name: str) -> None:
    answer = ask(subject, name)
    assert (answer.status, answer.body) == (404, b"Not Found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_wrong_method(subject: Subject, method: str) -> None:
    answer = ask(subject, MIN, method=method)
    assert (answer.status, answer.body) == (405, b"")
    assert answer.header("allow") == "GET, HEAD"


def test_not_served(subject: Subject) -> None:
    """With `serve_client=False`, and by an Engine.IO server."""
    assert ask(subject, MIN, server="no client").status == 404
    assert ask(subject, MIN, server="engine").status == 404
    assert ask(subject, MIN, server="engine", path="/engine.io/").status == 404
    assert is_error(ask(subject, "?EIO=4", server="no client"), 0)


def test_refused_upgrade(subject: Subject) -> None:
    """A WebSocket is not opened at a file."""
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    for query in ("", "?EIO=4&transport=websocket"):
        answer = ask(subject, MIN + query, headers)
        assert answer.status == 404, answer
