"""Recognising the offset that a server with recovery adds to its events.

Socket.IO gives no sign which events carry one: they end with one more argument, a text.
All servers make offsets of the time, so a text is an offset if it looks like one and
tells a time that is about now.
"""

from __future__ import annotations

import re
import string

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_"
_DIGITS = {char: number for number, char in enumerate(_ALPHABET)}

_DASHED = re.compile(r"([0-9]{1,20})-[0-9]{1,20}\Z")  # telex, Redis streams
_YEAST = re.compile(r"([0-9A-Za-z_-]{7,8})(?:\.[0-9A-Za-z_-]{1,4})?\Z")  # Node, in memory
_OBJECT_ID = re.compile(r"([0-9a-f]{8})[0-9a-f]{16}\Z")  # Node, MongoDB

_BACK, _AHEAD = 30 * 86400.0, 2 * 86400.0
_UNSET_CLOCK = 1_700_000_000.0
"""Before this time (in seconds) our own clock has not been set."""


def is_offset(value: object, now: float) -> bool:
    """Whether ``value`` is an offset, seen at ``now`` (seconds since 1970)."""
    if not isinstance(value, str):
        return False
    if match := _OBJECT_ID.match(value):
        return _plausible(int(match[1], 16), now)
    if match := _DASHED.match(value):
        number = int(match[1])
        return _plausible(number / 1e3, now, since=_UNSET_CLOCK)  # telex: when it started
    if match := _YEAST.match(value):
        number = 0
        for char in match[1]:
            number = number * 64 + _DIGITS[char]
        return _plausible(number / 1e3, now)
    return False


def _plausible(seconds: float, now: float, since: float | None = None) -> bool:
    if now < _UNSET_CLOCK:
        return seconds > _UNSET_CLOCK
    return (now - _BACK if since is None else since) < seconds < now + _AHEAD
