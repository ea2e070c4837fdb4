"""The command: `python -m benchmarks` (and `make bench`)."""

import argparse
import platform
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import generator
from benchmarks.comparison import Cores, Plan, compare, raise_file_limit
from benchmarks.contenders import (
    CONTENDERS,
    ROOT,
    Contender,
    available,
    other_checkout,
    other_python,
)
from benchmarks.errors import BenchmarkError
from benchmarks.pages import details, overview, overview_contenders
from benchmarks.report import (
    Findings,
    as_json,
    earlier_outcomes,
    missed_goals,
    sections,
    study_text,
    terminal,
    to_json,
    write_part,
)
from benchmarks.shapes import SHAPES, Shape
from benchmarks.studies import STUDIES, Scale, StudyFindings
from benchmarks.studies.profiles import can_run as can_profile
from benchmarks.surroundings import Neighbours, Surroundings

PLAN = Plan(cycles=5, fresh_cycles=3, seconds=0.8, settle=1.0)
QUICK = Plan(cycles=3, fresh_cycles=1, seconds=0.25, settle=0.3)
SCALE = Scale(
    plan=replace(PLAN, cycles=3, fresh_cycles=1), most=10_000, ping_interval=25, seconds=2
)
QUICK_SCALE = Scale(
    plan=replace(QUICK, cycles=1, seconds=0.1), most=100, ping_interval=0.5, seconds=0.2
)
PLOT = "benchmarks.svg"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare the CPU time per message of Socket.IO servers: telex, socket.io on "
        "Node and on Bun, python-socketio, socketioxide.",
    )
    parser.add_argument("--quick", action="store_true", help="few short slices: an impression")
    parser.add_argument(
        "--full", action="store_true", help="10,000 connections and the studies, too"
    )
    names = [*(one.name for one in SHAPES), *STUDIES]
    parser.add_argument(
        "--shapes",
        nargs="+",
        metavar="NAME",
        choices=names,
        help=f"only these of: {', '.join(names)}; the last {len(STUDIES)} are studies, whose "
        "tables go to performance.md",
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        metavar="NAME",
        choices=[one.name for one in CONTENDERS],
        help=f"only these of: {', '.join(one.name for one in CONTENDERS)}",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="compare with the telex of another checkout in the same run",
    )
    parser.add_argument(
        "--python",
        type=Path,
        nargs="+",
        default=[],
        metavar="INTERPRETER",
        help="telex on other Pythons as well: interpreters that have what telex needs",
    )
    parser.add_argument("--cycles", type=int, help=f"turns of every server ({PLAN.cycles})")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where the pages, plots and JSON files go; without it a run of all shapes and "
        "servers writes to docs, any other run to benchmarks/results",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="measure the shapes of --shapes again and keep the others of the folder's "
        "benchmarks.json; their servers must be the same",
    )
    parser.add_argument(
        "--build", action="store_true", help="only compile the load generator and say where it is"
    )
    return parser.parse_args()


def chosen_shapes(names: list[str] | None, *, full: bool) -> list[Shape]:
    """The shapes of this run."""
    if names is None:
        return [one for one in SHAPES if full or not one.large]
    return [one for one in SHAPES if one.name in names]


def chosen_studies(names: list[str] | None, *, full: bool) -> list[str]:
    """The studies of this run; what a client costs is part of every whole one."""
    if names is not None:
        return [one for one in STUDIES if one in names]
    return [one for one in STUDIES if full and (one != "profiles" or can_profile())] or ["clients"]


def chosen_contenders(arguments: argparse.Namespace) -> list[Contender]:
    """The servers of this run: those of `--servers`, or all that this machine can run."""
    names: list[str] | None = arguments.servers
    if names is None:
        chosen = available(CONTENDERS, say)
    else:
        chosen = [one for one in CONTENDERS if one.name in names]
    for interpreter in arguments.python:
        chosen += other_python(interpreter)
    if arguments.against is not None:
        chosen.append(other_checkout(arguments.against))
    return chosen


def command_line(words: Iterable[str]) -> str:
    """The command of this run as one would type it; interpreters go by their names."""
    short = [Path(word).name if word.startswith("/") else word for word in words]
    return shlex.join(["python", "-m", "benchmarks", *short])


def say(sentence: str) -> None:
    """Tell the person who waits."""
    print(f"• {sentence}", file=sys.stderr, flush=True)


