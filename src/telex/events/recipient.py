"""What a dispatch needs of the socket whose handlers it calls, and of that socket's connection."""

from __future__ import annotations

from typing import Any, Protocol


class Recipient(Protocol):
    """The socket whose handlers a dispatch calls."""

    def answer(self, ack_id: int, result: Any) -> None:
        """Send the acknowledgement of an event."""
        ...

    def refused(self, error: Exception) -> None:
        """A packet middleware has kept an event from its handlers."""
        ...

    def left(self) -> None:
        """The handlers of ``disconnecting`` have run."""
        ...

    def settled(self) -> None:
        """None of its handlers runs at present."""
        ...

    def unhandled(self, event: Any) -> None:
        """An event has come for which no handler is registered."""
        ...

    @property
    def expects_answers(self) -> bool:
        """Whether the peer owes acknowledgements."""
        ...


class Source(Protocol):
    """The connection over which a socket's events come."""

    def pause(self) -> None:
        """Read the peer no further."""
        ...

    def resume(self) -> None:
        """Read the peer again."""
        ...

    def end(self, reason: str) -> None:
        """End the connection."""
        ...


class NullRecipient:
    """The recipient of a socket that has gone: it drops what it is given."""

    expects_answers = False

    def answer(self, ack_id: int, result: Any) -> None:
        """Drop it."""

    def refused(self, error: Exception) -> None:
        """Drop it."""

    def unhandled(self, event: Any) -> None:
        """Drop it."""

    def left(self) -> None:
        """Drop it."""

    def settled(self) -> None:
        """Drop it."""


NULL_RECIPIENT = NullRecipient()
