"""Whether memory is flat, judged by samples; and if not, what has grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

TOLERANCE = 0.05
LEAST = 2048


class Sample(NamedTuple):
    """What a server said: ``minute`` since the start, ``rss`` in KB, its objects by type."""

    minute: float
    rss: int
    objects: int
    blocks: int
    kinds: dict[str, int]


class Verdict(NamedTuple):
    """``growth`` in KB per minute over the last half; what has grown, if it is not flat."""

    flat: bool
    growth: float
    causes: list[str]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second value grows with each one of the first (least squares)."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    square = sum((x - mean_x) ** 2 for x, _ in points)
    if not square:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / square


def judge(samples: Sequence[Sample]) -> Verdict:
    """The verdict on a server: memory is flat if the last half grows by no more than a trifle.

    A trifle is 5 percent, or 2 MB.
    """
    late = samples[len(samples) // 2 :]
    growth = slope([(sample.minute, sample.rss) for sample in late])
    grown = growth * (late[-1].minute - late[0].minute)
    flat = grown <= max(LEAST, TOLERANCE * late[0].rss)
    return Verdict(flat, growth, [] if flat else causes(late))


def causes(late: Sequence[Sample]) -> list[str]:
    """The types whose objects have become more, steadily; the allocator if none has."""
    first, last = late[0], late[-1]
    grown: list[tuple[float, str]] = []
    for kind in last.kinds:
        more = last.kinds[kind] - first.kinds.get(kind, 0)
        if more > max(200, 0.1 * last.kinds[kind]):
            grown.append((more, f"{more:+,d} {kind}"))
    if grown:
        return [text for _, text in sorted(grown, reverse=True)[:8]]
    if last.blocks > 1.05 * first.blocks:
        return [f"{last.blocks - first.blocks:+,d} blocks of Python's allocator, of no one type"]
    return ["no more Python objects than before: the allocator's free memory, or compiled code"]


def line(name: str, samples: Sequence[Sample], verdict: Verdict, notes: dict[str, Any]) -> str:
    """What is printed about a server."""
    first, last = samples[0], samples[-1]
    middle = samples[len(samples) // 2]
    word = "flat" if verdict.flat else "GROWS"
    said = ", ".join(f"{value:,} {what}" for what, value in notes.items())
    text = (
        f"{name:24} {word:6} {first.rss / 1024:6.1f} → {middle.rss / 1024:6.1f} →"
        f" {last.rss / 1024:6.1f} MB, {verdict.growth / 1024:+.2f} MB a minute; {said}"
    )
    return "\n".join([text, *(f"    {cause}" for cause in verdict.causes)])
