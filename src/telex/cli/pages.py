"""A small ASGI application for the static files of the demo."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib.resources import files
from typing import NamedTuple

from ..types import Receive, Scope, Send, local_path

# What strangers wrote is only ever text in the page; this holds even if that were wrong one day.
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
# The smallest chat has its style and its script in the page, to be read and copied at once.
INLINE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self'; "
)
COMMON = "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Page(NamedTuple):
    """A file in memory, ready to be sent."""

    body: bytes
    etag: bytes
    headers: list[tuple[bytes, bytes]]


class Pages:
    """Serves the files of `demo_page`, read once: `/` is index.html."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}
        for file in files("telex.cli").joinpath("demo_page").iterdir():
            if file.is_file():
                self._pages[f"/{file.name}"] = _page(file.name, file.read_bytes())
        self._pages["/"] = self._pages["/index.html"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI scope."""
        if scope["type"] == "http":
            await self._http(scope, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": "no WebSocket here"})
        elif scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, send: Send) -> None:
        page = self._pages.get(local_path(scope))
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"Only GET and HEAD here.\n")
        elif page is None:
            await _answer(send, 404, [], b"There is no such page; the chat is at /\n")
        elif (b"if-none-match", page.etag) in scope["headers"]:
            await send({"type": "http.response.start", "status": 304, "headers": page.headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            length = (b"content-length", str(len(page.body)).encode())
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [*page.headers, length],
                }
            )
            body = page.body if scope["method"] == "GET" else b""
            await send({"type": "http.response.body", "body": body})


def _page(name: str, body: bytes) -> Page:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    policy = (INLINE if name == "plain.html" else STRICT) + COMMON
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode()
    headers = [
        (b"content-type", kind.encode()),
        (b"cache-control", b"no-cache"),
        (b"etag", etag),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    return Page(body, etag, headers)


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [
        *headers,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
