"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random

_MOST_DOUBLINGS = 64


class Backoff:
    """Delays that double from ``low`` to ``high``, each varied by ``jitter`` (0 to 1).

    JavaScript's clients all wait exactly ``high`` once they have reached it, and so come
    back in the same instant. Here every delay varies equally, at the cap too: the delay that
    is varied stops growing where the longest variation of it is ``high``.
    """

    __slots__ = ("attempts", "high", "jitter", "low")

    def __init__(self, low: float, high: float, jitter: float) -> None:
        self.low = low
        self.high = high
        self.jitter = jitter
        self.attempts = 0

    def next(self) -> float:
        """The delay before the next attempt, in seconds."""
        doubled = self.low * 2.0 ** min(self.attempts, _MOST_DOUBLINGS)
        self.attempts += 1
        middle = min(doubled, self.high / (1 + self.jitter))
        return min(middle * (1 + self.jitter * random.uniform(-1, 1)), self.high)

    def reset(self) -> None:
        """A connection has been made."""
        self.attempts = 0


class ReconnectionDelays:
    """The delays of a manager before it reconnects, which may be changed at any time."""

    _backoff: Backoff

    @property
    def reconnection_delay(self) -> float:
        """The first delay before reconnecting, in seconds."""
        return self._backoff.low

    @reconnection_delay.setter
    def reconnection_delay(self, seconds: float) -> None:
        self._backoff.low = seconds

    @property
    def reconnection_delay_max(self) -> float:
        """The longest delay before reconnecting, in seconds."""
        return self._backoff.high

    @reconnection_delay_max.setter
    def reconnection_delay_max(self, seconds: float) -> None:
        self._backoff.high = seconds

    @property
    def randomization_factor(self) -> float:
        """How much the delays vary, from 0 to 1."""
        return self._backoff.jitter

    @randomization_factor.setter
    def randomization_factor(self, factor: float) -> None:
        self._backoff.jitter = factor
