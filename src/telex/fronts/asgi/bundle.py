"""Serves the JavaScript client bundle."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from ...client_bundle import FILES, directory, version
from ...types import HeaderList, Request, Response

_MISSING = (
    b"The JavaScript client is not part of this installation of telex. In a source tree run"
    b" 'make client' (it needs npm); or load the client from elsewhere and pass"
    b" serve_client=False to the server.\n"
)
_TEXT: HeaderList = [("content-type", "text/plain; charset=utf-8")]


def answer(name: str, request: Request) -> Response | None:
    """The answer to a request for the file ``name`` of the bundle; ``None`` if it is none."""
    if name not in FILES:
        return None
    if request.method not in ("GET", "HEAD"):
        return Response(405, [("allow", "GET, HEAD"), *_TEXT], b"")
    folder = directory()
    if folder is None:
        return Response(501, _TEXT, _MISSING)
    kind = "application/json" if name.endswith(".map") else "application/javascript"
    etag = f'"{version()}"'
    headers: HeaderList = [
        ("content-type", f"{kind}; charset=utf-8"),
        ("etag", etag),
        ("cache-control", "public, max-age=0"),
        ("vary", "Accept-Encoding"),
        ("x-content-type-options", "nosniff"),
    ]
    known = request.headers.get("if-none-match", "")
    if {etag, "*"} & {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(304, headers, b"")
    if accepts_gzip(request):
        return Response(200, [*headers, ("content-encoding", "gzip")], _packed(folder / name))
    return Response(200, headers, _plain(folder / name))


def accepts_gzip(request: Request) -> bool:
    """Whether the client reads gzip (``gzip`` or ``*`` without ``q=0``)."""
    for item in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameters = item.partition(";")
        if coding.strip() in ("gzip", "*"):
            quality = parameters.strip().replace(" ", "").removeprefix("q=")
            return quality.strip("0.") != "" or quality == ""
    return False


@cache
def _plain(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _packed(path: Path) -> bytes:
    return gzip.compress(_plain(path), 6, mtime=0)
