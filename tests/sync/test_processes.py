"""What a process does with telex.sync: forking, ending, being interrupted; and gevent."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

import telex
from tests.client.counterparts import Counterpart
from tests.client.ports import silent_port
from tests.support.servers import DEFECTS, ROOT

SCRIPTS = Path(__file__).with_name("scripts")


class Program:
    """A script that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def line(self) -> str:
        """The next line that it prints."""
        return self._lines.get(timeout=60)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self, status: int = 0) -> None:
        """Wait until it has ended."""
        assert self._process.wait(60) == status
        self._reader.join()


@contextmanager
def running(script: str, *arguments: str) -> Generator[Program]:
    """Run a script. Python shows what it would keep quiet about, and the log must be clean."""
    command = [sys.executable, "-X", "dev", "-W", "error", str(SCRIPTS / script), *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
    )
    program = Program(process)
    try:
        yield program
    except BaseException as error:
        process.kill()
        error.add_note(f"{script} printed:\n{process.communicate()[1]}")
        raise
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
    assert process.stderr is not None
    with process.stderr:
        log = process.stderr.read()
    expected = log.count("\nKeyboardInterrupt")
    assert log.count(DEFECTS[0]) == expected, log
    assert not any(sign in log for sign in DEFECTS[1:]), log


def test_gevent(server: Counterpart) -> None:
    with running("greenlets.py", server.url()) as program:
        assert program.line() == "done"
        program.end()


def fate(server: Counterpart, socket_id: str) -> str:
    """Why a socket has left, as the server sees it."""
    with telex.sync.connect(server.url(), force_new=True) as socket:
        return str(socket.emit_with_ack("fate of", socket_id, timeout=20))


def test_forks(telex_server: Counterpart) -> None:
    with running("forks.py", telex_server.url()) as program:
        assert fate(telex_server, program.line()) == "transport close"
        program.go_on()
        assert program.line() == "done"
        program.end()


def test_interrupts(telex_server: Counterpart) -> None:
    with silent_port() as port:
        url = f"http://127.0.0.1:{port}"
        with running("interrupts.py", telex_server.url(), url) as program:
            for _ in range(8):
                assert program.line() == "waiting"
                program.interrupt()
            program.end(-signal.SIGINT)


@pytest.mark.parametrize(("how", "status"), [("at once", 0), ("with an error", 3)])
def test_the_end_of_a_program(server: Counterpart, how: str, status: int) -> None:
    """Connections are closed politely, and the handlers of the end still run."""
    with running("ends.py", server.url(), how) as program:
        socket_id = program.line()
        assert program.line() == "io client disconnect"
        program.end(status)
        assert fate(server, socket_id) == "client namespace disconnect"


def test_the_end_of_a_program_whose_server_is_silent() -> None:
    with Counterpart("telex", only="main").process as server:
        with running("ends.py", server.url, "when told") as program:
            assert program.line()
            server.freeze()
            program.go_on()
            assert program.line() == "io client disconnect"
            program.end()
        server.thaw()
