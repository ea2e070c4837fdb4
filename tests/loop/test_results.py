"""What calls return that may be awaited, and need not be."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest

from telex.loop.results import DONE, Completion, all_of


class Counter:
    """The owner of a call that counts how often it is waited for."""

    def __init__(self) -> None:
        self.waited = 0

    async def wait(self) -> None:
        await asyncio.sleep(0)
        self.waited += 1


async def test_is_waited_for_as_often_as_it_is_awaited() -> None:
    counter = Counter()
    completion = Completion(counter, counter.wait)
    assert counter.waited == 0
    await completion
    await completion
    assert counter.waited == 2


async def test_left_unawaited_it_warns_of_nothing() -> None:
    counter = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Completion(counter, counter.wait)
        all_of([Completion(counter, counter.wait)])
        gc.collect()
    assert counter.waited == 0


def test_calls_can_be_chained() -> None:
    counter = Counter()
    assert Completion(counter, counter.wait).waited == 0
    with pytest.raises(AttributeError, match="missing"):
        _ = Completion(counter, counter.wait).missing


async def test_waits_for_all_of_several() -> None:
    counter = Counter()
    await all_of([Completion(counter, counter.wait), DONE, Completion(counter, counter.wait)])
    assert counter.waited == 2
