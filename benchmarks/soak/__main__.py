"""The command: `python -m benchmarks.soak` (and `make soak`)."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Any

from benchmarks.soak.clients import Load
from benchmarks.soak.verdict import Sample, judge, line

SAMPLES = 40
"""How many samples are taken of each server; every fourth counts objects, too."""


class Subject:
    """A server in a process of its own, with its load."""

    def __init__(self, *, pure: bool, recovery: bool) -> None:
        self.name = f"{'pure' if pure else 'compiled'}, recovery {'on' if recovery else 'off'}"
        self._pure = pure
        self._recovery = recovery
        self._process: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._kinds: dict[str, Any] = {"objects": 0, "blocks": 0, "kinds": {}}
        self.load: Load | None = None
        self.samples: list[Sample] = []

    async def start(self, arguments: argparse.Namespace) -> None:
        """Start the server, then its load."""
        options = {"recovery": self._recovery, "max_disconnection": arguments.away}
        environment = {**os.environ, **({"TELEX_PURE": "1"} if self._pure else {})}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.soak.server", json.dumps(options)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=2**20,
            env=environment,
        )
        port = (await self._answer())["port"]
        self.load = Load(port, steady=arguments.steady, per_second=arguments.rate)
        self._running = asyncio.ensure_future(self.load.run())

    async def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        said = await asyncio.wait_for(self._process.stdout.readline(), 60)
        if not said:
            raise SystemExit(f"the server ({self.name}) has ended by itself")
        answer: dict[str, Any] = json.loads(said)
        return answer

    async def sample(self, minute: float, *, deep: bool) -> dict[str, Any]:
        """Ask the server what it holds."""
        assert self._process is not None
        assert self._process.stdin is not None
        if self._running is not None and self._running.done():
            self._running.result()
        self._process.stdin.write(b"deep\n" if deep else b"plain\n")
        said = await self._answer()
        if deep:
            self._kinds = said
        known = self._kinds
        self.samples.append(
            Sample(minute, said["rss"], known["objects"], known["blocks"], known["kinds"])
        )
        return said

    async def stop(self) -> None:
        """End the load, then the server."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 30)
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Load servers for a long time, and judge whether their memory stays flat.",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--rate", type=float, default=5.0, help="visits a second and server (5)")
    parser.add_argument("--steady", type=int, default=12, help="clients that stay (12)")
    parser.add_argument(
        "--away", type=float, default=120.0, help="max_disconnection_duration in seconds (120)"
    )
    parser.add_argument(
        "--only", default="", help="only the servers whose name contains this: pure, recovery on, …"
    )
    return parser.parse_args()


async def soak(arguments: argparse.Namespace) -> bool:
    """Run it; whether the memory of all servers has stayed flat."""
    subjects = [
        Subject(pure=pure, recovery=recovery)
        for pure in (False, True)
        for recovery in (False, True)
    ]
    subjects = [subject for subject in subjects if arguments.only in subject.name]
    if arguments.minutes * 30 < arguments.away + 15:
        print(
            "the first half is shorter than what recovery keeps: its memory will still grow in the"
            " second (a longer --minutes, or a shorter --away)",
            file=sys.stderr,
        )
    begin = time.monotonic()
    try:
        for subject in subjects:
            await subject.start(arguments)
        for number in range(SAMPLES):
            due = begin + arguments.minutes * 60 * (number + 1) / SAMPLES
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            minute = (time.monotonic() - begin) / 60
            last = number == SAMPLES - 1
            parts = [
                await subject.sample(minute, deep=number % 4 == 0 or last) for subject in subjects
            ]
            memory = "  ".join(f"{part['rss'] / 1024:6.1f}" for part in parts)
            print(f"{minute:6.1f} min  {memory} MB", file=sys.stderr, flush=True)
    finally:
        for subject in subjects:
            await subject.stop()
    flat = True
    for subject in subjects:
        verdict = judge(subject.samples)
        load = subject.load
        assert load is not None
        notes = {"visits": load.visits, "recovered": load.recovered, "failures": len(load.errors)}
        print(line(subject.name, subject.samples, verdict, notes))
        for error in sorted(set(load.errors))[:5]:
            print(f"    failed: {error[:200]}")
        flat = flat and verdict.flat
    return flat


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(soak(parse_arguments())) else 1)
