"""What all studies have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import Cores, Plan, Report
from benchmarks.contenders import Contender
from benchmarks.report import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How large a study is."""

    plan: Plan
    most: int
    """Recipients, rooms, namespaces, and connections of a crowd."""
    ping_interval: float
    """Of the crowd's servers, in seconds."""
    seconds: float
    """Length of a slice in which latencies are taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFindings:
    """What one study has to say."""

    text: str
    """Tables for the documentation and the terminal."""
    verdicts: Sequence[Verdict]
    data: object
    """Everything, for the JSON file."""
    draw: Callable[[Path, str], None]
    """Draws the plot to a file, with a note below it."""


Study = Callable[[Sequence[Contender], Scale, Cores, Report], StudyFindings]
