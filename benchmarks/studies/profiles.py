"""Where telex spends its time in some shapes: `perf` for the parts, `py-spy` for the functions."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import Cores, Report
from benchmarks.contenders import TELEX, Contender, RunningServer, running
from benchmarks.errors import BenchmarkError
from benchmarks.generator import Generator, driving
from benchmarks.report import table
from benchmarks.shapes import SHAPES
from benchmarks.studies.study import Scale, StudyFindings

PROFILED = (
    "echo",
    "echo-8",
    "fanout-1000",
    "fanout-100-8",
    "rooms",
    "typed",
    "binary",
    "polling",
    "reconnect-2000",
)
FUNCTIONS = 5

# What a part is called, by the beginning of the name of the file that the code is in.
PARTS = {
    "[kernel": "kernel",
    "[vdso": "kernel",
    "python": "interpreter",
    "libpython": "interpreter",
    "_telex": "telex, compiled",
    "orjson": "JSON",
    "_core": "JSON",
    "msgspec": "JSON",
    "loop": "uvloop",
    "picows": "picows",
    "parser": "httptools",
    "libc": "libc",
}
REST = "rest"
ORDER = (*dict.fromkeys(PARTS.values()), REST)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time went in one shape."""

    parts: dict[str, float]
    """Per cent of the samples."""
    functions: list[tuple[str, float]]
    """Python functions with what they call in C and in the kernel, the most expensive first."""


def can_run() -> bool:
    """Whether this machine has what profiles need."""
    return bool(shutil.which("perf") and _py_spy())


def _py_spy() -> str | None:
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


def run(
    contenders: Sequence[Contender], scale: Scale, cores: Cores, report: Report
) -> StudyFindings:
    """Profile telex in some shapes."""
    perf, py_spy = shutil.which("perf"), _py_spy()
    if perf is None or py_spy is None:
        raise BenchmarkError(
            "Profiles need `perf` (of the Linux tools) and `py-spy` (a Python package)."
        )
    profiles: dict[str, Profile] = {}
    shapes = {one.name: one for one in SHAPES}
    with running(TELEX, cores.servers) as server:
        for name in PROFILED:
            report(f"profile, {shapes[name].title}")
            with driving(server, shapes[name], cores.generators, settle=0.1) as generator:
                generator.run(scale.plan.seconds)
                profiles[shapes[name].title] = Profile(
                    _parts(perf, server, generator, scale.seconds),
                    _functions(py_spy, server, generator, scale.seconds),
                )
    shown = [part for part in ORDER if any(part in one.parts for one in profiles.values())]
    rows = [
        [title, *(f"{one.parts.get(part, 0):.0f} %" for part in shown)]
        for title, one in profiles.items()
    ]
    lists = "\n".join(
        f"- {title}: {', '.join(f'`{name}` {share:.0f} %' for name, share in one.functions)}"
        for title, one in profiles.items()
    )
    return StudyFindings(
        text=f"{table(['shape', *shown], rows)}\n\nThe Python functions that take most, with the C "
        f"and kernel code they call:\n\n{lists}",
        verdicts=[],
        data={
            title: {"parts": one.parts, "functions": dict(one.functions)}
            for title, one in profiles.items()
        },
        draw=lambda target, note: _draw(profiles, shown, target, note),
    )


def _sample(command: Sequence[str], generator: Generator) -> None:
    """Let a profiler run while there is load."""
    with tempfile.TemporaryFile("w+") as said:
        profiler = subprocess.Popen(command, stdout=said, stderr=said, text=True)
        while profiler.poll() is None:
            generator.run(0.2)
        if profiler.returncode:
            said.seek(0)
            raise BenchmarkError(f"`{Path(command[0]).name}` failed: {said.read().strip()[-300:]}")


def _parts(
    perf: str, server: RunningServer, generator: Generator, seconds: float
) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="telex-bench-") as folder:
        data = str(Path(folder) / "perf.data")
        pid = str(server.process.pid)
        record = [perf, "record", "-e", "cpu-clock", "-F", "999", "-p", pid, "-o", data]
        _sample([*record, "--", "sleep", str(seconds)], generator)
        done = subprocess.run(
            [perf, "report", "-i", data, "--stdio", "--sort", "dso"],
            capture_output=True,
            text=True,
            check=True,
        )
    return read_parts(done.stdout)


def read_parts(text: str) -> dict[str, float]:
    """Per cent by part, from a report of `perf` that is sorted by file."""
    parts: dict[str, float] = {}
    for share, file in re.findall(r"^ +([0-9.]+)% +(\S+)", text, re.MULTILINE):
        part = next((part for name, part in PARTS.items() if file.startswith(name)), REST)
        parts[part] = parts.get(part, 0) + float(share)
    return parts


def _functions(
    py_spy: str, server: RunningServer, generator: Generator, seconds: float
) -> list[tuple[str, float]]:
    with tempfile.TemporaryDirectory(prefix="telex-bench-") as folder:
        stacks = Path(folder) / "stacks"
        pid, duration = str(server.process.pid), str(max(1, round(seconds)))
        record = [py_spy, "record", "-p", pid, "-d", duration, "-r", "500", "-f", "raw"]
        _sample([*record, "-o", str(stacks)], generator)
        return read_functions(stacks.read_text())


def read_functions(text: str) -> list[tuple[str, float]]:
    """The functions at the ends of folded stacks, with their share in per cent."""
    ends: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        function = stack.rpartition(";")[2]
        match = re.fullmatch(r"(\S+) \((?:.*/)?([\w.]+?)(?::\d+)?\)", function)
        ends[f"{match[2]}: {match[1]}" if match else function] += int(count)
    total = max(sum(ends.values()), 1)
    return [(name, 100 * count / total) for name, count in ends.most_common(FUNCTIONS)]


def _draw(profiles: dict[str, Profile], shown: Sequence[str], target: Path, note: str) -> None:
    from benchmarks.plot import canvas, shares

    height = 0.42 * len(profiles) + 1.6
    with canvas(
        target, "Where telex spends its time", note, rows=1, columns=1, width=12, height=height
    ) as (axes,):
        shares(axes, {title: one.parts for title, one in profiles.items()}, shown)
