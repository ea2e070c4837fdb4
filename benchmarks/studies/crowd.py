"""What ten thousand idle clients cost, and what happens when they go and come back at once."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.comparison import Cores, Plan, Report
from benchmarks.contenders import NODE, PYTHON_SOCKETIO, TELEX, Contender, running
from benchmarks.control import control
from benchmarks.generator import driving
from benchmarks.report import Verdict, figure, table, times
from benchmarks.shapes import STUDIED, Shape
from benchmarks.studies.study import Scale, StudyFindings

MOST_BYTES = 8192
MOST_HEARTBEAT = 1.0
MOST_STALL = 250


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table."""

    name: str
    title: str


MEASURES = (
    Measure("bytes", "bytes per idle connection"),
    Measure("connect_us", "connecting, µs of CPU each"),
    Measure("heartbeat_us", "a heartbeat, µs of CPU"),
    Measure("heartbeat_percent", "heartbeats of all, % of a core"),
    Measure("leave_us", "all clients leave, µs of CPU each"),
    Measure("leave_seconds", "… seconds until the server rests"),
    Measure("storm_seconds", "all reconnect at once, seconds"),
    Measure("storm_retries", "… connections that failed and were dialled again"),
    Measure("storm_us", "… µs of CPU each"),
    Measure("storm_stall_ms", "… longest stall of the loop, ms"),
    Measure("kick_us", "the server disconnects all, µs of CPU each"),
    Measure("kick_seconds", "… seconds until it rests"),
    Measure("kick_stall_ms", "… longest stall of the loop, ms"),
)


def run(
    contenders: Sequence[Contender], scale: Scale, cores: Cores, report: Report
) -> StudyFindings:
    """Visit a fresh process of every server, as often as the plan says."""
    contenders = [one for one in contenders if one.role in STUDIED]
    found: dict[str, list[dict[str, float]]] = {one.name: [] for one in contenders}
    for visit in range(scale.plan.fresh_cycles):
        for contender in contenders:
            report(f"crowd of {scale.most:,}, {contender.title}, {visit + 1}")
            found[contender.name].append(_visit(contender, scale, scale.plan, cores))
    medians = {
        name: {
            measure.name: statistics.median(visit[measure.name] for visit in visits)
            for measure in MEASURES
        }
        for name, visits in found.items()
    }
    rows = [
        [measure.title, *(figure(medians[one.name][measure.name]) for one in contenders)]
        for measure in MEASURES
    ]
    head = [f"{scale.most:,} clients", *(one.title for one in contenders)]
    return StudyFindings(
        text=table(head, rows),
        verdicts=list(_verdicts(medians, scale)),
        data=found,
        draw=lambda target, note: _draw(contenders, medians, target, note),
    )


def _visit(contender: Contender, scale: Scale, plan: Plan, cores: Cores) -> dict[str, float]:
    crowd = Shape(
        name="crowd",
        title="crowd",
        workload="connect",
        connections=scale.most,
        namespace="/crowd",
        auth='{"token":"secret"}',
    )
    interval = ["--ping-interval", str(scale.ping_interval)]
    with running(contender, cores.servers, interval) as server, control(server) as asking:
        with driving(server, replace(crowd, connections=10), cores.generators, settle=0) as few:
            few.run(0)  # loads what is loaded on first use
        with driving(server, crowd, cores.generators, settle=plan.settle) as generator:
            up = generator.ask("up")
            # Every client gets one heartbeat in an interval.
            rest = generator.ask(f"rest {scale.ping_interval}")
            down = generator.ask("down")
            asking.watch()
            storm = generator.ask(f"up {scale.most}")
            storm_stall = asking.longest_stall()
            asking.watch()
            kick = generator.ask("kick")
            kick_stall = asking.longest_stall()
    heartbeat = float(rest["cpu_us"])
    return {
        "bytes": float(up["bytes_per_connection"]),
        "connect_us": float(up["cpu_us"]),
        "heartbeat_us": heartbeat,
        "heartbeat_percent": float(rest["server_busy"]) * 100,
        "leave_us": float(down["close_cpu_us"]),
        "leave_seconds": float(down["close_seconds"]),
        "storm_seconds": float(storm["seconds"]),
        "storm_retries": float(storm["dialed_again"]),
        "storm_us": float(storm["cpu_us"]),
        "storm_stall_ms": storm_stall,
        "kick_us": float(kick["close_cpu_us"]),
        "kick_seconds": float(kick["close_seconds"]),
        "kick_stall_ms": kick_stall,
    }


def _verdicts(medians: dict[str, dict[str, float]], scale: Scale) -> Iterator[Verdict]:
    if TELEX.name not in medians:
        return
    ours, title = medians[TELEX.name], f"crowd of {scale.most:,}"
    for name, goal, what, unit in (
        ("bytes", MOST_BYTES, "bytes per idle connection", ""),
        ("heartbeat_percent", MOST_HEARTBEAT, "% of a core for heartbeats", " %"),
        ("storm_stall_ms", MOST_STALL, "ms of stall in a reconnect storm", " ms"),
    ):
        reached = ours[name] <= goal
        goal_text = f"at most {figure(goal)} {what}"
        yield Verdict(title, TELEX.title, goal_text, f"{figure(ours[name])}{unit}", reached)
    for other, goal in ((NODE, 2), (PYTHON_SOCKETIO, 5)):
        if other.name in medians:
            share = medians[other.name]["bytes"] / max(ours["bytes"], 1)  # ten clients take none
            goal_text = f"{goal}× fewer bytes per idle connection than {other.title}"
            yield Verdict(title, TELEX.title, goal_text, times(share), share >= goal)


def _draw(
    contenders: Sequence[Contender], medians: dict[str, dict[str, float]], target: Path, note: str
) -> None:
    from benchmarks.plot import bars, canvas

    shown = [one for one in MEASURES if not one.title.endswith(("rests", "again"))]
    rows = -(-len(shown) // 2)
    with canvas(
        target, "A crowd of idle clients", note, rows=rows, columns=2, width=12, height=1.7 * rows
    ) as panels:
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        group = ""
        for axes, measure in zip(panels, shown, strict=False):
            if not measure.title.startswith("…"):
                group = measure.title.split(",")[0]
            title = measure.title.replace("…", f"{group}:")
            figures = {one.name: (one.title, medians[one.name][measure.name]) for one in contenders}
            bars(axes, figures, title=title)
