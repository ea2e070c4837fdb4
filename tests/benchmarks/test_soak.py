"""The soak's verdict: whether memory is flat, and what has grown if it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from benchmarks.soak import clients, server
from benchmarks.soak.verdict import Sample, causes, judge, line, slope


def samples(
    rss: Callable[[int], float], kinds: Callable[[int], int], blocks: int = 0
) -> list[Sample]:
    return [
        Sample(float(at), round(rss(at)), 0, 100_000 + blocks * at, {"app.Thing": kinds(at)})
        for at in range(40)
    ]


def test_a_slope() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(1.0, 5.0)]) == 0.0


def test_memory_that_grows_only_at_first_is_flat() -> None:
    verdict = judge(samples(lambda at: 40_000 + 1000 * min(at, 15), lambda at: 10))
    assert verdict.flat
    assert verdict.causes == []


def test_memory_that_goes_up_and_down_is_flat() -> None:
    assert judge(samples(lambda at: 40_000 + 1500 * (at % 2), lambda at: 10)).flat


def test_memory_that_grows_for_ever_names_what_has_grown() -> None:
    grown = samples(lambda at: 40_000 + 300 * at, lambda at: 1000 * at)
    verdict = judge(grown)
    assert not verdict.flat
    assert verdict.growth == pytest.approx(300)
    assert verdict.causes == ["+19,000 app.Thing"]
    assert "GROWS" in line("a server", grown, verdict, {"visits": 5})


def test_growth_without_objects_is_the_allocators() -> None:
    late = samples(lambda at: 40_000 + 300 * at, lambda at: 10)
    [cause] = causes(late)
    assert "allocator" in cause
    [cause] = causes(samples(lambda at: 40_000 + 300 * at, lambda at: 10, blocks=1000))
    assert "of no one type" in cause


async def test_the_load_is_served() -> None:
    """Every kind of visit, once; those who behave are answered."""
    io = server.make(recovery=True, max_disconnection=60)
    await io.listen(port=0)
    ticking = asyncio.ensure_future(server.tick(io))
    try:
        assert io.port is not None
        load = clients.Load(io.port, steady=1, per_second=100)
        running = asyncio.ensure_future(load.run())
        while load.visits < 25 or not load.recovered:
            await asyncio.sleep(0.01)
            assert not running.done()
        said = server.report(io, deep=True)
        assert said["rss"] > 0
        assert "telex.adapter.recovery.Sent" in said["kinds"] or said["objects"] > 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert load.errors == []
    finally:
        ticking.cancel()
        await io.close()
