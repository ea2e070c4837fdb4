"""Names of events that cannot be emitted."""

from __future__ import annotations

from ..parser.packet import RESERVED_EVENTS


def check_event(event: str) -> None:
    """Names of the life cycle cannot be emitted."""
    if event.__class__ is not str:
        raise TypeError(f"the name of an event is text, not {event!r}")
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is a reserved event name")