def run() -> None:
    """Compare, print, write."""
    if platform.system() != "Linux":
        raise BenchmarkError("The load generator needs Linux: it uses epoll and process clocks.")
    arguments = parse_arguments()
    if arguments.build:
        print(generator.program())
        return
    plan = QUICK if arguments.quick else PLAN
    if arguments.cycles is not None:
        if arguments.cycles < 1:
            raise BenchmarkError("--cycles takes a number of at least 1.")
        plan = replace(plan, cycles=arguments.cycles)
    contenders = chosen_contenders(arguments)
    shapes = chosen_shapes(arguments.shapes, full=arguments.full)
    studies = chosen_studies(arguments.shapes, full=arguments.full)
    for contender in contenders:  # what is missing is said before anything is measured
        contender.command()
    versions = {one.name: one.versions() for one in contenders}
    partial = arguments.quick or arguments.shapes or arguments.servers or arguments.against
    folder: Path = arguments.output or (ROOT / ("benchmarks/results" if partial else "docs"))
    folder.mkdir(parents=True, exist_ok=True)
    frame = Findings(
        contenders, versions, [], plan, Surroundings.now(), 0, command_line(sys.argv[1:])
    )
    if shapes:
        neighbours = Neighbours()
        outcomes = compare(contenders, shapes, plan, say)
        findings = replace(frame, outcomes=outcomes, neighbours=neighbours.cores)
        _publish(_with_earlier(findings, folder) if arguments.update else findings, folder)
    for name in studies:
        scale = QUICK_SCALE if arguments.quick else SCALE
        neighbours = Neighbours()
        raise_file_limit()
        found = STUDIES[name](contenders, scale, Cores.available(), say)
        now = replace(frame, surroundings=Surroundings.now(), neighbours=neighbours.cores)
        _publish_study(name, found, now, folder)
    say(f"what was written is in {_short(folder)}")


def _with_earlier(findings: Findings, folder: Path) -> Findings:
    """The findings of this run among those of an earlier one."""
    source = folder / "benchmarks.json"
    if not source.exists():
        raise BenchmarkError(f"There is nothing to update: {_short(source)} is missing.")
    before, origin = earlier_outcomes(source.read_text())
    fresh = {one.shape.name: one for one in findings.outcomes}
    kept = [one.shape.title for one in before if one.shape.name not in fresh]
    order = [one.name for one in SHAPES]
    merged = {one.shape.name: one for one in before} | fresh
    outcomes = sorted(merged.values(), key=lambda one: order.index(one.shape.name))
    return replace(findings, outcomes=outcomes, kept=kept, kept_from=origin)


def _publish(findings: Findings, folder: Path) -> None:
    from benchmarks.plot import draw

    print(terminal(findings))
    plots: list[str] = []
    for place, (_, outcomes) in enumerate(sections(findings)):
        plots.append("benchmarks-beyond.svg" if place or not outcomes[0].shape.core else PLOT)
        draw(overview_contenders(findings), outcomes, findings.surroundings, folder / plots[-1])
    (folder / "benchmarks.json").write_text(as_json(findings))
    (folder / "benchmarks.md").write_text(overview(findings, plots))
    (folder / "benchmarks-details.md").write_text(details(findings))
    write_part(folder / "performance.md", "goals", missed_goals(findings))


def _publish_study(name: str, found: StudyFindings, frame: Findings, folder: Path) -> None:
    print(f"\n{study_text(name, found.text, found.verdicts, frame)}")
    where = {
        "command": frame.command,
        "surroundings": asdict(frame.surroundings),
        "neighbours": frame.neighbours,
        "versions": dict(frame.versions),
    }
    goals = [asdict(one) for one in found.verdicts]
    document = {**where, "goals": goals, "found": found.data}
    (folder / f"performance-{name}.json").write_text(to_json(document))
    plot = f"performance-{name}.svg"
    note = f"{frame.surroundings.processor}, {frame.surroundings.date}"
    found.draw(folder / plot, note)
    text = f"![{name}]({plot})\n\n{study_text(name, found.text, found.verdicts, frame)}"
    write_part(folder / "performance.md", name, text)


def _short(folder: Path) -> str:
    resolved = folder.resolve()
    return str(resolved.relative_to(ROOT) if resolved.is_relative_to(ROOT) else resolved)


def main() -> int:
    """Run, and turn what is missing into a sentence."""
    try:
        run()
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
