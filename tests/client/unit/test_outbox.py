"""Emits that are tried again until they are acknowledged."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telex.client.outbox import Retried, RetryQueue
from telex.errors import AckTimeout, Disconnected, EncodeError
from telex.events.pending_acks import AckCallback
from tests.support.examples import examples

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


class Sender:
    """The socket of a retry queue: what it was asked to emit, and who waits for it."""

    def __init__(self) -> None:
        self.connected = True
        self.tries: list[tuple[int, str]] = []
        self.waiting: dict[int, AckCallback] = {}
        self.broken: set[str] = set()

    def emit_try(self, item: Retried, settle: AckCallback) -> int:
        assert self.connected, "emitted without a connection"
        if item.event in self.broken:
            raise EncodeError("it cannot be sent any more")
        ack_id = len(self.tries)
        self.tries.append((ack_id, item.event))
        self.waiting[ack_id] = settle
        return ack_id

    def forget(self, ack_id: int) -> None:
        del self.waiting[ack_id]

    @property
    def events(self) -> list[str]:
        return [event for _, event in self.tries]

    def answers(self, ack_id: int, *args: object) -> None:
        self.waiting[ack_id](list(args), None)

    def is_late(self, ack_id: int) -> None:
        self.waiting[ack_id](None, AckTimeout("late"))

    def disconnects(self) -> None:
        self.connected = False
        for settle in list(self.waiting.values()):
            settle(None, Disconnected("transport close"))


def retried(name: str, settle: AckCallback | None = None) -> Retried:
    return Retried(name, (), settle, None, compress=True)


def test_one_after_the_other() -> None:
    sender, outcomes = Sender(), [Outcomes() for _ in range(3)]
    queue = RetryQueue(3, sender)
    for number, settle in enumerate(outcomes):
        queue.add(retried(str(number), settle))
    assert sender.events == ["0"]
    sender.answers(0, "a")
    assert sender.events == ["0", "1"]
    sender.answers(1, "b")
    sender.answers(2, "c")
    assert [each.only for each in outcomes] == [(["a"], None), (["b"], None), (["c"], None)]
    assert not len(queue)
    assert not sender.waiting


def test_as_many_tries_as_were_asked_for() -> None:
    sender, outcomes = Sender(), Outcomes()
    queue = RetryQueue(2, sender)
    queue.add(retried("never", outcomes))
    queue.add(retried("next"))
    for ack_id in range(3):
        assert not outcomes.all
        sender.is_late(ack_id)
    assert sender.events == ["never"] * 3 + ["next"]
    assert isinstance(outcomes.only[1], AckTimeout)
    assert list(sender.waiting) == [3]


def test_a_late_answer_counts() -> None:
    sender, outcomes = Sender(), Outcomes()
    queue = RetryQueue(3, sender)
    queue.add(retried("slow", outcomes))
    sender.is_late(0)
    assert sender.events == ["slow", "slow"]
    sender.answers(0, "late")
    assert outcomes.only == (["late"], None)
    assert not sender.waiting, "nobody waits for the second try"
    assert not len(queue)


def test_a_lost_connection_costs_no_try() -> None:
    sender, outcomes = Sender(), Outcomes()
    queue = RetryQueue(0, sender)
    queue.add(retried("once", outcomes))
    for _ in range(5):
        sender.disconnects()
        queue.drain()
        sender.connected = True
        queue.drain()
    assert sender.events == ["once"] * 6
    sender.is_late(5)
    assert isinstance(outcomes.only[1], AckTimeout)


def test_without_a_connection() -> None:
    sender = Sender()
    sender.connected = False
    queue = RetryQueue(1, sender)
    queue.add(retried("first"))
    queue.add(retried("second"))
    assert not sender.tries
    sender.connected = True
    queue.drain()
    queue.drain()
    assert sender.events == ["first"]


def test_nobody_waits_any_more() -> None:
    sender, outcomes = Sender(), [Outcomes() for _ in range(3)]
    queue = RetryQueue(1, sender)
    for number, settle in enumerate(outcomes):
        queue.add(retried(str(number), settle))
    queue.cancel(outcomes[1])
    queue.cancel(outcomes[0])
    assert sender.events == ["0", "2"]
    assert list(sender.waiting) == [1]
    sender.answers(1)
    assert [len(each.all) for each in outcomes] == [0, 0, 1]


def test_giving_up() -> None:
    """Who waits is told; emits that nobody waits for are kept for the next connection."""
    sender, outcomes = Sender(), Outcomes()
    queue = RetryQueue(1, sender)
    queue.add(retried("kept"))
    queue.add(retried("told", outcomes))
    sender.disconnects()
    error = Disconnected("io client disconnect")
    queue.fail(error)
    assert outcomes.only == (None, error)
    assert len(queue) == 1
    sender.connected = True
    queue.drain()
    assert sender.events == ["kept", "kept"]


def test_what_cannot_be_sent_any_more(caplog: pytest.LogCaptureFixture) -> None:
    sender, outcomes = Sender(), Outcomes()
    queue = RetryQueue(1, sender)
    queue.add(retried("first"))
    queue.add(retried("broken", outcomes))
    queue.add(retried("last"))
    sender.broken.add("broken")
    sender.answers(0)
    assert isinstance(outcomes.only[1], EncodeError)
    assert sender.events == ["first", "last"]
    assert len(caplog.records) == 1


class RetryMachine(RuleBasedStateMachine):
    """Whatever happens: in order, one at a time, each settled once, none forgotten."""

    @initialize(retries=st.integers(0, 3))
    def begin(self, retries: int) -> None:
        self.retries = retries
        self.sender = Sender()
        self.queue = RetryQueue(retries, self.sender)
        self.outcomes: list[Outcomes] = []

    @rule()
    def add(self) -> None:
        outcomes = Outcomes()
        self.outcomes.append(outcomes)
        self.queue.add(retried(str(len(self.outcomes) - 1), outcomes))

    @precondition(lambda self: self.sender.waiting)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        ack_id = data.draw(st.sampled_from(sorted(self.sender.waiting)))
        self.sender.answers(ack_id, self.sender.tries[ack_id][1])

    @precondition(lambda self: self.sender.waiting and self.sender.connected)
    @rule()
    def be_late(self) -> None:
        self.sender.is_late(max(self.sender.waiting))

    @rule()
    def disconnect(self) -> None:
        self.sender.disconnects()

    @rule()
    def connect(self) -> None:
        if not self.sender.connected:
            self.sender.connected = True
            self.queue.drain()

    @precondition(lambda self: self.outcomes)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        which = data.draw(st.integers(0, len(self.outcomes) - 1))
        if not self.outcomes[which].all:
            self.queue.cancel(self.outcomes[which])
            self.outcomes[which].all.append((None, Disconnected("cancelled")))

    @invariant()
    def everybody_is_told_once_and_right(self) -> None:
        for number, outcomes in enumerate(self.outcomes):
            assert len(outcomes.all) <= 1
            if outcomes.all and outcomes.all[0][0] is not None:
                assert outcomes.all[0][0] == [str(number)]

    @invariant()
    def they_go_in_order(self) -> None:
        numbers = [int(event) for event in self.sender.events]
        assert numbers == sorted(numbers)

    @invariant()
    def only_the_first_is_under_way(self) -> None:
        open_ = [number for number, outcomes in enumerate(self.outcomes) if not outcomes.all]
        under_way = {int(self.sender.tries[ack_id][1]) for ack_id in self.sender.waiting}
        assert under_way <= set(open_[:1])
        assert len(self.queue) == len(open_)
        if self.sender.connected and open_:
            assert under_way == {open_[0]}

    def teardown(self) -> None:
        if hasattr(self, "sender"):
            self.connect()
            while self.sender.waiting:
                ack_id = max(self.sender.waiting)
                self.sender.answers(ack_id, self.sender.tries[ack_id][1])
            assert all(len(outcomes.all) == 1 for outcomes in self.outcomes)
            assert not len(self.queue)


RetryMachine.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=40)
TestRetries = RetryMachine.TestCase
