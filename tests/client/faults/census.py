"""What a client may leave behind: tasks, timers, threads, connections."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections import Counter
from typing import Any, NamedTuple


class Census(NamedTuple):
    """What there is at one moment, as seen from the running loop."""

    tasks: tuple[str, ...]
    timers: tuple[str, ...]
    threads: tuple[str, ...]
    connections: int


def census(port: int) -> Census:
    """Count; `connections` are those of this process to `port`."""
    loop: Any = asyncio.get_running_loop()
    me = asyncio.current_task()
    tasks = tuple(sorted(_coroutine(task) for task in asyncio.all_tasks() if task is not me))
    timers = tuple(repr(handle) for handle in loop._scheduled if not handle.cancelled())
    # The loop's own executor resolves names; it stays as long as the loop.
    threads = sorted(thread.name for thread in threading.enumerate())
    threads = [name for name in threads if not name.startswith("asyncio_")]
    return Census(tasks, timers, tuple(threads), connections(port))


async def settled(port: int, before: Census) -> None:
    """Wait until there is no more than before; without a timeout, which would be a timer."""
    for _ in range(500):
        if census(port) == before:
            return
        await asyncio.sleep(0.01)
    assert (now := census(port)) == before, now


def _coroutine(task: asyncio.Task[Any]) -> str:
    coroutine: Any = task.get_coro()
    return str(coroutine.__qualname__)


def connections(port: int) -> int:
    """How many connections this process has made to `port`."""
    return sum(1 for peer in _peers() if peer[1:2] == (port,))


def _peers() -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as copy:
                if copy.family == socket.AF_INET:
                    found.append(copy.getpeername())
        except OSError:
            continue  # closed meanwhile, or not connected
    return found


CLIENT = ("telex.client.", "telex.events.acks.", "telex.wire.", "aiohttp.", "picows.")
"""What clients are made of; servers in the same process have less of it."""
EVERYTHING = ("telex.", "aiohttp.", "picows.", "_asyncio.", "asyncio.", "_socket.", "socket.")


def objects(kinds: tuple[str, ...]) -> Counter[str]:
    """How many objects there are of each type of these modules."""
    for _ in range(3):
        gc.collect()
    names = (f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.get_objects())
    return Counter(name for name in names if name.startswith(kinds))
