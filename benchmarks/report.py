"""Tables, verdicts and files: what a comparison found, for people and for programs."""

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from benchmarks.comparison import Outcome, Plan, Spread
from benchmarks.contenders import FLOOR, NODE, PYTHON_SOCKETIO, TELEX, Contender
from benchmarks.generator import Slice
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal beside what was measured."""

    shape: str
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
    return f"{times(spread.median)} ({times(spread.least)} to {times(spread.most)})"


def verdicts(outcome: Outcome) -> Iterator[Verdict]:
    """The goals of one shape that this run could judge."""
    goals, title = outcome.shape.goals, outcome.shape.title
    for other, goal in ((NODE, goals.node), (PYTHON_SOCKETIO, goals.python_socketio)):
        ratio = outcome.ratio(TELEX.name, other.name)
        if goal is None or ratio is None:
            continue
        # No server can do with less than the kernel takes.
        ceiling = outcome.ratio(FLOOR.name, other.name)
        barred = ceiling is not None and ceiling.median < goal
        yield Verdict(
            title,
            f"{goal:g}× less than {other.title}",
            _with_range(ratio),
            ratio.median >= goal,
            f"the kernel floor is at {times(ceiling.median)}" if barred and ceiling else "",
        )
    over_floor = outcome.ratio(FLOOR.name, TELEX.name)
    if goals.floor is not None and over_floor is not None:
        yield Verdict(
            title,
            f"at most {goals.floor:g}× the kernel floor",
            _with_range(over_floor),
            over_floor.median <= goals.floor,
        )
    if goals.most is not None and TELEX.name in outcome.slices:
        cost = outcome.cost(TELEX.name)
        yield Verdict(
            title,
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


def cost_table(findings: Findings) -> str:
    """What every shape costs every server; in brackets how many times less than Node."""
    rows: list[list[str]] = []
    for outcome in findings.outcomes:
        row = [outcome.shape.title, outcome.shape.unit]
        for contender in findings.contenders:
            cell = figure(outcome.cost(contender.name).median)
            ratio = outcome.ratio(contender.name, NODE.name)
            # The floor keeps nothing per connection: a ratio of memory would say nothing.
            telling = contender is not NODE and not (contender is FLOOR and outcome.shape.memory)
            row.append(f"{cell} ({times(ratio.median)})" if ratio and telling else cell)
        rows.append(row)
    head = ["shape", "unit", *(one.title for one in findings.contenders)]
    return table(head, rows, first_left=2)


def goal_table(found: Sequence[Verdict]) -> str:
    """Goals beside measurements."""
    rows = [
        [
            one.shape,
            one.goal,
            one.measured,
            "reached" if one.reached else f"**missed**{f'; {one.remark}' if one.remark else ''}",
        ]
        for one in found
    ]
    return table(["shape", "goal for telex", "measured", "verdict"], rows, first_left=4)


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
    return [one for outcome in findings.outcomes for one in verdicts(outcome)]


def summary(found: Sequence[Verdict]) -> str:
    """How many goals are reached, in a sentence."""
    missed = [one for one in found if not one.reached]
    if not found:
        return "No goal could be judged: that takes telex and a server to compare with."
    if not missed:
        return f"All {len(found)} goals are reached."
    return f"{len(found) - len(missed)} of {len(found)} goals are reached, {len(missed)} missed."


def _disturbance(findings: Findings) -> str:
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
        cost_table(findings),
        goal_table(found) if found else "",
        other_table(findings),
        _disturbance(findings).strip(),
        summary(found),
    ]
    return "\n\n".join(part for part in parts if part)


def page(findings: Findings, plot: str) -> str:
    """The page for the documentation."""
    plan, surroundings = findings.plan, findings.surroundings
    versions = "\n".join(
        f"- {one.title}: {findings.versions[one.name]}" for one in findings.contenders
    )
    found = all_verdicts(findings)
    other = other_table(findings)
    return f"""# Benchmarks

How much of a core a message costs the server, for telex, Node's socket.io and python-socketio.

![Server CPU time per message in each shape]({plot})

{_disturbance(findings)}
## Costs

In brackets: how many times less than Node.

{cost_table(findings)}

## Goals

{summary(found)}

{goal_table(found) if found else ""}
{f"{chr(10)}## Against another checkout{chr(10)}{chr(10)}{other}{chr(10)}" if other else ""}
## How it is measured

- All servers are alive at once, pinned to one core; the load generator (`benchmarks/loadgen.c`:
  raw sockets, one thread) runs on another. Servers are driven in turn, in slices of
  {plan.seconds:g} s; one round warms up, then the counted ones follow ({plan.cycles}).
- The figure is the CPU time of the server process and its descendants, user and kernel, from the
  kernel's process clock, divided by the messages of the slice. Costs are medians over the rounds;
  ratios are medians of the ratios within each round. Wall-clock figures of a shared machine drift,
  these do not.
- A message is an event with its acknowledgement (echo), one delivery to one client (fan-out), or
  one connection that has joined its namespace, HTTP upgrade included (connect). All clients use the
  WebSocket transport; a broadcast carries 64 bytes. Connections are opened 64 at a time.
- A fresh process has had ten connections before (rounds: {plan.fresh_cycles}); "again" is a
  process that has had as many before, whose code is compiled and whose memory is in use.
- Memory is the growth of the resident set of a fresh process, read {plan.settle:g} s after the last
  connection has joined.
- The kernel floor is a server in C that answers this load and does nothing else
  (`benchmarks/servers/floor_server.c`): what the system calls cost on this machine. It bounds every
  ratio: where a goal lies beyond it, the verdict says where it stands.
- Every server runs with its default options. python-socketio runs under uvicorn with uvloop,
  httptools and websockets-sansio, telex under uvicorn and uvloop. "telex" has plain functions as
  handlers and the fast WebSocket path; "async handlers" has coroutines; "plain ASGI" is the same
  application under uvicorn without the fast path.

## Where, when and with what

- Date: {surroundings.date}
- Machine: {surroundings.machine}; other processes used {findings.neighbours:.2f} cores
- {surroundings.python}
{versions}
- Command: `{findings.command}`

Take them yourself: `make bench` (`make bench BENCH_ARGS=--quick` for a first impression,
`BENCH_ARGS=--help` for the rest). Every cycle is in `{Path(plot).with_suffix(".json").name}`.
"""


def _medians(slices: Sequence[Slice]) -> Slice:
    """The middle value of every field of some slices."""
    return {
        name: statistics.median(float(one[name]) for one in slices)
        for name, first in slices[0].items()
        if not isinstance(first, str)
    }


def as_json(findings: Findings) -> str:
    """Everything, every cycle included."""
    document = {
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
                "goals": [asdict(one) for one in verdicts(outcome)],
                "cycles": {name: outcome.figures(name) for name in outcome.slices},
                "medians": {name: _medians(all_) for name, all_ in outcome.slices.items()},
            }
            for outcome in findings.outcomes
        ],
    }
    text = json.dumps(_rounded(document), indent=1, ensure_ascii=False)
    # Innermost lists and objects stand in one line each.
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda leaf: " ".join(leaf[0].split()), text) + "\n"


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_rounded(one) for one in cast("list[object]", value)]
    return value
