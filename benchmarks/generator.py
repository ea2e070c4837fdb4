"""Load generators: one process of `loadgen` per server, driven slice by slice."""

import collections.abc
import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.build import compile_program
from benchmarks.contenders import RunningServer, pinned_to
from benchmarks.errors import BenchmarkError
from benchmarks.shapes import Shape

SOURCE = Path(__file__).resolve().parent / "load"

Slice = dict[str, float | str]
"""What `loadgen` says about one slice: its JSON object."""


def program() -> Path:
    """The load generator, compiled."""
    return compile_program("loadgen", SOURCE)


@dataclass(frozen=True, slots=True)
class Generator:
    """Has its connections to one server open and waits for commands."""

    process: subprocess.Popen[str]
    server: RunningServer
    shape: Shape

    def run(self, seconds: float, rate: float | None = None) -> Slice:
        """One slice of load, or one round of connections for the workload `connect`."""
        self.begin(seconds, rate)
        return self.answer()

    def begin(self, seconds: float, rate: float | None = None) -> None:
        """Begin what `run` does; its result is the next answer."""
        if self.shape.workload == "connect":
            self._say("open")
        else:
            self._say(f"run {seconds}" if rate is None else f"run {seconds} {rate}")

    def ask(self, command: str) -> Slice:
        """Give a command and wait for its answer."""
        self._say(command)
        return self.answer()

    def _say(self, command: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer, or its absence, says what happened

    def answer(self) -> Slice:
        """The next line of the generator."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.server.check()
            raise BenchmarkError(
                f"The load generator failed on the server {self.server.contender.name} with the "
                f"shape {self.shape.name}; what it said stands above."
            )
        answer: Slice = json.loads(line)
        return answer


@contextmanager
def driving(
    server: RunningServer,
    shape: Shape,
    core: int | None,
    *,
    settle: float = 1.0,
    rate: float | None = None,
) -> collections.abc.Generator[Generator]:
    """Connect a generator to a server; it leaves afterwards."""
    command = [
        str(program()),
        *shape.generator_arguments,
        "--driven",
        *("--port", str(server.port), "--pid", str(server.process.pid)),
        *("--settle", str(settle), "--patience", "180"),
        *(() if rate is None else ("--rate", str(rate))),
    ]
    with pinned_to(core):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    try:
        generator = Generator(process, server, shape)
        generator.answer()
        yield generator
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
