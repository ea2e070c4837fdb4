"""How costs grow with recipients, rooms, namespaces and connections."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.comparison import Cores, Outcome, Report, all_running, compare_alive
from benchmarks.contenders import PYTHON_SOCKETIO, TELEX, Contender
from benchmarks.report import Verdict, figure, table, times
from benchmarks.shapes import BARE, RIVALS, Shape
from benchmarks.studies.study import Scale, StudyFindings

COUNTS = (10, 30, 100, 300, 1000, 3000, 10_000)
DECADES = (10, 100, 1000, 10_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A cost against a number."""

    name: str
    title: str
    axis: str
    counts: Sequence[int]
    goal: float
    """From `since` on, the largest count may cost telex this many times the smallest."""
    since: int = 10

    def shape(self, count: int, leavers: int = 500) -> Shape:
        """The load at one count; so many clients leave where it is about leaving."""
        name, title = f"{self.name}-{count}", f"{self.title}: {count:,}"
        emits = Shape(
            name=name,
            title=title,
            workload="fanout",
            connections=100,
            window=8,
            roles=RIVALS,
        )
        leaves = replace(
            emits,
            workload="connect",
            connections=leavers,
            rooms=leavers,
            members=10,
            window=1,
            reads="close_cpu_us",
        )
        if self.name == "recipients":
            return replace(emits, connections=count, window=1, roles=BARE)
        if self.name == "emits-rooms":
            return replace(emits, rooms=10, members=10, setup={"rooms": count})
        if self.name == "emits-namespaces":
            return replace(emits, namespace="/n", namespaces=10, setup={"namespaces": count})
        if self.name == "leaving-rooms":
            return replace(leaves, setup={"rooms": count})
        if self.name == "leaving-namespaces":
            return replace(leaves, setup={"namespaces": count})
        return replace(leaves, connections=count, rooms=0, members=1)


def all_series(most: int) -> list[Series]:
    """What is looked at, up to a size."""
    counts = [count for count in COUNTS if count <= most]
    decades = [count for count in DECADES if count <= most]
    return [
        Series(
            name="recipients",
            title="a delivery",
            axis="recipients of a broadcast",
            counts=counts,
            goal=1.5,
            since=min(100, counts[-1]),
        ),
        Series(
            name="emits-rooms",
            title="a delivery to a room of 10",
            axis="rooms",
            counts=decades,
            goal=1.25,
        ),
        Series(
            name="emits-namespaces",
            title="a delivery in a namespace of 10",
            axis="namespaces",
            counts=decades,
            goal=1.25,
        ),
        Series(
            name="leaving-rooms",
            title="a disconnect from ten rooms",
            axis="rooms",
            counts=decades,
            goal=1.25,
        ),
        Series(
            name="leaving-namespaces",
            title="a disconnect",
            axis="namespaces",
            counts=decades,
            goal=1.25,
        ),
        Series(
            name="leaving-crowd",
            title="a disconnect when all disconnect",
            axis="connections",
            counts=[count for count in decades if count >= min(100, decades[-1])],
            goal=1.5,
            since=min(100, decades[-1]),
        ),
    ]


def run(
    contenders: Sequence[Contender], scale: Scale, cores: Cores, report: Report
) -> StudyFindings:
    """Measure every series."""
    contenders = [one for one in contenders if one.role in BARE]
    series = all_series(scale.most)
    found: dict[str, dict[int, Outcome]] = {one.name: {} for one in series}
    work = [
        (one, count, one.shape(count, min(500, 2 * scale.most)))
        for one in series
        for count in one.counts
    ]
    # Servers keep their namespaces: what wants few comes before what wants many.
    work.sort(key=lambda item: item[2].setup.get("namespaces", 0))
    with all_running(contenders, cores) as servers:
        for one, count, shape in work:
            report(f"growth, {shape.title} {one.axis}")
            # Slow servers take a second for ten thousand deliveries.
            seconds = max(scale.plan.seconds, 2 * shape.connections / 10_000)
            cycles = min(scale.plan.cycles, 2) if shape.connections > 1000 else scale.plan.cycles
            plan = replace(scale.plan, seconds=seconds, cycles=cycles)
            taking_part = [server for server in servers if can_take(server.contender, shape)]
            found[one.name][count] = compare_alive(taking_part, shape, plan, cores)
    return StudyFindings(
        text="\n\n".join(_text(one, found[one.name], contenders) for one in series),
        verdicts=[verdict for one in series for verdict in _verdicts(one, found[one.name])],
        data={one.name: _data(one, found[one.name]) for one in series},
        draw=lambda target, note: _draw(series, found, contenders, target, note),
    )


def can_take(contender: Contender, shape: Shape) -> bool:
    """python-socketio needs a minute after thousands have left, and answers nobody meanwhile."""
    return contender.name != PYTHON_SOCKETIO.name or shape.connections <= 1000


def _present(outcomes: dict[int, Outcome], contenders: Sequence[Contender]) -> list[Contender]:
    some = next(iter(outcomes.values()))
    return [one for one in contenders if one.name in some.slices]


def _text(one: Series, outcomes: dict[int, Outcome], contenders: Sequence[Contender]) -> str:
    present = _present(outcomes, contenders)
    rows = [
        [
            f"{count:,}",
            *(
                figure(outcome.cost(server.name).median) if server.name in outcome.slices else ""
                for server in present
            ),
        ]
        for count, outcome in sorted(outcomes.items())
    ]
    head = [one.axis, *(server.title for server in present)]
    return f"Server CPU in µs for {one.title}:\n\n{table(head, rows, first_left=0)}"


def _verdicts(one: Series, outcomes: dict[int, Outcome]) -> Iterator[Verdict]:
    counts = [count for count in sorted(outcomes) if count >= one.since]
    first, last = outcomes[counts[0]], outcomes[counts[-1]]
    if TELEX.name not in first.slices:
        return
    grown = last.cost(TELEX.name).median / first.cost(TELEX.name).median
    yield Verdict(
        f"growth: {one.title}",
        TELEX.title,
        f"with {counts[-1]:,} {one.axis} at most {one.goal:g}× the cost with {counts[0]:,}",
        times(grown),
        grown <= one.goal,
    )


def _data(one: Series, outcomes: dict[int, Outcome]) -> object:
    return {
        "title": one.title,
        "axis": one.axis,
        "cost": {
            str(count): {name: asdict(outcome.cost(name)) for name in outcome.slices}
            for count, outcome in sorted(outcomes.items())
        },
    }


def _draw(
    series: Sequence[Series],
    found: dict[str, dict[int, Outcome]],
    contenders: Sequence[Contender],
    target: Path,
    note: str,
) -> None:
    from benchmarks.plot import canvas, curves

    with canvas(target, "How costs grow", note, rows=3, columns=2, width=12, height=12) as panels:
        for axes, one in zip(panels, series, strict=True):
            outcomes = found[one.name]
            lines = {
                server.name: (
                    server.title,
                    [
                        (count, outcome.cost(server.name).median)
                        for count, outcome in sorted(outcomes.items())
                        if server.name in outcome.slices
                    ],
                )
                for server in _present(outcomes, contenders)
            }
            curves(axes, lines, title=f"µs for {one.title}", axis=one.axis)
