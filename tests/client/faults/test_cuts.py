"""Hundreds of cuts in a row: with `retries` nothing is lost, repeated or left behind."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import telex
from telex import Server
from tests.client.faults.census import CLIENT, EVERYTHING, census, objects, settled
from tests.client.faults.elsewhere import Elsewhere
from tests.features.scripts import until
from tests.support.proxy import Fault, Phase

CUTS = {"websocket": 200, "polling": 100, "polling, websocket": 60}
WARM = 20
FRAMES: tuple[Phase, ...] = ("client frame", "server frame")
REQUESTS: tuple[Phase, ...] = ("poll", "post", "poll answer", "post answer")
BEGINNING: tuple[Phase, ...] = ("probe", "probe answer", "post", "poll answer")
PHASES: dict[str, tuple[Phase, ...]] = {
    "websocket": FRAMES,
    "polling": REQUESTS,
    "polling, websocket": (*FRAMES, *BEGINNING),
}


class Cutter:
    """Cuts one connection after another, before, within or after some unit of its traffic."""

    def __init__(self, there: Elsewhere, transports: str, seed: int) -> None:
        self._there = there
        self._phases = PHASES[transports]
        self._upgrades = "," in transports
        self._random = random.Random(seed)

    async def cut(self) -> None:
        """Wait for the next cut."""
        choose = self._random
        phase = choose.choice(self._phases)
        # What comes once in a connection that upgrades, if it does, comes in the next one.
        rare = self._upgrades and phase in BEGINNING
        telling = not rare and phase in (*FRAMES, "post", "poll answer")
        fault = Fault(
            phase,
            choose.choice(("reset", "end")),
            choose.choice((0.0, 0.5, 1.0)),
            match="number|^43" if telling and choose.random() < 0.7 else "",
            skip=0 if rare else choose.randrange(5),
            told=True,
        )
        await self._there.add(fault)
        while self._upgrades and not fault.fired.is_set():
            # A client whose probe has failed stays on polling, where there are no frames.
            await self._there.call(self._there.proxy.cut)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._there.fired(fault), 1)
        await self._there.fired(fault)
        await self._there.call(lambda: self._there.proxy.faults.remove(fault))


@pytest.mark.parametrize(("transports", "seed"), [(name, len(name)) for name in PHASES])
async def test_hundreds_of_cuts(transports: str, seed: int) -> None:
    """Every emit is acknowledged to its caller once, in order, and was not sent again after that.

    The server sees a repeat only where an acknowledgement was lost on its way; it tells by the
    number. Tasks, connections and objects are as many afterwards as after the first few cuts.
    """
    # With polling, the server finds out by its heartbeat that a client has gone.
    io = Server() if transports == "websocket" else Server(ping_interval=0.3, ping_timeout=0.3)
    handled: list[int] = []

    @io.event
    def number(socket: telex.Socket, value: int, padding: str) -> int:
        handled.append(value)
        return value

    there = Elsewhere.start(io)
    for loop in (there.loop, asyncio.get_running_loop()):
        loop.set_debug(False)  # it makes every step slow, and here are many
    before = census(there.proxy.port)
    chosen: Any = transports.split(", ")
    socket = telex.connect(
        there.url,
        transports=chosen,
        retries=10_000,
        ack_timeout=30,
        reconnection_delay=0.001,
        reconnection_delay_max=0.001,
        randomization_factor=0,
    )
    connects: list[str | None] = []
    socket.on("connect", lambda: connects.append(socket.id))
    answered: list[int] = []
    stop = asyncio.Event()

    def answer(last: asyncio.Event, error: Exception | None, *values: int) -> None:
        assert error is None
        answered.extend(values)
        last.set()

    async def emit() -> int:
        """Emit, three at a time, until it is enough."""
        emitted = 0
        while not stop.is_set():
            events = [asyncio.Event() for _ in range(3)]
            for event in events:
                socket.emit("number", emitted, "x" * 200, ack=partial(answer, event))
                emitted += 1
            await events[-1].wait()
        return emitted

    async def settle() -> dict[str, int]:
        """Let everything come to rest, and count."""
        assert await socket.emit_with_ack("number", -1, "") == -1
        await until(lambda: there.io.engine.clients_count == 1)
        now = census(there.proxy.port)
        counts = {"tasks": len(now.tasks), "timers": len(now.timers)}
        # The HTTP server keeps what is closed for a while; its part is not looked at.
        kinds = EVERYTHING if transports == "websocket" else CLIENT
        return {**counts, "connections": now.connections, **objects(kinds)}

    try:
        emitting = asyncio.create_task(emit())
        cutter = Cutter(there, transports, seed)
        for _ in range(WARM):
            await cutter.cut()
        first = await settle()
        for _ in range(CUTS[transports] - WARM):
            await cutter.cut()
        stop.set()
        count = await emitting
        last = await settle()
        # Not every cut hits a connection that is needed, or one that is open.
        assert len(connects) > CUTS[transports] / 2
        await socket.disconnect()
        await settled(there.proxy.port, before)
    finally:
        await socket.disconnect()
        there.close()

    assert answered == list(range(count))
    assert set(handled) - {-1} == set(range(count))
    firsts = list(dict.fromkeys(value for value in handled if value >= 0))
    assert firsts == list(range(count)), "the server has met the emits in another order"
    growth = {name: last[name] - first.get(name, 0) for name in last}
    assert not {name: more for name, more in growth.items() if more > 20}, growth


async def test_nothing_is_sent_again_after_its_answer() -> None:
    """The proxy sees every packet: none leaves again once its caller has been answered."""
    io = Server()

    @io.event
    def number(socket: telex.Socket, value: int) -> int:
        return value

    there = Elsewhere.start(io)
    answered: set[int] = set()
    again: list[int] = []
    sent: Counter[int] = Counter()

    class Watching(list[Any]):
        """The units of the proxy, looked at as they come."""

        def append(self, unit: Any) -> None:
            for found in re.findall(r'\["number",(\d+)\]', unit.text):
                if unit.phase in ("client frame", "post"):
                    value = int(found)
                    sent[value] += 1
                    if value in answered:
                        again.append(value)

    try:
        there.proxy.units = Watching()
        options: dict[str, Any] = {"retries": 1000, "ack_timeout": 30, "reconnection_delay": 0.001}
        async with telex.connect(there.url, transports=("websocket",), **options) as socket:
            for value in range(60):
                if value % 3 == 0:  # the acknowledgement is cut, or the event
                    phase: Any = "server frame" if value % 2 else "client frame"
                    match = "43" if value % 2 else "number"
                    await there.add(Fault(phase, "reset", value % 2, match=f"^4?{match}|{match}"))
                assert await socket.emit_with_ack("number", value) == value
                answered.add(value)
    finally:
        there.close()
    assert not again
    assert set(sent) == set(range(60))
    assert max(sent.values()) <= 2
