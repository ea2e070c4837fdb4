"""The servers that are compared: what each needs, and how it is started and ended."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.build import build_crate, compile_program
from benchmarks.errors import BenchmarkError
from benchmarks.shapes import Role

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ROOT / "benchmarks" / "servers"
PEERS = ROOT / "peers"
BENCH_PEERS = ROOT / "benchmarks" / "peers"
CRATE = SERVERS / "socketioxide"
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
    optional: bool = False
    """A comparison is made without it where something it needs is missing."""


def _python_packages(*names: str) -> str:
    try:
        return ", ".join(f"{name} {version(name)}" for name in names)
    except PackageNotFoundError as error:
        raise BenchmarkError(
            f"The Python package {error.name} is missing here: `make venv` installs it."
        ) from None


def _floor_command() -> list[str]:
    return [str(compile_program("floor_server", SERVERS / "floor_server.c"))]


def _npm_version(peers: Path, package: str) -> str:
    try:
        manifest = (peers / "node_modules" / package / "package.json").read_text()
    except FileNotFoundError:
        folder = (peers / "node_modules").relative_to(ROOT)
        target = "make peers" if peers == PEERS else "make bench"
        raise BenchmarkError(
            f"The npm package {package} is missing in {folder}: `{target}` installs it."
        ) from None
    return f"{package} {json.loads(manifest)['version']}"


def _version_of(*command: str) -> str:
    """What a program says to `--version`."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _node_command() -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise BenchmarkError("Node is missing: install `node` (20 or later) to compare with it.")
    _npm_version(PEERS, "socket.io")
    return [node, str(SERVERS / "node_server.js")]


def _node_versions() -> str:
    node = _version_of("node").removeprefix("v")
    return f"Node {node}, {_npm_version(PEERS, 'socket.io')}, {_npm_version(PEERS, 'ws')}"


def _bun() -> str:
    """The program itself, from the package for this system: `bun` only links to it."""
    _npm_version(BENCH_PEERS, "@socket.io/bun-engine")
    programs = (BENCH_PEERS / "node_modules" / "@oven").glob("bun-*/bin/bun")
    for program in sorted(programs):
        return str(program)
    raise BenchmarkError("npm has no Bun for this system: its package has no program.")


def _bun_command() -> list[str]:
    _npm_version(PEERS, "socket.io")
    return [_bun(), str(SERVERS / "bun_server.js")]


def _bun_versions() -> str:
    engine = _npm_version(BENCH_PEERS, "@socket.io/bun-engine")
    return f"Bun {_version_of(_bun())}, {_npm_version(PEERS, 'socket.io')}, {engine}"


def _socketioxide_command() -> list[str]:
    return [str(build_crate(CRATE / "Cargo.toml"))]


def _socketioxide_versions() -> str:
    locked = tomllib.loads((CRATE / "Cargo.lock").read_text())["package"]
    versions = {one["name"]: one["version"] for one in locked}
    crates = ", ".join(f"{name} {versions[name]}" for name in ("socketioxide", "axum", "tokio"))
    return f"{' '.join(_version_of('rustc').split()[:2])}, {crates}"


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
BUN = Contender("bun", "Bun, socket.io", "runtime", _bun_command, _bun_versions, optional=True)
SOCKETIOXIDE = Contender(
    "socketioxide",
    "Rust, socketioxide",
    "runtime",
    _socketioxide_command,
    _socketioxide_versions,
    optional=True,
)
PYTHON_SOCKETIO = Contender(
    "python-socketio",
    "python-socketio",
    "rival",
    _python_socketio_command,
    lambda: _python_packages("python-socketio", "uvicorn", "uvloop", "httptools", "websockets"),
)


def _compiled_part(checkout: Path, python: str = sys.executable) -> str:
    """Whether the telex of a checkout uses its compiled part; not one older than its source."""
    done = subprocess.run(
        [python, "-c", "import telex.native; print(telex.native.core is not None)"],
        env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{'with' if done.stdout.strip() == 'True' else 'without'} its compiled part"


def _whole_telex_versions(checkout: Path = ROOT) -> str:
    return f"{_telex_versions(checkout, 'picows')()}, {_compiled_part(checkout)}"


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
    SOCKETIOXIDE,
    BUN,
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


def available(contenders: Iterable[Contender], report: Callable[[str], None]) -> list[Contender]:
    """The contenders that can run here; why an optional one cannot is reported."""
    found: list[Contender] = []
    for contender in contenders:
        try:
            contender.command()
        except BenchmarkError as error:
            if not contender.optional:
                raise
            report(f"without {contender.title}: {error}")
        else:
            found.append(contender)
    return found


def other_checkout(path: Path) -> Contender:
    """The telex of another checkout, served by this checkout's `telex_server.py`."""
    checkout = path.resolve()
    sources = checkout / "src"
    if not (sources / "telex").is_dir():
        raise BenchmarkError(f"{path} is no checkout of telex: it has no folder src/telex.")
    return Contender(
        "telex-other",
        f"telex of {checkout.name}",
        "other",
        _telex_command(),
        lambda: _whole_telex_versions(checkout),
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
        part = _compiled_part(ROOT, str(interpreter))
        return f"CPython {python}, {_commit_of(ROOT)}, {packages}, {part}"

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
