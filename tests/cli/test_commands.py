"""The command line as people use it: every mistake is answered with a sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import telex as package
from tests.cli.process import PROGRAM, demo, telex

APPLICATION = """
from telex import Server

io = Server()

def create():
    return io
"""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_version() -> None:
    done = telex("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"telex {package.__version__}\n", "")


def test_alone_it_lists_the_commands() -> None:
    done = telex()
    for command in ("demo", "serve", "connect", "emit", "doctor"):
        assert command in done.stdout
    assert "Traceback" not in done.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['telex', 'demo'];"
        "from telex.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert done.stderr == "The telex command needs typer: pip install 'telex[cli]'\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["demo", "--port", "70000"], "Invalid value for '--port'"),
        (["demo", "--port", "http"], "Invalid value for '--port'"),
        (["demo", "--host", "no such host"], "'no such host' is not an address or a name"),
        (["demo", "--host", "192.0.2.1"], "192.0.2.1 is not an address of this machine"),
        (["demo", "--prot", "1"], "No such option: --prot"),
        (["dmo"], "No such command 'dmo'"),
        (["serve"], "Missing argument 'MODULE:OBJECT'"),
        (["serve", "no_such_module:io"], "There is no module 'no_such_module'"),
        (["serve", "telex:Sever"], "There is no 'Sever' in 'telex'. Did you mean 'Server'"),
        (["serve", "telex:Server()", "--workers", "0"], "Invalid value for '--workers'"),
        (["serve", "telex:Server()", "--workers", "2", "--reload"], "leave --workers out"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    done = telex(*arguments)
    assert done.returncode != 0
    said = " ".join(done.stderr.replace("│", " ").split())
    assert sentence in said
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["demo"], ["serve", "telex:Server()"]])
def test_a_port_in_use(command: list[str], taken: int) -> None:
    done = telex(*command, "--port", str(taken))
    assert done.returncode == 1
    assert done.stderr == (
        f"telex: Port {taken} is in use on 127.0.0.1. Choose another, such as --port {taken + 1}, "
        "or let --port 0 find a free one.\n"
    )


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={"Connection": "close", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_the_demo_serves_its_page() -> None:
    with demo() as server:
        status, headers, body = get(f"{server.url}/")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"/socket.io/socket.io.js" in body
        assert "'unsafe-inline'" not in headers["content-security-policy"]
        assert get(f"{server.url}/", **{"If-None-Match": headers["etag"]})[0] == 304
        assert get(f"{server.url}/index.html")[2] == body
        for name in ("chat.css", "chat.js", "icon.svg", "plain.html", "socket.io/socket.io.js"):
            assert get(f"{server.url}/{name}")[0] == 200, name
        for name in ("demo.py", "../demo.py", "%2e%2e/demo.py", "socket.io.js", "chat.js/"):
            assert get(f"{server.url}/{name}")[0] == 404, name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ending_the_demo_is_no_failure(number: signal.Signals) -> None:
    server = demo()
    with server:
        os.kill(server.pid, number)
        wait_until(lambda: not server.running)
        # asyncio's debug mode tells of slow steps, such as on a busy machine.
        said = [line for line in server.log().splitlines() if not line.startswith("Executing ")]
        assert said == []
        server.kill()


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]])
@pytest.mark.parametrize("target", ["telex_served:io", "telex_served:create()"])
def test_serve(tmp_path: Path, target: str, options: list[str]) -> None:
    (tmp_path / "telex_served.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    command = [*PROGRAM, "serve", target, "--port", str(port), *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        wait_until(lambda: process.poll() is not None or answers(url))
        assert process.poll() is None, log.read_text()
        assert get(url)[2].startswith(b'0{"sid":')
        process.terminate()
        process.wait(30)
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert "Traceback" not in said
    assert f"telex at http://127.0.0.1:{port}/socket.io/;" in said
    separate = "2 workers are separate servers: events emitted in one worker reach its own clients"
    assert (separate in said) == ("--workers" in options)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        return get(url)[0] == 200
    except OSError:
        return False


def wait_until(holds: Callable[[], bool], *, timeout: float = 30) -> None:
    """Ask again until it holds."""
    end = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
