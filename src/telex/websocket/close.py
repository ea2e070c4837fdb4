"""The close codes of WebSockets, and what close frames may say (RFC 6455, 7.4)."""

from __future__ import annotations

OK = 1000
PROTOCOL_ERROR = 1002
INVALID_TEXT = 1007
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011

VIOLATIONS = frozenset((PROTOCOL_ERROR, INVALID_TEXT, POLICY_VIOLATION, MESSAGE_TOO_BIG))
"""The codes with which one end says that the other has broken the protocol, or a limit."""

_REGISTERED = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
"""The codes below 3000 that may be sent."""


def mistake_in(payload: bytes) -> int:
    """The close code with which a close frame is answered that is wrong; 0 if it is right.

    ``payload`` is what the frame carries: nothing, or a code and a text.
    """
    if not payload:
        return 0
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (3000 <= code <= 4999 or code in _REGISTERED):
        return PROTOCOL_ERROR
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return INVALID_TEXT
    return 0
