"""Awaitables that need not be awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable
from typing import Any


class Done:
    """An awaitable that is already done: what a call returns when nothing is left to wait for.

    It is no coroutine, so leaving it unawaited is not an error.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE = Done()


class All:
    """An awaitable that waits for several. Leaving it unawaited is not an error."""

    __slots__ = ("_results",)

    def __init__(self, results: Iterable[Awaitable[object]]) -> None:
        self._results = list(results)

    def __await__(self) -> Generator[Any, None, None]:
        for result in self._results:
            yield from result.__await__()
