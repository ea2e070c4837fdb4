"""The acknowledgements that a socket of either end expects of its peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from ..errors import AckTimeout, Disconnected
from .runtime import Runtime

AckCallback = Callable[["list[Any] | None", "Exception | None"], None]


class Expected:
    """An acknowledgement that has not come.

    ``strict`` ones fail when the connection goes; the others, plain callbacks of a client, are
    then forgotten, as in JavaScript.
    """

    __slots__ = ("settle", "strict", "timer")

    def __init__(self, settle: AckCallback, *, strict: bool) -> None:
        self.settle = settle
        self.strict = strict
        self.timer: asyncio.TimerHandle | None = None


def _ignore(ack_id: int) -> None:
    """Take the id of an acknowledgement that has not come in time."""


class PendingAcks:
    """The acknowledgements that one socket expects, by id."""

    __slots__ = ("_expected", "_next", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._expected: dict[int, Expected] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._expected)

    def next_id(self) -> int:
        """Return an id that has not been used."""
        self._next += 1
        return self._next - 1

    def expect(
        self,
        ack_id: int,
        settle: AckCallback,
        *,
        strict: bool = True,
        timeout: float | None = None,
        expired: Callable[[int], None] | None = _ignore,
    ) -> None:
        """Call ``settle`` with the acknowledgement when it comes.

        After ``timeout`` seconds it is called with ``AckTimeout``, and ``expired`` with the id
        before that. If that is ``None``, a late answer still counts, until the id is forgotten.
        """
        expected = Expected(settle, strict=strict)
        if timeout is not None:

            def expire() -> None:
                if expired is not None and self._expected.pop(ack_id, None) is not None:
                    expired(ack_id)
                settle(None, AckTimeout(f"no acknowledgement within {timeout} s"))

            expected.timer = self._runtime.call_later(timeout, expire)
        self._expected[ack_id] = expected

    def settle(self, ack_id: int, args: list[Any]) -> None:
        """Hand over an answer that has come; one that is not expected is ignored."""
        expected = self.forget(ack_id)
        if expected is not None:
            expected.settle(args, None)

    def forget(self, ack_id: int | None) -> Expected | None:
        """Expect an answer no more; return what was expected."""
        expected = self._expected.pop(ack_id, None) if ack_id is not None else None
        if expected is not None and expected.timer is not None:
            expected.timer.cancel()
        return expected

    def lost(self, reason: str, unsent: Collection[int | None] = ()) -> None:
        """End what the connection that has gone would have brought, except for ``unsent`` events.

        Strict ones fail with ``Disconnected``.
        """
        for ack_id in [known for known in self._expected if known not in unsent]:
            expected = self.forget(ack_id)
            if expected is not None and expected.strict:
                expected.settle(None, Disconnected(reason))

    def strict(self) -> set[int]:
        """The ids of those that must not wait for ever."""
        return {ack_id for ack_id, expected in self._expected.items() if expected.strict}
