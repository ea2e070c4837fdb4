"""Looking at values of any kind without narrowing what type checkers know of them."""

from __future__ import annotations

from typing import Any


def is_a(value: Any, *kinds: type) -> bool:
    """Whether a value is of one of these kinds; to type checkers it stays `Any`."""
    return isinstance(value, kinds)
