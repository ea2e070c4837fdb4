"""Identifiers of sessions and sockets."""

from __future__ import annotations

import secrets


def new_id() -> str:
    """20 URL-safe characters holding 120 random bits (the shape of Node's ids)."""
    return secrets.token_urlsafe(15)
