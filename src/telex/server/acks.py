"""Acknowledgements, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Ack:
    """Answers one event of a client: call it with the answer's arguments.

    A handler that has a parameter annotated with ``telex.Ack`` receives one, if the
    client asked for an acknowledgement. Only the first call counts; a call after the
    client has left has no effect.
    """

    __slots__ = ("_send",)

    def __init__(self, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._send: Callable[[tuple[Any, ...]], None] | None = send

    def __call__(self, *args: Any) -> None:
        send, self._send = self._send, None
        if send is not None:
            send(args)

    @property
    def sent(self) -> bool:
        """Whether the answer has been given."""
        return self._send is None


def as_answer(args: list[Any]) -> Any:
    """An acknowledgement's arguments as one value: none, the value, or a tuple of them."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None
