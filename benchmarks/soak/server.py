"""A server under observation: answers on its standard input what it holds."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from telex import Server, Socket

TICK = 0.05
ROOMS = 20


def make(*, recovery: bool, max_disconnection: float) -> Server:
    """The server: echo, rooms, and an event to a room in every tick."""
    io = Server(
        ping_interval=5,
        ping_timeout=5,
        connection_state_recovery=(
            {"max_disconnection_duration": max_disconnection} if recovery else False
        ),
    )

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.data["since"] = socket.id

    @io.event
    def echo(socket: Socket, *args: Any) -> Any:
        return args

    @io.event
    def enter(socket: Socket, room: str) -> None:
        socket.join(room)

    @io.event
    def leave(socket: Socket, room: str) -> None:
        socket.leave(room)

    @io.event
    def flood(socket: Socket) -> None:
        for _ in range(20):
            socket.emit("flood", "x" * 10_000)

    @io.of(re.compile(r"\A/game-[0-9]+\Z")).on("connection")
    def joined(socket: Socket) -> None:
        socket.emit("welcome", {"name": socket.nsp.name, "text": "z" * 1000})

    return io


async def tick(io: Server) -> None:
    """Send events to the rooms in turn, some of them structured, some binary."""
    number = 0
    while True:
        await asyncio.sleep(TICK)
        number += 1
        room = io.to(f"room {number % ROOMS}")
        if number % 5 == 0:
            room.emit("structured", {"number": number, "list": list(range(30)), "text": "y" * 200})
        elif number % 7 == 0:
            room.emit("binary", bytes(500))
        else:
            room.emit("tick", number)


def resident() -> int:
    """The memory of this process in KB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("Linux says how much memory a process takes")


def report(io: Server, *, deep: bool) -> dict[str, Any]:
    """What the server takes and holds; ``deep`` counts objects by type, after a collection."""
    said: dict[str, Any] = {
        "rss": resident(),
        "sockets": len(io.sockets.sockets),
        "engine": io.engine.clients_count,
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }
    if deep:
        gc.collect()
        objects = gc.get_objects()
        kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)
        said["objects"] = len(objects)
        said["kinds"] = dict(kinds.most_common(40))
        said["blocks"] = sys.getallocatedblocks()
    return said


async def main() -> None:
    """Serve until the standard input ends."""
    options = json.loads(sys.argv[1])
    io = make(**options)
    await io.listen(port=0)
    ticking = asyncio.ensure_future(tick(io))
    print(json.dumps({"port": io.port}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(report(io, deep=line.strip() == "deep")), flush=True)
    ticking.cancel()
    await io.close()


if __name__ == "__main__":
    asyncio.run(main())
