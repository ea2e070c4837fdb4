"""Targets of broadcasts."""

from __future__ import annotations

from telex.adapter.base import Adapter, BroadcastTarget
from telex.adapter.memory import InMemoryAdapter
from tests.support.doubles import RecordingHost


class TestTarget:
    def test_nothing_said_means_everybody(self) -> None:
        target = BroadcastTarget()
        assert target.rooms is None
        assert (target.excluded, target.volatile, target.local) == (frozenset(), False, False)
        assert target.compress

    def test_what_is_said(self) -> None:
        target = BroadcastTarget(
            frozenset("a"), frozenset("b"), volatile=True, local=True, compress=False
        )
        assert (target.rooms, target.excluded) == (frozenset("a"), frozenset("b"))
        assert (target.volatile, target.local, target.compress) == (True, True, False)


def test_the_adapter_in_memory_is_one() -> None:
    adapter: Adapter = InMemoryAdapter(RecordingHost())
    assert adapter.rooms() == {}
