"""Threads or greenlets."""

from __future__ import annotations

import sys
from typing import Any

from .concurrency import Concurrency
from .greenlets import Greenlets
from .threads import Threads


def choose() -> Concurrency:
    """Greenlets if gevent has replaced the threads of this process, otherwise threads."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        return Greenlets()
    return Threads()
