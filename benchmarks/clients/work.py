"""What the Python clients of the comparison have in common: orders come by line, answers go."""

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Echo = Callable[[], Awaitable[Any]]


def resident() -> int:
    """The memory that this process has, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def measure(echo: Echo, in_flight: int, total: int) -> dict[str, float]:
    """Ask `total` times, so many at once."""
    left = total

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await echo()

    cpu, clock = time.process_time(), time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(in_flight)])
    return {
        "cpu_us": (time.process_time() - cpu) / total * 1e6,
        "per_second": total / (time.perf_counter() - clock),
    }


async def serve(echo: Callable[[str], Echo], crowd: Callable[[int], Awaitable[None]]) -> None:
    """Take orders until the input ends.

    `echo TRANSPORT IN_FLIGHT TOTAL` and `crowd NUMBER`; every answer is a line of JSON.
    """
    loop = asyncio.get_running_loop()
    print("READY", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order, *words = line.split()
        if order == "echo":
            answer: dict[str, float] = await measure(echo(words[0]), int(words[1]), int(words[2]))
        else:
            number = int(words[0])
            gc.collect()
            before, cpu = resident(), time.process_time()
            await crowd(number)
            cpu = (time.process_time() - cpu) / number * 1e6
            gc.collect()
            answer = {"bytes": (resident() - before) / number, "cpu_us": cpu}
        print(json.dumps(answer), flush=True)
