"""Fixtures of the tests on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support.doubles import VirtualClock
from tests.support.loops import VirtualLoop


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1000)


@pytest.fixture
def make_loop(clock: VirtualClock) -> Iterator[Callable[[], VirtualLoop]]:
    """Makes loops that share a clock."""
    loops: list[VirtualLoop] = []
    with ExitStack() as stack:

        def make() -> VirtualLoop:
            loops.append(stack.enter_context(closing(VirtualLoop(clock))))
            return loops[-1]

        yield make
    assert [loop.failures for loop in loops] == [[]] * len(loops)


@pytest.fixture
def loop(make_loop: Callable[[], VirtualLoop]) -> VirtualLoop:
    return make_loop()
