"""The command: `python -m benchmarks` (and `make bench`)."""

import argparse
import platform
import shlex
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks import build, generator
from benchmarks.comparison import Plan, compare
from benchmarks.contenders import CONTENDERS, ROOT, Contender, other_checkout
from benchmarks.errors import BenchmarkError
from benchmarks.report import Findings, as_json, page, terminal
from benchmarks.shapes import SHAPES, Shape
from benchmarks.surroundings import Neighbours, Surroundings

PLAN = Plan(cycles=7, fresh_cycles=3, seconds=0.8, settle=1.0)
QUICK = Plan(cycles=3, fresh_cycles=1, seconds=0.25, settle=0.3)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare what messages cost telex, Node's socket.io and python-socketio.",
    )
    parser.add_argument("--quick", action="store_true", help="few short slices: an impression")
    parser.add_argument("--full", action="store_true", help="10,000 connections, too")
    parser.add_argument(
        "--shapes",
        nargs="+",
        metavar="NAME",
        choices=[one.name for one in SHAPES],
        help=f"only these of: {', '.join(one.name for one in SHAPES)}",
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
    parser.add_argument("--cycles", type=int, help=f"turns of every server ({PLAN.cycles})")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where benchmarks.md, .json and .svg go; without it a run of all shapes and servers "
        "writes to docs, any other run to benchmarks/results",
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


def chosen_contenders(names: list[str] | None, against: Path | None) -> list[Contender]:
    """The servers of this run."""
    chosen = [one for one in CONTENDERS if names is None or one.name in names]
    if against is not None:
        chosen.append(other_checkout(against))
    return chosen


def command_line(words: Iterable[str]) -> str:
    """The command of this run as one would type it."""
    return shlex.join(["python", "-m", "benchmarks", *words])


def say(sentence: str) -> None:
    """Tell the person who waits."""
    print(f"• {sentence}", file=sys.stderr, flush=True)


def run() -> None:
    """Compare, print, write."""
    if platform.system() != "Linux":
        raise BenchmarkError("The load generator needs Linux: it uses epoll and process clocks.")
    arguments = parse_arguments()
    if arguments.build:
        print(build.compile_program(generator.SOURCE))
        return
    plan = QUICK if arguments.quick else PLAN
    if arguments.cycles is not None:
        if arguments.cycles < 1:
            raise BenchmarkError("--cycles takes a number of at least 1.")
        plan = replace(plan, cycles=arguments.cycles)
    contenders = chosen_contenders(arguments.servers, arguments.against)
    shapes = chosen_shapes(arguments.shapes, full=arguments.full)
    for contender in contenders:  # what is missing is said before anything is measured
        contender.command()
    versions = {one.name: one.versions() for one in contenders}
    partial = arguments.quick or arguments.shapes or arguments.servers or arguments.against
    folder: Path = arguments.output or (ROOT / ("benchmarks/results" if partial else "docs"))
    folder.mkdir(parents=True, exist_ok=True)

    surroundings = Surroundings.now()
    neighbours = Neighbours()
    outcomes = compare(contenders, shapes, plan, say)
    findings = Findings(
        contenders,
        versions,
        outcomes,
        plan,
        surroundings,
        neighbours.cores,
        command_line(sys.argv[1:]),
    )

    from benchmarks.plot import draw

    print(terminal(findings))
    (folder / "benchmarks.json").write_text(as_json(findings))
    (folder / "benchmarks.md").write_text(page(findings, "benchmarks.svg"))
    draw(findings, folder / "benchmarks.svg")
    say(f"benchmarks.md, benchmarks.json and benchmarks.svg are in {_short(folder)}")


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
