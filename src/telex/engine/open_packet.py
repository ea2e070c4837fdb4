"""The open packet of a server, as its client reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..codec import json
from ..errors import PacketError

_LONGEST = 10 * 365 * 86400.0
"""A heartbeat that comes even later, in seconds, is a mistake."""


class OpenPacket(NamedTuple):
    """What the server says of a new session; durations in seconds, sizes in bytes."""

    sid: str
    ping_interval: float
    ping_timeout: float
    max_payload: int
    upgrades: list[str]
    data: dict[str, Any]


def read_open_packet(text: str) -> OpenPacket:
    """Read the JSON of an open packet. Raises ``PacketError`` if it cannot be read."""
    try:
        data: Any = json.loads(text)
        return OpenPacket(
            str(data["sid"]),
            _seconds(data["pingInterval"]),
            _seconds(data["pingTimeout"]),
            int(data.get("maxPayload") or 0),
            [str(name) for name in data["upgrades"]],
            data,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PacketError(f"the server's open packet cannot be read: {error!r}") from None


def _seconds(milliseconds: Any) -> float:
    """A duration of the open packet. Raises ``ValueError`` if it is none."""
    seconds = float(milliseconds) / 1000
    if not 0 < seconds < _LONGEST:
        raise ValueError(f"{milliseconds!r} is no duration in milliseconds")
    return seconds
