"""picows, which takes WebSocket frames apart: the only file that names its private parts.

``WSProtocol`` is not public API of picows. It is used because the public functions cannot take
over a connection that is open already, and because ``ws_connect`` leaves a connection behind
when it is cancelled and does not tell how a connection was lost. ``problem`` says whether this
version of picows still has the parts that are used here: if not, servers leave WebSockets to
their host, and clients stay on long-polling.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import picows
from picows import picows as _compiled

READ_BUFFER = 2048
"""First size of a connection's read buffer; it grows with the messages that come."""


class _NoProtocol:
    """What stands in for the protocol of a picows that has none."""

    get_buffer: Any = None
    buffer_updated: Any = None


PicowsProtocol: Any = vars(_compiled).get("WSProtocol", _NoProtocol)
"""The protocol class of picows; its type stubs leave it out."""

get_buffer: Callable[[Any, int], memoryview] = PicowsProtocol.get_buffer
buffer_updated: Callable[[Any, int], None] = PicowsProtocol.buffer_updated


class _Silence:
    """A logger that says nothing: picows would make one for every connection."""

    name = "picows"

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that logging has
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _say_nothing


def _say_nothing(*args: object, **kwargs: object) -> None:
    """What a silent logger does."""


_SILENCE = _Silence()


def init_server(protocol: Any, make_listener: Callable[[Any], Any], max_frame_size: int) -> None:
    """Initialise a ``PicowsProtocol`` as a server's end; its user answers pings."""
    PicowsProtocol.__init__(
        protocol,
        None,  # host and port: client side only
        None,
        False,  # the server's side
        make_listener,
        _SILENCE,
        False,  # an exception of a listener closes nothing
        None,
        False,  # no pings: Engine.IO has its own
        0,
        0,
        0,
        False,  # no automatic pongs
        max_frame_size,
        None,
        READ_BUFFER,
    )


def init_client(
    protocol: Any,
    host: str,
    resource: str,
    make_listener: Callable[[], Any],
    timeout: float | None,
    max_frame_size: int,
    headers: Any,
) -> None:
    """Initialise a ``PicowsProtocol`` as a client's end; ``timeout`` is that of the handshake."""
    PicowsProtocol.__init__(
        protocol,
        host,
        resource,
        True,  # the client's side
        make_listener,
        _SILENCE,
        False,  # an exception of a listener closes nothing
        timeout,
        False,  # no pings: Engine.IO has its own
        0,
        0,
        0,
        True,  # pongs
        max_frame_size,
        headers,
        READ_BUFFER,
    )


@cache
def problem() -> str | None:
    """Why this version of picows cannot be used; ``None`` if it can (asked in a running loop)."""
    try:
        for name in ("connection_made", "connection_lost", "eof_received"):
            getattr(PicowsProtocol, name)
        server = PicowsProtocol.__new__(PicowsProtocol)
        init_server(server, _no_listener, 1024)
        if not len(get_buffer(server, -1)):
            return _advice("its read buffer is empty")
        client = PicowsProtocol.__new__(PicowsProtocol)
        init_client(client, "localhost", "/", _no_listener, None, 1024, {})
    except Exception as error:
        return _advice(repr(error))
    return None


def _no_listener(*arguments: object) -> None:
    """What makes no listener."""


def _advice(why: str) -> str:
    version = getattr(picows, "__version__", "?")
    return (
        f"WebSockets need another version of picows than {version}:"
        f" pip install 'picows>=2.3,<3' ({why})"
    )
