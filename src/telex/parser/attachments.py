"""Binary attachments: placeholders in the JSON, the data in messages of their own."""

from __future__ import annotations

from typing import Any

from ..errors import PacketError


def restore(value: Any, buffers: list[bytes]) -> Any:
    """Put the received ``buffers`` in the places of their placeholders, in place.

    A placeholder is an object whose ``_placeholder`` is ``true``; its ``num`` must be
    an integer that names one of the buffers.
    """
    root = [value]
    found: list[Any] = [root]
    while found:
        container = found.pop()
        items: Any = enumerate(container) if container.__class__ is list else container.items()
        for key, item in items:
            kind = item.__class__
            if kind is dict and item.get("_placeholder") is True:
                container[key] = _buffer(item.get("num"), buffers)
            elif item and (kind is list or kind is dict):
                found.append(item)
    return root[0]


def _buffer(num: Any, buffers: list[bytes]) -> bytes:
    if type(num) is not int or not 0 <= num < len(buffers):
        raise PacketError("illegal attachments: a placeholder names no attachment")
    return buffers[num]
