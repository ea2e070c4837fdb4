"""Tables and verdicts of a comparison, for the terminal and the pages; its JSON file."""

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.comparison import Outcome, Plan, Spread
from benchmarks.contenders import FLOOR, NODE, PYTHON_SOCKETIO, TELEX, Contender
from benchmarks.generator import Slice
from benchmarks.shapes import SHAPES
from benchmarks.surroundings import Surroundings

QUIET = 0.1
"""Cores that other processes may keep busy without a word about it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything one run has to say."""

    contenders: Sequence[Contender]
    versions: Mapping[str, str]
    """What each of them consisted of when the run began, by name."""
    outcomes: Sequence[Outcome]
    plan: Plan
    surroundings: Surroundings
    neighbours: float
    """Cores that other processes kept busy during the run."""
    command: str
    kept: Sequence[str] = ()
    """Titles of shapes that were measured earlier, in a run of their own."""
    kept_from: str = ""
    """Date and command of that run."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal beside what one server was measured at."""

    shape: str
    server: str
    """Its title."""
    goal: str
    measured: str
    reached: bool
    remark: str = ""


def figure(value: float) -> str:
    """Three digits that mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.1f}×" if value >= 10 else f"{value:.2f}×"


def _with_range(spread: Spread) -> str:
    limits = f"{times(spread.least)} to {times(spread.most)}".replace("× to", " to")
    return f"{times(spread.median)} ({limits})"


def verdicts(outcome: Outcome, judged: Contender = TELEX) -> Iterator[Verdict]:
    """The goals of one shape that this run could judge, for one telex."""
    goals, title = outcome.shape.goals, outcome.shape.title
    for other, goal in ((NODE, goals.node), (PYTHON_SOCKETIO, goals.python_socketio)):
        ratio = outcome.ratio(judged.name, other.name)
        if goal is None or ratio is None:
            continue
        # No server can do with less than the kernel takes.
        ceiling = outcome.ratio(FLOOR.name, other.name)
        barred = ceiling is not None and ceiling.median < goal
        yield Verdict(
            title,
            judged.title,
            f"{goal:g}× less than {other.title}" if goal > 1 else f"less than {other.title}",
            _with_range(ratio),
            ratio.median >= goal,
            f"kernel floor {times(ceiling.median)}" if barred and ceiling else "",
        )
    over_floor = outcome.ratio(FLOOR.name, judged.name)
    if goals.floor is not None and over_floor is not None:
        yield Verdict(
            title,
            judged.title,
            f"at most {goals.floor:g}× the kernel floor",
            _with_range(over_floor),
            over_floor.median <= goals.floor,
        )
    if goals.most is not None and judged.name in outcome.slices:
        cost = outcome.cost(judged.name)
        yield Verdict(
            title,
            judged.title,
            f"at most {figure(goals.most)} {outcome.shape.unit}",
            figure(cost.median),
            cost.median <= goals.most,
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, first_left: int = 1) -> str:
    """A Markdown table that can be read as it is; columns after `first_left` stand right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if i < first_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if i < first_left else "-" * (width - 1) + ":" for i, width in enumerate(widths)
    ]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def cost_table(contenders: Sequence[Contender], outcomes: Sequence[Outcome]) -> str:
    """What every shape costs every server; in brackets how many times less than Node."""
    rows: list[list[str]] = []
    present = [one for one in contenders if any(one.name in found.slices for found in outcomes)]
    for outcome in outcomes:
        row = [outcome.shape.title, outcome.shape.unit]
        for contender in present:
            if contender.name not in outcome.slices:
                row.append("")
                continue
            cell = figure(outcome.cost(contender.name).median)
            ratio = outcome.ratio(contender.name, NODE.name)
            # The floor keeps nothing per connection: a ratio of memory would say nothing.
            telling = contender is not NODE and not (contender is FLOOR and outcome.shape.memory)
            row.append(f"{cell} ({times(ratio.median)})" if ratio and telling else cell)
        rows.append(row)
    head = ["shape", "unit", *(one.title for one in present)]
    return table(head, rows, first_left=2)


def goal_table(found: Sequence[Verdict]) -> str:
    """Goals beside measurements, a column for every telex that was judged."""
    servers = list(dict.fromkeys(one.server for one in found))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in found:
        miss = f" **missed**{f'; {one.remark}' if one.remark else ''}"
        cell = one.measured + (" reached" if one.reached else miss)
        rows.setdefault((one.shape, one.goal), {})[one.server] = cell
    cells = [[*goal, *(row.get(server, "") for server in servers)] for goal, row in rows.items()]
    return table(["shape", "goal", *servers], cells, first_left=2 + len(servers))


def other_table(findings: Findings) -> str:
    """telex beside the telex of another checkout; empty without one."""
    other = next((one for one in findings.contenders if one.name == "telex-other"), None)
    rows: list[list[str]] = []
    for outcome in findings.outcomes:
        ratio = outcome.ratio(TELEX.name, other.name) if other else None
        if other and ratio:
            costs = [figure(outcome.cost(one).median) for one in (other.name, TELEX.name)]
            change = f"{(1 / ratio.median - 1) * 100:+.1f} %"
            limits = f"{(1 / ratio.most - 1) * 100:+.1f} to {(1 / ratio.least - 1) * 100:+.1f} %"
            rows.append([outcome.shape.title, *costs, change, limits])
    if not other or not rows:
        return ""
    return table(["shape", other.title, "telex here", "change", "over the cycles"], rows)


def all_verdicts(findings: Findings) -> list[Verdict]:
    """Every goal this run could judge."""
    judged = [one for one in findings.contenders if one.role in {"telex", "async"}]
    return [
        one
        for outcome in findings.outcomes
        for contender in judged
        for one in verdicts(outcome, contender)
    ]


