"""The acknowledgements that a socket waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..errors import AckTimeout, Disconnected

AckCallback = Callable[["list[Any] | None", "Exception | None"], None]


class Expected:
    """An acknowledgement that is waited for.

    ``strict`` ones fail when the connection goes; the others, plain callbacks, are then
    forgotten, as in JavaScript.
    """

    __slots__ = ("settle", "strict", "timer")

    def __init__(self, settle: AckCallback, *, strict: bool) -> None:
        self.settle = settle
        self.strict = strict
        self.timer: asyncio.TimerHandle | None = None


class Acks:
    """The acknowledgements that a socket waits for."""

    __slots__ = ("_expected", "_next")

    def __init__(self) -> None:
        self._expected: dict[int, Expected] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._expected)

    def next_id(self) -> int:
        """An id that has not been used."""
        self._next += 1
        return self._next - 1

    def expect(
        self,
        ack_id: int,
        settle: AckCallback,
        *,
        strict: bool,
        timeout: float | None,
        expired: Callable[[int], None] | None,
    ) -> None:
        """Wait for an acknowledgement.

        After ``timeout`` seconds ``settle`` is called with ``AckTimeout``, and ``expired``
        with the id before that. Without ``expired`` a late answer still counts, until the
        id is forgotten.
        """
        expected = Expected(settle, strict=strict)
        if timeout is not None:

            def expire() -> None:
                if expired is not None and self._expected.pop(ack_id, None) is not None:
                    expired(ack_id)
                settle(None, AckTimeout(f"no acknowledgement within {timeout} s"))

            expected.timer = asyncio.get_running_loop().call_later(timeout, expire)
        self._expected[ack_id] = expected

    def settle(self, ack_id: int, args: list[Any]) -> None:
        """An answer has come; one that nobody waits for is ignored."""
        expected = self.forget(ack_id)
        if expected is not None:
            expected.settle(args, None)

    def forget(self, ack_id: int | None) -> Expected | None:
        """An answer is not waited for any more."""
        expected = self._expected.pop(ack_id, None) if ack_id is not None else None
        if expected is not None and expected.timer is not None:
            expected.timer.cancel()
        return expected

    def lost(self, reason: str, waiting: set[int | None]) -> None:
        """The connection has gone; what is still ``waiting`` to be sent is not lost."""
        for ack_id in [known for known in self._expected if known not in waiting]:
            expected = self.forget(ack_id)
            if expected is not None and expected.strict:
                expected.settle(None, Disconnected(reason))

    def strict(self) -> set[int]:
        """The ids of those that must not wait for ever."""
        return {ack_id for ack_id, expected in self._expected.items() if expected.strict}
