"""Load generators: one process of `loadgen.c` per server, driven slice by slice."""

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

SOURCE = Path(__file__).resolve().parent / "loadgen.c"

Slice = dict[str, float | str]
"""What `loadgen` says about one slice: its JSON object."""


@dataclass(frozen=True, slots=True)
class Generator:
    """Has its connections to one server open and waits for commands."""

    process: subprocess.Popen[str]
    server: RunningServer
    shape: Shape

    def run(self, seconds: float) -> Slice:
        """One slice of load, or one round of connections for the workload `connect`."""
        command = "open" if self.shape.workload == "connect" else f"run {seconds}"
        return self._ask(command)

    def _ask(self, command: str) -> Slice:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer, or its absence, says what happened
        return self.answer()

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
    server: RunningServer, shape: Shape, core: int | None, *, settle: float = 1.0
) -> collections.abc.Generator[Generator]:
    """Connect a generator to a server; it leaves afterwards."""
    command = [
        str(compile_program(SOURCE)),
        shape.workload,
        "--driven",
        *("--port", str(server.port), "--pid", str(server.process.pid)),
        *("--connections", str(shape.connections), "--window", str(shape.window)),
        *("--settle", str(settle)),
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
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
