"""Addresses to listen on, checked before anything starts."""

from __future__ import annotations

import errno
import socket
import sys


class AddressError(Exception):
    """It is not possible to listen there; the message says why and what to change."""


def check_address(host: str, port: int) -> None:
    """Try whether a server could listen on `host` and `port` now.

    Raises:
        AddressError: it could not.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise AddressError(f"{host!r} is not an address or a name this machine knows.") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        if sys.platform != "win32":  # where it means something else
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise AddressError(explain(error, host, port)) from None


def explain(error: OSError, host: str, port: int) -> str:
    """Why a server could not listen, and what to change."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use on {host}. "
            f"Choose another, such as --port {port + 1 if port < 65535 else port - 1}, "
            "or let --port 0 find a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is reserved for the system administrator: choose one from 1024 on."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine; try 127.0.0.1, or 0.0.0.0 for all."
    return f"Nothing can listen on {host} port {port}: {error.strerror}."


def url_of(host: str, port: int) -> str:
    """The address to open in a browser on this machine."""
    if host in ("0.0.0.0", "::", ""):
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
