"""How long answers take: in an open loop, and while a broadcast to a crowd is under way."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparison import Cores, Report, all_running
from benchmarks.contenders import NODE, PYTHON_SOCKETIO, TELEX, Contender, RunningServer
from benchmarks.generator import Generator, Slice, driving
from benchmarks.report import Verdict, figure, table
from benchmarks.shapes import STUDIED, Shape
from benchmarks.studies.study import Scale, StudyFindings

LOADS = (0.1, 0.5, 0.9)
QUANTILES = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us"}
PROBES_PER_SECOND = 500

# One event of a client at a time, as in the open loop: what comes together costs less.
SATURATED = Shape(name="capacity", title="capacity", workload="echo", connections=100)
OPEN = Shape(name="open-loop", title="open loop", workload="echo", connections=100)
PROBE = Shape(name="probe", title="probe", workload="echo", connections=1, urgent=True)


@dataclass(slots=True)
class Latencies:
    """What one server was measured at."""

    capacity: list[float] = field(default_factory=list[float])
    """Events per second when as many as possible are in flight."""
    open_loop: dict[str, list[Slice]] = field(default_factory=dict[str, list[Slice]])
    """By name of the load."""
    broadcasts: list[Slice] = field(default_factory=list[Slice])
    probed: list[Slice] = field(default_factory=list[Slice])

    @property
    def events_per_second(self) -> float:
        """The capacity."""
        return statistics.median(self.capacity)

    def quantile(self, load: str, name: str) -> float:
        """A latency in µs, the median over the cycles."""
        return _median(self.open_loop[load], QUANTILES[name])


def _median(slices: Sequence[Slice], name: str) -> float:
    return statistics.median(float(one[name]) for one in slices)


def run(
    contenders: Sequence[Contender], scale: Scale, cores: Cores, report: Report
) -> StudyFindings:
    """Capacity first, then events at a share of it, then a probe beside broadcasts."""
    contenders = [one for one in contenders if one.role in STUDIED]
    found = {one.name: Latencies() for one in contenders}
    with all_running(contenders, cores) as servers:
        report("latency: capacity")
        _measure_capacity(servers, found, scale, cores)
        report("latency: open loop")
        _measure_open_loop(servers, found, scale, cores)
        report(f"latency: broadcasts to {scale.most:,}")
        # python-socketio comes last: when its crowd has left, it is busy for a minute.
        for server in sorted(servers, key=lambda one: one.contender is PYTHON_SOCKETIO):
            _measure_broadcasts(server, found[server.contender.name], scale, cores)
    return StudyFindings(
        text=_text(contenders, found, scale),
        verdicts=list(_verdicts(found, scale)),
        data={
            name: {
                "events_per_second": one.events_per_second,
                "open_loop": one.open_loop,
                "broadcasts": one.broadcasts,
                "probed": one.probed,
            }
            for name, one in found.items()
        },
        draw=lambda target, note: _draw(contenders, found, target, note),
    )


def _in_turn(generators: Sequence[Generator], cycles: int) -> Iterator[Generator]:
    for cycle in range(cycles):
        first = cycle % len(generators)
        yield from [*generators[first:], *generators[:first]]


def _measure_capacity(
    servers: Sequence[RunningServer], found: dict[str, Latencies], scale: Scale, cores: Cores
) -> None:
    with ExitStack() as stack:
        generators = [
            stack.enter_context(driving(one, SATURATED, cores.generators)) for one in servers
        ]
        for generator in generators:
            generator.run(scale.plan.seconds)
        for generator in _in_turn(generators, scale.plan.cycles):
            measured = generator.run(scale.plan.seconds)
            found[generator.server.contender.name].capacity.append(float(measured["per_second"]))


def _own(share: float) -> str:
    return f"{share:.0%} of its own"


def _as_node(share: float) -> str:
    return f"{share:.0%} of Node's"


def _loads(name: str, found: dict[str, Latencies]) -> dict[str, float]:
    """Events per second, by name of the load."""
    own = found[name].events_per_second
    loads = {_own(share): share * own for share in LOADS}
    if name == TELEX.name and NODE.name in found:
        theirs = found[NODE.name].events_per_second
        loads |= {_as_node(share): share * theirs for share in LOADS}
    return loads


def _measure_open_loop(
    servers: Sequence[RunningServer], found: dict[str, Latencies], scale: Scale, cores: Cores
) -> None:
    with ExitStack() as stack:
        generators = [
            stack.enter_context(driving(one, OPEN, cores.generators, rate=1000)) for one in servers
        ]
        # Clocks are less steady than CPU time: more rounds.
        for generator in _in_turn(generators, 2 * scale.plan.cycles - 1):
            name = generator.server.contender.name
            for load, rate in _loads(name, found).items():
                measured = generator.run(scale.seconds, rate)
                found[name].open_loop.setdefault(load, []).append(measured)


def _measure_broadcasts(
    server: RunningServer, found: Latencies, scale: Scale, cores: Cores
) -> None:
    crowd = Shape(name="crowd", title="crowd", workload="fanout", connections=scale.most)
    with (
        driving(server, crowd, cores.generators) as generator,
        driving(server, PROBE, cores.generators, rate=PROBES_PER_SECOND) as probe,
    ):
        generator.run(scale.plan.seconds)
        for _ in range(scale.plan.cycles):
            # The probe ends first: all of its time is a time of broadcasts.
            generator.begin(scale.seconds + 0.5)
            found.probed.append(probe.run(scale.seconds))
            found.broadcasts.append(generator.answer())


def _text(contenders: Sequence[Contender], found: dict[str, Latencies], scale: Scale) -> str:
    open_rows = [
        [
            contender.title,
            load,
            f"{_median(slices, 'rate'):,.0f}",
            *(figure(found[contender.name].quantile(load, name)) for name in QUANTILES),
        ]
        for contender in contenders
        for load, slices in found[contender.name].open_loop.items()
    ]
    beside_rows = [
        [
            contender.title,
            figure(_median(found[contender.name].broadcasts, "p50_us") / 1000),
            *(
                figure(_median(found[contender.name].probed, name) / 1000)
                for name in ("p50_us", "p99_us", "max_us")
            ),
        ]
        for contender in contenders
    ]
    head = [
        "server",
        "share of capacity",
        "events per second",
        *(f"{name}, µs" for name in QUANTILES),
    ]
    beside_head = ["server", "one broadcast, ms", "probe p50, ms", "p99, ms", "longest, ms"]
    return (
        f"Echo in an open loop, 100 clients:\n\n{table(head, open_rows, first_left=2)}\n\n"
        f"Another client's echo during broadcasts to {scale.most:,}:\n\n"
        f"{table(beside_head, beside_rows)}"
    )


def _verdicts(found: dict[str, Latencies], scale: Scale) -> Iterator[Verdict]:
    telex, node = found.get(TELEX.name), found.get(NODE.name)
    if telex is None:
        return
    same = {_as_node(share): _own(share) for share in LOADS}
    for load in telex.open_loop if node else ():
        theirs = same.get(load, load)
        for name in QUANTILES if node else ():
            ours, other = telex.quantile(load, name), node.quantile(theirs, name) if node else 0
            yield Verdict(
                f"latency: echo at {load} capacity",
                TELEX.title,
                f"{name} at most that of {NODE.title}",
                f"{figure(ours)} µs to {figure(other)} µs",
                ours <= other,
            )
    broadcast, probe = _median(telex.broadcasts, "p50_us"), _median(telex.probed, "p99_us")
    yield Verdict(
        f"latency: echo during broadcasts to {scale.most:,}",
        TELEX.title,
        "p99 at most half of a broadcast's duration",
        f"{figure(probe / 1000)} ms of {figure(broadcast / 1000)} ms",
        probe <= broadcast / 2,
    )


def _draw(
    contenders: Sequence[Contender], found: dict[str, Latencies], target: Path, note: str
) -> None:
    from benchmarks.plot import canvas, curves

    with canvas(
        target, "How long an echo takes", note, rows=1, columns=3, width=12, height=4.2
    ) as panels:
        for axes, quantile in zip(panels, QUANTILES, strict=True):
            lines = {
                one.name: (
                    one.title,
                    [
                        (
                            share * found[one.name].events_per_second,
                            found[one.name].quantile(_own(share), quantile),
                        )
                        for share in LOADS
                    ],
                )
                for one in contenders
            }
            curves(
                axes,
                lines,
                title=f"{quantile} in µs",
                axis="events per second: 10, 50, 90 % of capacity",
            )
