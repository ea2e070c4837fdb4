"""Node programs of the tests: JSON in, JSON lines out, every failure said in a sentence."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeAlias

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "peers" / "node_modules"

JsonObject: TypeAlias = dict[str, Any]


class NodeError(AssertionError):
    """A Node program could not start, failed, or did not answer in time."""


@cache
def node() -> str:
    """Path of the Node executable.

    Raises:
        NodeError: Node or the npm packages of the tests are not installed.
    """
    executable = shutil.which("node")
    if executable is None:
        raise NodeError("Node is not on PATH; these tests run real JavaScript clients (>= 18).")
    if not PEERS.is_dir():
        raise NodeError("The npm packages of the tests are missing; `make peers` installs them.")
    return executable


@cache
def chromium() -> str:
    """Path of the browser: what `TELEX_CHROMIUM` names, or one on PATH.

    Raises:
        NodeError: there is none.
    """
    named = os.environ.get("TELEX_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    for name in names:
        executable = shutil.which(name)
        if executable is not None:
            return executable
    raise NodeError(f"No browser on PATH ({', '.join(names)}); `make browser` installs one.")


def run_script(
    script: Path, scenario: object = None, *, arguments: Sequence[str] = (), timeout: float = 30.0
) -> list[JsonObject]:
    """Run a Node script with `scenario` as JSON on standard input; its output, line by line.

    Raises:
        NodeError: the script failed, took longer than `timeout` seconds or printed other things.
    """
    try:
        done = subprocess.run(
            [node(), str(script), *arguments],
            input=json.dumps(scenario),
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired as expired:
        printed = expired.stdout or b""
        raise NodeError(
            f"{script.name} did not end within {timeout:g} s. It printed:\n{printed!r}"
        ) from None
    if done.returncode != 0:
        raise NodeError(
            f"{script.name} ended with status {done.returncode}:\n{done.stderr}{done.stdout}"
        )
    try:
        return [json.loads(line) for line in done.stdout.splitlines() if line]
    except ValueError as error:
        raise NodeError(f"{script.name} printed other things than JSON: {done.stdout}") from error


class NodeProgram:
    """A Node program that answers requests: one JSON object per line in each direction.

    A request carries an `id` and a `timeout` in seconds; the answer has the same `id` and either
    a `value` or an `error`. Requests may be in flight together, from several threads.
    """

    def __init__(self, script: Path, *arguments: str) -> None:
        self._name = " ".join([script.name, *arguments])
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [node(), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            cwd=ROOT,
        )
        self._waiting: dict[int, queue.SimpleQueue[JsonObject | None]] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._ended = False
        self.frozen = False
        self._reader = threading.Thread(target=self._read, name=self._name, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                answer: JsonObject = json.loads(line)
                with self._lock:
                    waiting = self._waiting.pop(answer["id"], None)
                if waiting is not None:
                    waiting.put(answer)
        finally:
            with self._lock:
                self._ended = True
                for waiting in self._waiting.values():
                    waiting.put(None)
                self._waiting.clear()

    def request(self, request: Mapping[str, object], *, timeout: float = 5.0) -> Any:
        """The value the program answers with.

        Raises:
            NodeError: the program answered with an error, or it ended.
        """
        answers: queue.SimpleQueue[JsonObject | None] = queue.SimpleQueue()
        with self._lock:
            self._count += 1
            number = self._count
            ended = self._ended
            if not ended:
                self._waiting[number] = answers
                line = json.dumps({**request, "id": number, "timeout": timeout})
                assert self._process.stdin is not None
                try:
                    self._process.stdin.write(line + "\n")
                    self._process.stdin.flush()
                except BrokenPipeError:
                    ended = True
        try:
            answer = None if ended else answers.get(timeout=timeout + 10)
        except queue.Empty:
            raise NodeError(f"{self._name} does not answer any more.{self._complaints()}") from None
        if answer is None:
            raise NodeError(f"{self._name} has ended.{self._complaints()}")
        if "error" in answer:
            raise NodeError(f"{answer['error']}{self._complaints()}")
        return answer["value"]

    def _complaints(self) -> str:
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace").strip()
        return f"\nOn its standard error:\n{text}" if text else ""

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def freeze(self) -> None:
        """Let the program do nothing any more, while its connections stay."""
        self._process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def kill(self) -> None:
        """End the program at once; its connections are cut without a farewell."""
        self._process.kill()
        self._release()

    def close(self) -> None:
        """Close the program's input, upon which it ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._release()

    def _release(self) -> None:
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                stream.close()
