"""Messages put together from the data frames of a WebSocket (RFC 6455, 5.4 to 5.6)."""

from __future__ import annotations

from .close import INVALID_TEXT, MESSAGE_TOO_BIG, POLICY_VIOLATION, PROTOCOL_ERROR

CONTINUATION, TEXT, BINARY = 0, 1, 2
"""The opcodes of data frames."""

MAX_FRAGMENTS = 16384
"""Into how many frames a client may cut one message."""


class Violation(Exception):
    """The peer has sent what it must not.

    ``code`` is the close code that tells it so; ``size`` is that of a message that is too big.
    """

    def __init__(self, code: int, what: str, size: int | None = None) -> None:
        super().__init__(what)
        self.code = code
        self.size = size


def as_text(payload: bytes | bytearray | memoryview) -> str:
    """A text, or ``Violation`` if it is not UTF-8."""
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError:
        raise Violation(INVALID_TEXT, "a text that is not UTF-8") from None


class MessageAssembler:
    """Puts the messages of one peer together; ``limit`` is the size of the largest, in bytes."""

    __slots__ = ("_count", "_is_text", "_limit", "_most", "fragments")

    def __init__(self, limit: int, most_fragments: int | None = None) -> None:
        self._limit = limit
        self._most = most_fragments
        self._is_text = False
        self._count = 0
        self.fragments: bytearray | None = None
        """What has come of a message that is not complete; ``None`` between messages."""

    def take(
        self, opcode: int, fin: bool, payload: bytes | bytearray | memoryview
    ) -> str | bytes | None:
        """The message that a data frame completes, ``None`` if more frames have to come.

        Raises ``Violation``; the assembler takes no frames after that.
        """
        fragments = self.fragments
        if opcode != CONTINUATION:
            if fragments is not None:
                raise Violation(PROTOCOL_ERROR, "a message inside another one")
            self._check_size(len(payload))
            if fin:
                return as_text(payload) if opcode == TEXT else bytes(payload)
            self._is_text = opcode == TEXT
            self._count = 1
            self.fragments = bytearray(payload)
            return None
        if fragments is None:
            raise Violation(PROTOCOL_ERROR, "a fragment of nothing")
        self._count += 1
        if self._most is not None and self._count > self._most:
            raise Violation(POLICY_VIOLATION, "a message in too many pieces")
        self._check_size(len(fragments) + len(payload))
        fragments += payload
        if not fin:
            return None
        self.fragments = None
        return as_text(fragments) if self._is_text else bytes(fragments)

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise Violation(MESSAGE_TOO_BIG, "a message that is too big", size)
