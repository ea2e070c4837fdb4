"""Waiting for something that another thread does, and for the end of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def until(true: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it did not, for so many seconds.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def threads() -> list[str]:
    """The names of the threads of telex."""
    return [each.name for each in threading.enumerate() if each.name.startswith("telex")]
