"""Shared vectors: what goes over the wire and what it means, for every implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def load(name: str) -> list[dict[str, Any]]:
    """The vectors of one file; `{"$binary": hex}` stands for bytes."""
    vectors: list[dict[str, Any]] = json.loads(
        (VECTORS / name).read_text("utf-8"), object_hook=_bytes
    )
    return vectors


def _bytes(value: dict[str, Any]) -> Any:
    return bytes.fromhex(value["$binary"]) if value.keys() == {"$binary"} else value
