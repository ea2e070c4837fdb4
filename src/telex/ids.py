"""Identifiers of sessions and sockets."""

from __future__ import annotations

import os
import sys
from base64 import urlsafe_b64encode
from hashlib import blake2s

_SIZE = 15
_AT_ONCE = 24

_KEY = os.urandom(16)

_ready: list[str] = []  # never the same in two processes, see below


def new_id() -> str:
    """20 URL-safe characters holding 120 random bits (the shape of Node's ids)."""
    try:
        return _ready.pop()
    except IndexError:
        return _more()


def tag(sid: str) -> str:
    """What a session is called in logs: 8 characters, of no use to those who want its id."""
    secret = sid.encode("utf-8", "surrogatepass")
    return blake2s(secret, digest_size=4, key=_KEY).hexdigest()


def _more() -> str:
    """The system is asked for many at once: most of what one costs is the question."""
    text = urlsafe_b64encode(os.urandom(_SIZE * _AT_ONCE)).decode()
    first, *others = [text[start : start + 20] for start in range(0, len(text), 20)]
    _ready.extend(others)
    return first


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_ready.clear)
