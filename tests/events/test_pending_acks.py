"""Acknowledgements that a socket expects: answered, too late, or lost with the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex.errors import AckTimeout, Disconnected
from telex.events.pending_acks import PendingAcks
from telex.events.runtime import Runtime
from telex.parser.default import DEFAULT_PARSER


@pytest.fixture
async def acks() -> PendingAcks:
    runtime = Runtime(DEFAULT_PARSER)
    runtime.bind(asyncio.get_running_loop())
    return PendingAcks(runtime)


Outcome = tuple[list[Any] | None, Exception | None]


class Outcomes:
    """A `settle` that keeps what it was called with."""

    def __init__(self) -> None:
        self.all: list[Outcome] = []

    def __call__(self, args: list[Any] | None, error: Exception | None) -> None:
        self.all.append((args, error))

    @property
    def only(self) -> Outcome:
        [outcome] = self.all
        return outcome


def expect(
    acks: PendingAcks, *, strict: bool = True, timeout: float | None = None
) -> tuple[int, Outcomes]:
    outcomes, ack_id = Outcomes(), acks.next_id()
    acks.expect(ack_id, outcomes, strict=strict, timeout=timeout, expired=None)
    return ack_id, outcomes


async def test_ids_are_not_used_again(acks: PendingAcks) -> None:
    assert [acks.next_id() for _ in range(3)] == [0, 1, 2]
    ack_id, _ = expect(acks)
    acks.settle(ack_id, [])
    assert acks.next_id() == 4


async def test_the_first_answer_counts(acks: PendingAcks) -> None:
    ack_id, outcomes = expect(acks)
    other_id, other = expect(acks)
    assert len(acks) == 2
    acks.settle(ack_id, [1, 2])
    acks.settle(ack_id, [3])
    acks.settle(17, ["nobody asked"])
    assert outcomes.only == ([1, 2], None)
    assert not other.all
    assert acks.strict() == {other_id}


async def test_the_connection_goes(acks: PendingAcks) -> None:
    """Who must know is told; a plain callback is forgotten; what was not sent is kept."""
    _, strict = expect(acks)
    _, loose = expect(acks, strict=False)
    kept_id, kept = expect(acks)
    acks.lost("transport close", {kept_id})
    [(args, error)] = strict.all
    assert args is None
    assert isinstance(error, Disconnected)
    assert error.reason == "transport close"
    assert not loose.all
    assert not kept.all
    assert len(acks) == 1
    acks.settle(kept_id, [5])
    assert kept.only == ([5], None)


async def test_answers_that_do_not_come_in_time(acks: PendingAcks) -> None:
    expired: list[int] = []
    outcomes = Outcomes()
    acks.expect(acks.next_id(), outcomes, strict=True, timeout=0.001, expired=expired.append)
    _, answered = expect(acks, timeout=0.001)
    acks.settle(1, ["in time"])
    _, forgotten = expect(acks, timeout=0.001)
    assert acks.forget(2) is not None
    assert acks.forget(2) is None
    assert acks.forget(None) is None
    while not outcomes.all:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.002)
    args, error = outcomes.only
    assert args is None
    assert isinstance(error, AckTimeout)
    assert expired == [0]
    assert answered.only == (["in time"], None)
    assert not forgotten.all
    assert not len(acks)


async def test_a_late_answer_of_a_try_still_counts(acks: PendingAcks) -> None:
    """Until whoever tries forgets about it."""
    ack_id, outcomes = expect(acks, timeout=0.001)
    while not outcomes.all:
        await asyncio.sleep(0.001)
    acks.settle(ack_id, ["late"])
    assert outcomes.all[1] == (["late"], None)


async def test_one_that_has_come_too_late_is_ignored_unless_it_is_asked_for(
    acks: PendingAcks,
) -> None:
    outcomes = Outcomes()
    acks.expect(7, outcomes, timeout=0.001)
    while not outcomes.all:
        await asyncio.sleep(0.001)
    acks.settle(7, ["late"])
    assert isinstance(outcomes.only[1], AckTimeout)
