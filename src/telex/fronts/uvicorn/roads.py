"""Which road do the requests of an HTTP server take to the telex server that it serves?

There are four, the shortest first:

1. **polling** (``polling.py``): usual requests of long-polling, without ASGI.
2. **direct handshake** (``handshake.py``): a usual request for a WebSocket that waits for no
   function of the user; it needs no HTTP parser and no scope.
3. **handshake with a scope**: as the direct one, with a scope, because the ASGI application
   or a trusted proxy has something to add to the request.
4. **uvicorn's own**: every other request, through its parser and the whole ASGI application.

``way_to`` decides once per server which of them are open, by what stands in between; each
road judges single requests, and hands back those that it does not take.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.middleware.message_logger import MessageLoggerMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..host import TelexServer

_OWN_CALL: Any = vars(TelexServer)["__call__"]


class Way(NamedTuple):
    """What stands between an HTTP server and a telex server, and which roads that leaves open."""

    server: TelexServer[Any] | None
    """The telex server, if it is what the HTTP server serves."""
    clear: bool
    """Whether only the engine sees requests, so that handshakes need no task."""
    proxy: ProxyHeadersMiddleware | None
    """What reads the headers of proxies, as the HTTP server's own part of the way."""
    polling: bool
    """Whether usual requests of long-polling need no HTTP server."""
    handshakes: bool
    """Whether usual handshakes need no HTTP server."""
    direct: bool
    """Whether such handshakes need no scope either."""


def way_to(app: Any, config: Config) -> Way:
    """What stands between an HTTP server and the telex server that it serves, if it does.

    The types decide, not what objects say of themselves: an object that hands on its
    attributes to a server within it sees the requests of that server.
    """
    proxies: list[ProxyHeadersMiddleware] = []
    clear = True
    while type(app) in (ProxyHeadersMiddleware, MessageLoggerMiddleware):
        if type(app) is ProxyHeadersMiddleware:
            proxies.append(app)
        else:
            clear = False  # each request is logged
        app = app.app
    proxy = proxies[0] if proxies else None
    if not issubclass(type(app), TelexServer):
        return Way(None, False, proxy, False, False, False)
    kinds: tuple[type, ...] = type(app).__mro__
    overrides = any(vars(kind).get("__call__", _OWN_CALL) is not _OWN_CALL for kind in kinds)
    clear = clear and len(proxies) < 2 and not overrides
    # A limit of concurrent requests is uvicorn's to check.
    polling = clear and config.limit_concurrency is None
    handshakes = polling and not app.front.per_message_deflate
    return Way(app, clear, proxy, polling, handshakes, handshakes and not config.root_path)
