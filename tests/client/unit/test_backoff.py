"""How long a client waits before it tries again."""

from __future__ import annotations

import math

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
        wanted = min(low * 2**attempt, high)
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
    delays: list[float] = []
    for _ in range(200):
        backoff = Backoff(1, 5, 0.5)
        delays.append([backoff.next() for _ in range(20)][-1])
    assert len(set(delays)) > 190
    assert max(delays) <= 5
    assert min(delays) < 3
    assert 3.4 < sum(delays) / len(delays) < 4.1


def test_a_million_attempts() -> None:
    backoff = Backoff(1, 5, 0.5)
    backoff.attempts = 1_000_000
    assert 2.5 <= backoff.next() <= 5
    endless = Backoff(1, math.inf, 0)
    endless.attempts = 1_000_000
    assert endless.next() < math.inf
