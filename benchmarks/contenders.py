"""The servers that are compared: what each needs, and how it is started and ended."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.build import compile_program
from benchmarks.errors import BenchmarkError
from benchmarks.shapes import Role

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ROOT / "benchmarks" / "servers"
PEERS = ROOT / "peers"
TELEX_SERVER = "benchmarks.servers.telex_server"


@dataclass(frozen=True, slots=True)
class Contender:
    """One server of the comparison."""

    name: str
    title: str
    role: Role
    command: Callable[[], list[str]]
    """The command that starts it; raises BenchmarkError when something it needs is missing."""
    versions: Callable[[], str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def _python_packages(*names: str) -> str:
    try:
        return ", ".join(f"{name} {version(name)}" for name in names)
    except PackageNotFoundError as error:
        raise BenchmarkError(
            f"The Python package {error.name} is missing here: `make venv` installs it."
        ) from None


def _floor_command() -> list[str]:
    return [str(compile_program("floor_server", SERVERS / "floor_server.c"))]


def _node_command() -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise BenchmarkError("Node is missing: install `node` (20 or later) to compare with it.")
    if not (PEERS / "node_modules" / "socket.io").is_dir():
        raise BenchmarkError(
            "The npm package socket.io is missing in peers/node_modules: `make peers` installs it."
        )
    return [node, str(SERVERS / "node_server.js")]


def _node_versions() -> str:
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    parts = [f"Node {node.stdout.strip().removeprefix('v')}"]
    for package in ("socket.io", "ws"):
        manifest = PEERS / "node_modules" / package / "package.json"
        parts.append(f"{package} {json.loads(manifest.read_text())['version']}")
    return ", ".join(parts)


def _python_socketio_command() -> list[str]:
    _python_packages("python-socketio", "uvicorn", "uvloop", "httptools", "websockets")
    return [sys.executable, "-m", "benchmarks.servers.python_socketio_server"]


def _telex_command(*arguments: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        _python_packages("telex")
        return [sys.executable, "-m", TELEX_SERVER, *arguments]

    return command


def _commit_of(checkout: Path) -> str:
    """The commit of a checkout, and whether its sources differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    if not commit:
        return "no commit"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return f"commit {commit}{' with changes' if changed else ''}"


def _telex_versions(checkout: Path, *packages: str) -> Callable[[], str]:
    return lambda: f"{_commit_of(checkout)}, {_python_packages('uvicorn', 'uvloop', *packages)}"


NODE = Contender("node", "Node, socket.io", "rival", _node_command, _node_versions)
PYTHON_SOCKETIO = Contender(
    "python-socketio",
    "python-socketio",
    "rival",
    _python_socketio_command,
    lambda: _python_packages("python-socketio", "uvicorn", "uvloop", "httptools", "websockets"),
)


def _whole_telex_versions() -> str:
    compiled = importlib.util.find_spec("telex.native._telex") is not None
    part = "with" if compiled else "without"
    return f"{_telex_versions(ROOT, 'picows')()}, {part} its compiled part"


TELEX = Contender("telex", "telex", "telex", _telex_command(), _whole_telex_versions)
FLOOR = Contender(
    "floor",
    "kernel floor (C)",
    "floor",
    _floor_command,
    lambda: "benchmarks/servers/floor_server.c",
)

CONTENDERS = (
    FLOOR,
    NODE,
    PYTHON_SOCKETIO,
    TELEX,
    Contender(
        "telex-async",
        "telex, async handlers",
        "async",
        _telex_command("--handlers", "async"),
        _whole_telex_versions,
    ),
    Contender(
        "telex-pure",
        "telex, nothing compiled",
        "pure",
        _telex_command(),
        _telex_versions(ROOT, "picows"),
        {"TELEX_PURE": "1"},
    ),
    Contender(
        "telex-asgi",
        "telex, plain ASGI",
        "asgi",
        _telex_command("--front", "asgi"),
        _telex_versions(ROOT, "httptools", "websockets"),
    ),
)


def other_checkout(path: Path) -> Contender:
    """The telex of another checkout, served by this checkout's `telex_server.py`."""
    sources = path.resolve() / "src"
    if not (sources / "telex").is_dir():
        raise BenchmarkError(f"{path} is no checkout of telex: it has no folder src/telex.")
    return Contender(
        "telex-other",
        f"telex of {path.resolve().name}",
        "other",
        _telex_command(),
        _telex_versions(path.resolve(), "picows"),
        {"PYTHONPATH": str(sources)},
    )


def other_python(interpreter: Path) -> list[Contender]:
    """telex on another Python that has what telex needs, with both kinds of handlers."""
    script = (
        "import importlib, platform; from importlib.metadata import version as v; "
        "[importlib.import_module(one) for one in ('msgspec', 'picows', 'uvicorn', 'uvloop')]; "
        "print(platform.python_version(), v('uvicorn'), v('uvloop'), v('picows'))"
    )
    done = subprocess.run(
        [str(interpreter), "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"{interpreter} cannot run telex: {done.stderr.strip()[-300:]}")
    python, uvicorn, uvloop, picows = done.stdout.split()
    short = ".".join(python.split(".")[:2])

    def versions() -> str:
        packages = f"uvicorn {uvicorn}, uvloop {uvloop}, picows {picows}"
        return f"CPython {python}, {_commit_of(ROOT)}, {packages}"

    def command(handlers: str) -> Callable[[], list[str]]:
        return lambda: [str(interpreter), "-m", TELEX_SERVER, "--handlers", handlers]

    sources = {"PYTHONPATH": str(ROOT / "src")}
    return [
        Contender(
            f"telex-{short}-{kind}",
            f"telex, Python {short}{', async handlers' if kind == 'async' else ''}",
            "async",
            command(kind),
            versions,
            sources,
        )
        for kind in ("plain", "async")
    ]


@contextmanager
def pinned_to(core: int | None) -> Generator[None]:
    """Start processes on one core: they inherit it. `None` leaves them where they are."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A contender that listens on `port`."""

    contender: Contender
    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        return self.log.read_text(errors="replace")[-2000:].strip()

    def check(self) -> None:
        """Raise BenchmarkError if it has ended."""
        if self.process.poll() is not None:
            raise BenchmarkError(
                f"The server {self.contender.name} ended with {self.process.returncode} during "
                f"the comparison. Its last words: {self.last_words or 'none'}"
            )


@contextmanager
def running(
    contender: Contender, core: int | None, arguments: Sequence[str] = ()
) -> Generator[RunningServer]:
    """Start a contender, wait until it listens, and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="telex-bench-") as folder:
        log = Path(folder) / "stderr"
        with log.open("w") as stderr, pinned_to(core):
            process = subprocess.Popen(
                [*contender.command(), *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **contender.environment},
            )
        try:
            yield RunningServer(contender, process, _announced_port(process, contender, log), log)
        finally:
            _end(process)


def _announced_port(process: subprocess.Popen[str], contender: Contender, log: Path) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        word, _, port = line.partition(" ")
        if word == "PORT":
            return int(port)
    process.wait()
    raise BenchmarkError(
        f"The server {contender.name} did not start. Its last words: "
        f"{log.read_text(errors='replace')[-2000:].strip() or 'none'}"
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
