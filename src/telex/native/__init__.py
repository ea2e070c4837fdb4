"""The compiled part of telex, which is optional: ``core`` is ``None`` where it is not there.

It needs CPython on Linux, and a C compiler when telex is built. ``TELEX_PURE=1`` leaves it
aside. Everything in it has a form in Python, too.
"""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCES = (
    "native.h",
    "answer.c",
    "bytes.c",
    "dispatch.c",
    "driver.c",
    "errors.c",
    "frames.c",
    "memory.c",
    "module.c",
    "output.c",
    "reactor.c",
    "session_core.c",
    "slots.c",
    "text_packet.c",
    "websocket.c",
    "websocket_output.c",
)


def checksum(folder: Path) -> int | None:
    """Of the sources in a folder; ``None`` where they are not."""
    total = 0
    for name in SOURCES:
        source = folder / name
        if not source.exists():
            return None
        total = zlib.crc32(source.read_bytes(), total)
    return total


def load() -> ModuleType | None:
    """The compiled part, if it is there and wanted, and not older than its sources."""
    if sys.platform != "linux" or os.environ.get("TELEX_PURE", "0") not in ("", "0"):
        return None
    try:
        from . import _telex
    except ImportError:
        return None
    if checksum(Path(__file__).parent) not in (None, _telex.SOURCE):
        from .._log import logger  # the build reads this file on its own

        logger.warning("the compiled part is older than its source, and not used: make native")
        return None
    return _telex


core: Any = load()
