"""The micro benchmarks do what their names say; what that costs is not checked."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.micro.floors import FLOORS, RECIPIENTS
from benchmarks.micro.world import Sink, World
from telex.wire import EncodedPacket

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[EncodedPacket]:
    """What all clients are sent."""
    packets: list[EncodedPacket] = []

    def send(sink: Sink, some: list[EncodedPacket]) -> None:
        packets.extend(some)

    monkeypatch.setattr(Sink, "send", send)
    return packets


@pytest.mark.parametrize("floor", FLOORS)
def test_every_step_can_be_repeated(floor: str) -> None:
    for step in FLOORS[floor]().values():
        for _ in range(3):
            step()


@pytest.mark.parametrize(
    ("step", "packets"),
    [
        (f"to all {RECIPIENTS}", 100),
        (f"8 to all {RECIPIENTS}", 800),
        (f"to a room of {RECIPIENTS}", 100),
        ("to a room of 10", 10),
        ("to two overlapping rooms", 55),
        ("to all but a room", 50),
        ("to one socket", 1),
    ],
)
def test_a_broadcast_reaches_its_recipients(
    step: str, packets: int, sent: list[EncodedPacket]
) -> None:
    steps = FLOORS["broadcast"]()
    sent.clear()
    steps[step]()
    assert len(sent) == packets


def test_an_event_is_handled_and_acknowledged(sent: list[EncodedPacket]) -> None:
    steps = FLOORS["dispatch"]()
    sent.clear()
    for name in ("an event and its acknowledgement", "a typed event and its acknowledgement"):
        steps[name]()
    assert [one.text for one in sent] == [b'437[{"n":123,"s":"hello world"}]'] * 2


def test_clients_come_and_go() -> None:
    world = World()
    client = world.client(["room"])
    assert len(world.root.sockets) == 1
    client.end("transport close")
    assert not world.root.sockets
    assert not world.core.engine.sessions


def test_pyperf_runs_the_floor_that_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks.micro", "session", "--debug-single-value", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = [line.split(":")[1].strip() for line in done.stdout.splitlines() if line]
    assert names == list(FLOORS["session"]())
