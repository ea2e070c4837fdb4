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