def summary(found: Sequence[Verdict]) -> str:
    """How many goals are reached, in a sentence."""
    missed = [one for one in found if not one.reached]
    if not found:
        return "No goal could be judged: that takes telex and a server to compare with."
    if not missed:
        return f"All {len(found)} goals are reached."
    return f"{len(found) - len(missed)} of {len(found)} goals are reached, {len(missed)} missed."


def sections(findings: Findings) -> Iterator[tuple[str, list[Outcome]]]:
    """The shapes under their headings."""
    core = [one for one in findings.outcomes if one.shape.core]
    beyond = [one for one in findings.outcomes if not one.shape.core]
    if core:
        yield "Echo, fan-out and connections", core
    if beyond:
        yield "Rooms, attachments, long-polling and the rest", beyond


def disturbance(findings: Findings) -> str:
    """A warning if other processes were busy; empty on a quiet machine."""
    if findings.neighbours < QUIET:
        return ""
    return (
        f"Other processes kept {findings.neighbours:.1f} cores busy during the run: the costs are "
        f"higher than on a quiet machine, the ratios less certain.\n"
    )


def terminal(findings: Findings) -> str:
    """What `make bench` prints."""
    found = all_verdicts(findings)
    parts = [
        "Server CPU time in µs, memory in bytes; in brackets: how many times less than Node.",
        *(cost_table(findings.contenders, outcomes) for _, outcomes in sections(findings)),
        goal_table(found) if found else "",
        other_table(findings),
        disturbance(findings).strip(),
        summary(found),
    ]
    return "\n\n".join(part for part in parts if part)


def study_text(name: str, text: str, found: Sequence[Verdict], frame: Findings) -> str:
    """A study's tables and verdicts, and where they come from."""
    surroundings = frame.surroundings
    telex = next((one for one in frame.contenders if one.role == "telex"), None)
    commit = f" {frame.versions[telex.name].split(',')[0]};" if telex else ""
    source = (
        f"{surroundings.date},{commit} {surroundings.machine}; other processes used "
        f"{frame.neighbours:.2f} cores. Taken again by "
        f'`make bench BENCH_ARGS="--shapes {name}"`; everything is in `performance-{name}.json`.'
    )
    goals = [summary(found), goal_table(found)] if found else []
    return "\n\n".join([text, *goals, source])


def missed_goals(findings: Findings) -> str:
    """What a comparison has not reached, as a list."""
    found = all_verdicts(findings)
    missed: dict[tuple[str, str], list[str]] = {}
    for one in found:
        if not one.reached:
            measured = one.measured.split(" (", maxsplit=1)[0]
            remark = f" ({one.remark})" if one.remark else ""
            missed.setdefault((one.shape, one.goal + remark), []).append(f"{one.server} {measured}")
    lines = [f"- {shape}; {goal}: {'; '.join(all_)}" for (shape, goal), all_ in missed.items()]
    head = f"{findings.surroundings.date}: {summary(found)}"
    return "\n".join([head, "", *lines] if lines else [head])


def write_part(page: Path, name: str, text: str) -> None:
    """Put text between the marks of a page; a page without them begins with these parts."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = page.read_text() if page.exists() else ""
    part = f"{begin}\n\n{text}\n\n{end}"
    if begin in before and end in before:
        head, rest = before.split(begin, 1)
        page.write_text(head + part + rest.split(end, 1)[1])
    else:
        page.write_text(f"{before}{part}\n")


def _medians(slices: Sequence[Slice]) -> Slice:
    """The middle value of every field of some slices."""
    return {
        name: statistics.median(float(one[name]) for one in slices)
        for name, first in slices[0].items()
        if not isinstance(first, str)
    }


def as_json(findings: Findings) -> str:
    """Everything, every cycle included."""
    return to_json(
        {
            "command": findings.command,
            "plan": asdict(findings.plan),
            "surroundings": asdict(findings.surroundings),
            "neighbours": findings.neighbours,
            "versions": dict(findings.versions),
            "shapes": [
                {
                    "name": outcome.shape.name,
                    "title": outcome.shape.title,
                    "unit": outcome.shape.unit,
                    "cost": {name: asdict(outcome.cost(name)) for name in outcome.slices},
                    "times_less_than_node": {
                        name: asdict(ratio)
                        for name in outcome.slices
                        if (ratio := outcome.ratio(name, NODE.name)) and name != NODE.name
                    },
                    "goals": [
                        asdict(one)
                        for contender in findings.contenders
                        if contender.role in {"telex", "async"}
                        for one in verdicts(outcome, contender)
                    ],
                    "cycles": {name: outcome.figures(name) for name in outcome.slices},
                    "medians": {name: _medians(all_) for name, all_ in outcome.slices.items()},
                }
                for outcome in findings.outcomes
            ],
        }
    )


def earlier_outcomes(text: str) -> tuple[list[Outcome], str]:
    """The outcomes that a JSON file of `as_json` holds, and the date and command of its run."""
    document: dict[str, Any] = json.loads(text)
    shapes = {one.name: one for one in SHAPES}
    outcomes = [
        Outcome(
            shapes[one["name"]],
            {
                name: [{shapes[one["name"]].reads: value} for value in figures]
                for name, figures in one["cycles"].items()
            },
        )
        for one in document["shapes"]
        if one["name"] in shapes
    ]
    return outcomes, f"{document['surroundings']['date']}, `{document['command']}`"


def to_json(document: object) -> str:
    """JSON that people can read, too: innermost lists and objects stand in one line each."""
    text = json.dumps(_rounded(document), indent=1, ensure_ascii=False)
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda leaf: " ".join(leaf[0].split()), text) + "\n"


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_rounded(one) for one in cast("list[object]", value)]
    return value
