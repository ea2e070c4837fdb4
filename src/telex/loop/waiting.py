"""What calls return that may be awaited, and need not be."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Waiting:
    """Awaiting it waits for something that has begun already; it may be chained, too."""

    __slots__ = ("_owner", "_wait")

    def __init__(self, owner: object, wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._owner = owner
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)
