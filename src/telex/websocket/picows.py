"""A logger for picows, which would make one for every connection."""

from __future__ import annotations

from collections.abc import Callable


class Silence:
    """A logger for picows: what there is to say is said in events."""

    name = "picows"

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that logging has
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _say_nothing


def _say_nothing(*args: object, **kwargs: object) -> None:
    """What a silent logger does."""


SILENCE = Silence()
