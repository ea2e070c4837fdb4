"""What a call returns that takes effect at once: it may be awaited, and need not be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any


class Completion:
    """The completion of what a call has begun; ``await`` waits for it.

    It is no coroutine, so leaving it unawaited is not an error. The names of its ``owner``
    are its own, too, so that calls can be chained.
    """

    __slots__ = ("_owner", "_wait")

    def __init__(self, owner: object, wait: Callable[[], Awaitable[None]]) -> None:
        self._owner = owner
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)


async def at_once() -> None:
    """Wait for nothing."""


DONE = Completion(None, at_once)
"""The completion of a call that leaves nothing to wait for."""


def all_of(results: Iterable[Awaitable[None]]) -> Completion:
    """The completion of several calls, which have been made already."""
    begun = list(results)

    async def wait() -> None:
        for result in begun:
            await result

    return Completion(None, wait)
