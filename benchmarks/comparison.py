"""The comparison itself: servers alive at once, driven in turn, ratios within each turn."""

import os
import resource
import statistics
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from benchmarks.contenders import Contender, RunningServer, running
from benchmarks.control import control
from benchmarks.errors import BenchmarkError
from benchmarks.generator import Generator as LoadGenerator
from benchmarks.generator import Slice, driving
from benchmarks.shapes import Shape

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much is measured."""

    cycles: int
    """Turns of every server in every shape; one more comes first and is not counted."""
    fresh_cycles: int
    """Turns of the shapes that need a fresh process each."""
    seconds: float
    """Length of a slice."""
    settle: float
    """Rest of idle connections before the memory is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A figure over the cycles."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise one value per cycle."""
        return cls(median=statistics.median(values), least=min(values), most=max(values))


@dataclass(slots=True)
class Outcome:
    """What one shape cost each server, cycle by cycle."""

    shape: Shape
    slices: dict[str, list[Slice]] = field(default_factory=dict[str, list[Slice]])
    """By name of the contender."""

    def figures(self, name: str) -> list[float]:
        """The shape's figure in every cycle."""
        # What costs less than can be measured costs a little: ratios need a divisor.
        return [max(float(one[self.shape.reads]), 0.001) for one in self.slices[name]]

    def cost(self, name: str) -> Spread:
        """What it cost this server."""
        return Spread.of(self.figures(name))

    def ratio(self, name: str, other: str) -> Spread | None:
        """How many times less it cost this server than the other, in the same cycle."""
        if name not in self.slices or other not in self.slices:
            return None
        pairs = zip(self.figures(name), self.figures(other), strict=True)
        return Spread.of([theirs / ours for ours, theirs in pairs])


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the servers and the core of the generators; `None`: not pinned."""

    servers: int | None
    generators: int | None

    @classmethod
    def available(cls) -> "Cores":
        """Two of the cores this process may use, if it may use two."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[1]) if len(cores) > 1 else cls(None, None)


def raise_file_limit() -> None:
    """Let this process and its children open as many connections as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def compare(
    contenders: Sequence[Contender], shapes: Sequence[Shape], plan: Plan, report: Report
) -> list[Outcome]:
    """Measure every contender in every shape."""
    raise_file_limit()
    cores = Cores.available()
    found: dict[str, Outcome] = {}
    alive = [shape for shape in shapes if not shape.fresh]
    for parser in sorted({shape.parser for shape in alive}):
        alike = [shape for shape in alive if shape.parser == parser]
        arguments = [] if parser == "json" else ["--parser", parser]
        taking_part = [one for one in contenders if any(one.role in it.roles for it in alike)]
        with all_running(taking_part, cores, arguments) as servers:
            for shape in alike:
                report(shape.title)
                found[shape.name] = compare_alive(servers, shape, plan, cores)
    fresh = [shape for shape in shapes if shape.fresh]
    for connections in sorted({shape.connections for shape in fresh}):
        # One visit to a fresh process tells both what connecting and what resting costs.
        alike = [shape for shape in fresh if shape.connections == connections]
        report(", ".join(shape.title for shape in alike))
        slices = _visit_fresh(contenders, alike[0], plan, cores)
        found.update({shape.name: Outcome(shape, slices) for shape in alike})
    return [found[shape.name] for shape in shapes]


@contextmanager
def all_running(
    contenders: Sequence[Contender], cores: Cores, arguments: Sequence[str] = ()
) -> Generator[list[RunningServer]]:
    """Have servers alive at once."""
    with ExitStack() as stack:
        yield [stack.enter_context(running(one, cores.servers, arguments)) for one in contenders]


def compare_alive(
    servers: Sequence[RunningServer], shape: Shape, plan: Plan, cores: Cores
) -> Outcome:
    """Slices in turn; who begins changes, so that no server always follows the same one."""
    servers = [server for server in servers if server.contender.role in shape.roles]
    outcome = Outcome(shape, {server.contender.name: [] for server in servers})
    with ExitStack() as stack:
        for server in servers if shape.setup else ():
            # Whoever asked for rooms holds them until the end.
            stack.enter_context(control(server)).setup(shape.setup)
        generators = [
            stack.enter_context(driving(server, shape, cores.generators, settle=0.2))
            for server in servers
        ]
        for generator in generators:
            generator.run(plan.seconds)
        for cycle in range(plan.cycles):
            first = cycle % len(generators)
            for generator in generators[first:] + generators[:first]:
                measured = _telling_slice(generator, plan.seconds)
                outcome.slices[generator.server.contender.name].append(measured)
    return outcome


def _telling_slice(generator: LoadGenerator, seconds: float) -> Slice:
    """A slice with messages in it; on a crowded machine a short one may have none."""
    for _ in range(5):
        measured = generator.run(seconds)
        if float(measured["messages"]) > 0:
            return measured
    raise BenchmarkError(
        f"The server {generator.server.contender.name} answered nothing in five slices of "
        f"{seconds:g} s: the machine is too busy to measure anything."
    )


def _visit_fresh(
    contenders: Sequence[Contender], shape: Shape, plan: Plan, cores: Cores
) -> dict[str, list[Slice]]:
    """A process of its own for every reading: memory that was used once is used again."""
    contenders = [one for one in contenders if one.role in shape.roles]
    slices: dict[str, list[Slice]] = {one.name: [] for one in contenders}
    first_visit = replace(shape, connections=10)
    for _ in range(plan.fresh_cycles):
        for contender in contenders:
            with running(contender, cores.servers) as server:
                # Loads what is loaded on first use.
                with driving(server, first_visit, cores.generators, settle=0) as generator:
                    generator.run(0)
                with driving(server, shape, cores.generators, settle=plan.settle) as generator:
                    slices[contender.name].append(generator.run(0))
    return slices
