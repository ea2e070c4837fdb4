"""`python -m benchmarks.micro [FLOOR …] [options of pyperf]`: what every step costs."""

import argparse
import importlib
from typing import Any

from benchmarks.micro.floors import FLOORS

# The package has no type information.
pyperf: Any = importlib.import_module("pyperf")


def main() -> None:
    """Run the floors that are named, or all; pyperf starts its own processes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.micro",
        description="What single steps of telex cost, floor by floor.",
    )
    parser.add_argument("floors", nargs="*", metavar="FLOOR", help=f"of {', '.join(FLOORS)}")

    def pass_on(command: list[str], arguments: argparse.Namespace) -> None:
        command.extend(arguments.floors)

    runner = pyperf.Runner(
        _argparser=parser,
        add_cmdline_args=pass_on,
        program_args=("-m", "benchmarks.micro"),
    )
    arguments = runner.parse_args()
    unknown = [name for name in arguments.floors if name not in FLOORS]
    if unknown:
        parser.error(f"there is no floor {unknown[0]!r}: there are {', '.join(FLOORS)}")
    for name in arguments.floors or FLOORS:
        for title, step in FLOORS[name]().items():
            runner.bench_func(f"{name}: {title}", step)


if __name__ == "__main__":
    main()
