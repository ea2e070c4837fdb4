"""What waits for somebody who asks."""

from __future__ import annotations

import asyncio
import logging

import hypothesis.strategies as st
import pytest
from hypothesis import given

from telex.client.receive_queue import HEAVIEST, ReceiveQueue
from telex.errors import Disconnected


async def turns(count: int = 5) -> None:
    """Let the loop turn a few times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    box: ReceiveQueue[int] = ReceiveQueue(10)
    receivers = [asyncio.create_task(box.get()) for _ in range(3)]
    await turns()
    for number in range(4):
        box.put(number, 1)
    assert await asyncio.gather(*receivers) == [0, 1, 2]
    assert len(box) == 1
    assert await box.get() == 3


async def test_limits_of_time() -> None:
    box: ReceiveQueue[int] = ReceiveQueue(10)
    with pytest.raises(TimeoutError):
        await box.get(0.001)
    with pytest.raises(TimeoutError):
        await box.get(0)
    box.put(1, 1)
    assert await box.get(0) == 1


async def test_closing() -> None:
    box: ReceiveQueue[int] = ReceiveQueue(10)
    waiting = [asyncio.create_task(box.get()) for _ in range(2)]
    await turns()
    box.close("the reason")
    for each in waiting:
        with pytest.raises(Disconnected, match="the reason"):
            await each
    box.put(1, 1)
    assert await box.get() == 1, "what has come before may still be asked for"
    with pytest.raises(Disconnected) as ended:
        await box.get()
    assert ended.value.reason == "the reason"
    box.reopen()
    with pytest.raises(TimeoutError):
        await box.get(0.001)


async def test_the_oldest_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asks is told once how many; a box that nobody looks into says nothing."""
    box: ReceiveQueue[int] = ReceiveQueue(3)
    for number in range(10):
        box.put(number, 1)
    assert not caplog.records
    assert [await box.get() for _ in range(3)] == [7, 8, 9]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "oldest 7 were dropped" in record.message


async def test_weight_is_bounded_too(caplog: pytest.LogCaptureFixture) -> None:
    box: ReceiveQueue[int] = ReceiveQueue(1000)
    for number in range(10):
        box.put(number, HEAVIEST // 4)
    assert len(box) == 4
    assert await box.get() == 6
    box.put(10, HEAVIEST + 1)
    assert await box.get() == 10, "one item may be heavier"
    assert len(caplog.records) == 2
    for number in range(4):
        box.put(number, HEAVIEST // 4)
    assert [await box.get() for _ in range(4)] == [0, 1, 2, 3]


async def test_a_receiver_that_is_cancelled_loses_nothing() -> None:
    """Not even when it is cancelled in the very moment in which something comes for it."""
    box: ReceiveQueue[int] = ReceiveQueue(10)
    first, second = (asyncio.create_task(box.get()) for _ in range(2))
    await turns()
    box.put(1, 1)
    first.cancel()
    await turns()
    assert first.cancelled()
    assert second.done()
    assert second.result() == 1


async def test_somebody_faster() -> None:
    """An item that is taken before its receiver has woken: the receiver waits on."""
    box: ReceiveQueue[int] = ReceiveQueue(10)
    waiting = asyncio.create_task(box.get())
    await turns()
    box.put(1, 1)
    assert await box.get() == 1
    await turns()
    assert not waiting.done()
    box.put(2, 1)
    assert await waiting == 2


@given(
    steps=st.lists(
        st.one_of(
            st.just("put"),
            st.just("get"),
            st.just("turn"),
            st.integers(0, 5),  # cancel one of the last receivers
        ),
        max_size=60,
    )
)
def test_nothing_is_lost_or_received_twice(steps: list[str | int]) -> None:
    async def run() -> None:
        box: ReceiveQueue[int] = ReceiveQueue(1000)
        receivers: list[asyncio.Task[int]] = []
        count = 0
        for step in steps:
            if step == "put":
                box.put(count, 1)
                count += 1
            elif step == "get":
                receivers.append(asyncio.create_task(box.get()))
            elif step == "turn":
                await turns(2)
            elif isinstance(step, int) and step < len(receivers):
                receivers[-1 - step].cancel()
        await turns(10)
        waiting = [each for each in receivers if not each.done()]
        assert not waiting or not len(box), "somebody waits although there is something"
        got = [each.result() for each in receivers if each.done() and not each.cancelled()]
        for each in waiting:
            each.cancel()
        await turns()
        while len(box):
            got.append(await box.get())
        assert sorted(got) == list(range(count))

    asyncio.run(run())
