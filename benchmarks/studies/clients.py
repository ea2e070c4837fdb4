"""What a client costs: one busy connection, and a thousand quiet ones in one process."""

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison import Cores, Report
from benchmarks.contenders import ROOT, TELEX, Contender, pinned_to, running
from benchmarks.errors import BenchmarkError
from benchmarks.report import Verdict, figure, table, times
from benchmarks.studies.study import Scale, StudyFindings


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table: an order for the clients, and which of its figures counts."""

    title: str
    order: str
    figure: str


@dataclass(frozen=True, slots=True)
class Client:
    """One client of the comparison."""

    name: str
    title: str
    command: tuple[str, ...]
    switch: str = ""


Found = dict[str, dict[str, list[dict[str, float]]]]
"""What the clients have answered: by order, by client."""


class RunningClient:
    """A client process that waits for orders."""

    def __init__(self, client: Client, process: subprocess.Popen[str]) -> None:
        self.client = client
        self._process = process
        self.expect("READY")

    def ask(self, order: str) -> dict[str, float]:
        """Give an order; the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self.expect("{"))
        return answer

    def expect(self, beginning: str) -> str:
        """The next line that begins so."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(beginning):
                return line
        raise BenchmarkError(f"The client {self.client.name} has ended; its words are above.")


def clients() -> list[Client]:
    """The clients of the comparison."""
    node = shutil.which("node")
    if node is None:
        raise BenchmarkError("Node is missing: install `node` (20 or later) to compare with it.")
    script = str(ROOT / "benchmarks" / "clients" / "node_client.js")
    python = (sys.executable, "-m")
    return [
        Client("node", "JavaScript, socket.io-client", (node, "--expose-gc", script)),
        Client(
            "python-socketio",
            "python-socketio",
            (*python, "benchmarks.clients.python_socketio_client"),
        ),
        Client("telex", "telex", (*python, "benchmarks.clients.telex_client")),
        Client(
            "telex-uvloop",
            "telex on uvloop",
            (*python, "benchmarks.clients.telex_client"),
            "--uvloop",
        ),
    ]


@contextmanager
def started(client: Client, port: int, core: int | None) -> Generator[RunningClient]:
    """Start a client, and end it afterwards."""
    with pinned_to(core):
        process = subprocess.Popen(
            [*client.command, f"http://127.0.0.1:{port}", client.switch],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        yield RunningClient(client, process)
    finally:
        process.kill()
        process.communicate()


def measures(scale: Scale) -> list[Measure]:
    """The rows of the table; a quick run asks for less."""
    total = 400 * max(1, scale.most // 1000)
    crowd = max(10, scale.most // 10)
    return [
        Measure("echo, 1 in flight, µs of CPU", f"echo websocket 1 {total}", "cpu_us"),
        Measure("… answers per second", f"echo websocket 1 {total}", "per_second"),
        Measure("echo, 8 in flight, µs of CPU", f"echo websocket 8 {total}", "cpu_us"),
        Measure("… answers per second", f"echo websocket 8 {total}", "per_second"),
        Measure("long-polling, 8 in flight, µs of CPU", f"echo polling 8 {total}", "cpu_us"),
        Measure(f"{crowd:,} clients, bytes each", f"crowd {crowd}", "bytes"),
        Measure("… connecting, µs of CPU each", f"crowd {crowd}", "cpu_us"),
    ]


def run(
    contenders: Sequence[Contender], scale: Scale, cores: Cores, report: Report
) -> StudyFindings:
    """All clients are alive at once and work in turn, against one telex server."""
    del contenders  # they are servers
    rows = measures(scale)
    cycles = max(scale.plan.cycles, 1)
    found: Found = {}
    orders = list(dict.fromkeys(row.order for row in rows))
    with running(TELEX, cores.servers) as server, ExitStack() as stack:
        alive = [
            stack.enter_context(started(client, server.port, cores.generators))
            for client in clients()
        ]
        for order in orders:
            if order.startswith("crowd"):
                continue
            for turn in range(cycles + 1):
                for client in alive:
                    report(f"{client.client.title}: {order}, {turn}")
                    answer = client.ask(order)
                    if turn:  # the first one warms up
                        _add(found, order, client.client, answer)
    for order in orders:
        if order.startswith("crowd"):
            for one in clients():
                report(f"{one.title}: {order}")
                _add(found, order, one, _fresh(one, order, cores))
    medians = {
        (row.order, row.figure): {
            name: statistics.median(answer[row.figure] for answer in answers)
            for name, answers in found[row.order].items()
        }
        for row in rows
    }
    titles = [client.title for client in clients()]
    lines = [
        [
            row.title,
            *(figure(medians[row.order, row.figure][client.name]) for client in clients()),
        ]
        for row in rows
    ]
    return StudyFindings(
        text=table(["one client process", *titles], lines),
        verdicts=[_verdict(row, medians[row.order, row.figure]) for row in rows],
        data=found,
        draw=lambda target, note: _draw(rows, medians, target, note),
    )


def _add(found: Found, order: str, client: Client, answer: dict[str, float]) -> None:
    found.setdefault(order, {}).setdefault(client.name, []).append(answer)


def _fresh(client: Client, order: str, cores: Cores) -> dict[str, float]:
    """What a new process answers: memory that an old one has at hand says nothing."""
    with (
        running(TELEX, cores.servers) as server,
        started(client, server.port, cores.generators) as alive,
    ):
        return alive.ask(order)


def _verdict(row: Measure, medians: dict[str, float]) -> Verdict:
    share = max(medians["node"], 1) / max(medians["telex"], 1)  # ten clients may take no memory
    goal = "no more than JavaScript's client"
    if row.figure == "per_second":
        share = 1 / share
        goal = "at least as many as JavaScript's client"
    return Verdict(_whole_title(row), TELEX.title, goal, times(share), share >= 1)


def _whole_title(row: Measure) -> str:
    """A title that does not need those above it."""
    if not row.title.startswith("…"):
        return row.title
    return f"{row.order.rpartition(' ')[0]}: {row.title.removeprefix('… ')}"


def _draw(rows: Sequence[Measure], medians: Any, target: Path, note: str) -> None:
    from benchmarks.plot import bars, canvas

    height = -(-len(rows) // 2)
    with canvas(
        target, "One client process", note, rows=height, columns=2, width=12, height=1.7 * height
    ) as panels:
        for axes in panels[len(rows) :]:
            axes.set_axis_off()
        for axes, row in zip(panels, rows, strict=False):
            figures = {
                client.name: (client.title, medians[row.order, row.figure][client.name])
                for client in clients()
            }
            bars(axes, figures, title=_whole_title(row))
