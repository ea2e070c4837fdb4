"""Binary attachments: placeholders in the JSON, the data in messages of their own."""

from __future__ import annotations

from typing import Any

from ..errors import PacketError

_CONTAINERS = (list, dict)


def restore(value: Any, buffers: list[bytes]) -> Any:
    """Put the received ``buffers`` in the places of their placeholders, in place.

    A placeholder is an object whose ``_placeholder`` is ``true``; its ``num`` must be
    an integer that names one of the buffers.
    """
    kind = value.__class__
    if kind is list:
        for index, item in enumerate(value):
            if type(item) in _CONTAINERS:
                value[index] = restore(item, buffers)
    elif kind is dict:
        if value.get("_placeholder") is True:
            num: Any = value.get("num")
            if type(num) is not int or not 0 <= num < len(buffers):
                raise PacketError("illegal attachments: a placeholder names no attachment")
            return buffers[num]
        for key, item in value.items():
            if type(item) in _CONTAINERS:
                value[key] = restore(item, buffers)
    return value
