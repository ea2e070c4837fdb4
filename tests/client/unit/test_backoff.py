"""How long a client waits before it tries again."""

from __future__ import annotations

import math
import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from telex.client.backoff import Backoff

SECONDS = st.floats(0.001, 1000)


@given(low=SECONDS, high=SECONDS, jitter=st.floats(0, 1), attempts=st.integers(1, 100))
def test_the_bounds(low: float, high: float, jitter: float, attempts: int) -> None:
    backoff = Backoff(low, high, jitter)
    for attempt in range(attempts):
        assert backoff.attempts == attempt
        delay = backoff.next()
        wanted = min(low * 2**attempt, high / (1 + jitter))
        assert wanted * (1 - jitter) * (1 - 1e-9) <= delay <= high
        assert delay <= wanted * (1 + jitter) * (1 + 1e-9)


def test_delays_double() -> None:
    backoff = Backoff(1, 10, 0)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert backoff.attempts == 6
    backoff.reset()
    assert (backoff.attempts, backoff.next()) == (0, 1)


def test_clients_come_back_at_different_times_however_long_they_wait() -> None:
    """JavaScript's clients all wait exactly the longest delay."""
    random.seed(7)
    for attempt in range(12):
        gaps: list[float] = []
        for _ in range(300):
            backoff = Backoff(1, 5, 0.5)
            backoff.attempts = attempt
            gaps.append(backoff.next())
        assert max(gaps) <= 5
        assert statistics.stdev(gaps) >= 0.2 * statistics.mean(gaps)
        if attempt >= 2:
            busiest = max(sum(start <= gap < start + 0.25 for gap in gaps) for start in gaps)
            assert busiest <= 0.15 * len(gaps), f"too many at once in attempt {attempt}"


def test_a_million_attempts() -> None:
    backoff = Backoff(1, 5, 0.5)
    backoff.attempts = 1_000_000
    assert 5 / 3 <= backoff.next() <= 5
    endless = Backoff(1, math.inf, 0)
    endless.attempts = 1_000_000
    assert endless.next() < math.inf
