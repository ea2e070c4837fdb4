"""The load generator counts what really went over the wire: counts are checked, never times."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from benchmarks.contenders import (
    BUN,
    FLOOR,
    NODE,
    PYTHON_SOCKETIO,
    TELEX,
    Contender,
    RunningServer,
    available,
    running,
)
from benchmarks.control import control
from benchmarks.generator import driving, program
from benchmarks.shapes import BEYOND, SHAPES, Shape

BY_NAME = {shape.name: shape for shape in SHAPES}


@pytest.fixture(scope="module", params=[NODE, FLOOR], ids=lambda contender: contender.name)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server that the generator can load; what is missing for it is said by the failure."""
    with running(request.param, None) as started:
        yield started


# Bun is installed by `make bench` alone: 100 MB that no other test needs.
WHOLE = [NODE, PYTHON_SOCKETIO, TELEX, *available([BUN], lambda _: None)]


@pytest.fixture(scope="module", params=WHOLE, ids=lambda one: one.name)
def contender(request: pytest.FixtureRequest) -> Contender:
    """A server that offers everything."""
    chosen: Contender = request.param
    return chosen


@pytest.fixture(scope="module")
def whole_server(contender: Contender) -> Iterator[RunningServer]:
    """That server, with its default parser."""
    with running(contender, None) as started:
        yield started


@pytest.fixture(scope="module")
def msgpack_server(contender: Contender) -> Iterator[RunningServer]:
    """That server, with the other parser."""
    with running(contender, None, ["--parser", "msgpack"]) as started:
        yield started


def few(shape: Shape) -> Shape:
    """The shape with as few connections as it can have."""
    rooms = 20 if shape.rooms else 0
    return replace(shape, connections=20, rooms=rooms, namespaces=min(shape.namespaces, 2))


@pytest.mark.parametrize(
    "name", [one.name for one in BEYOND if one.parser == "json" and one.workload != "connect"]
)
def test_every_shape_carries_messages(whole_server: RunningServer, name: str) -> None:
    shape = few(BY_NAME[name])
    with ExitStack() as stack:
        if shape.setup:
            stack.enter_context(control(whole_server)).setup(shape.setup)
        measured = stack.enter_context(driving(whole_server, shape, None)).run(0.05)
    recipients = {"rooms": 10, "rooms-overlap": 16, "namespaces": 10}.get(name, 1)
    assert int(measured["answered"]) >= recipients * shape.window
    assert int(measured["answered"]) % recipients == 0


@pytest.mark.parametrize("name", ["msgpack-echo", "msgpack-fanout"])
def test_msgpack_carries_messages(msgpack_server: RunningServer, name: str) -> None:
    with driving(msgpack_server, few(BY_NAME[name]), None) as generator:
        assert int(generator.run(0.05)["answered"]) >= 8


@pytest.mark.parametrize("name", ["handshake-polling", "handshake-websocket", "upgrade"])
def test_connections_come_and_go_over_every_transport(
    whole_server: RunningServer, name: str
) -> None:
    with driving(whole_server, few(BY_NAME[name]), None, settle=0) as generator:
        for _ in range(2):
            assert generator.run(0)["messages"] == 20


def test_a_crowd_joins_rests_and_leaves(whole_server: RunningServer) -> None:
    shape = replace(
        BY_NAME["handshake-websocket"],
        connections=20,
        namespace="/crowd",
        auth='{"token":"secret"}',
    )
    with (
        control(whole_server) as asking,
        driving(whole_server, shape, None, settle=0) as generator,
    ):
        asking.watch()
        for farewell in ("kick", "down"):
            assert generator.ask("up 20")["messages"] == 20
            assert generator.ask("rest 0.05")["pings"] == 0
            assert float(generator.ask(farewell)["close_cpu_us"]) > 0
        assert asking.longest_stall() >= 0


def test_an_open_loop_sends_what_is_due(server: RunningServer) -> None:
    shape = replace(BY_NAME["echo"], connections=4)
    with driving(server, shape, None, rate=1000) as generator:
        measured = generator.run(0.2, 200)
    # No more than is due in the warm-up and the slice, and each of them begins with one.
    assert 2 <= int(measured["answered"]) <= 62
    assert measured["skipped"] == 0
    assert float(measured["p50_us"]) <= float(measured["p99_us"]) <= float(measured["max_us"])


@pytest.mark.parametrize("name", ["echo", "echo-8", "fanout-100", "fanout-100-8"])
def test_slices_carry_messages(server: RunningServer, name: str) -> None:
    """The generator itself fails on a wrong, a missing and an unexpected answer."""
    shape = replace(BY_NAME[name], connections=8)
    with driving(server, shape, None) as generator:
        slices = [generator.run(0.05) for _ in range(2)]
    for measured in slices:
        assert measured["workload"] == shape.workload
        assert measured["connections"] == 8
        assert measured["window"] == shape.window
        # What was begun is answered, however little of it fell into the slice.
        answered = int(measured["answered"])
        assert answered >= 8 * shape.window
        assert 0 <= int(measured["messages"]) <= answered
        if shape.workload == "fanout":
            assert answered % 8 == 0
    assert server.process.poll() is None


def test_connections_are_opened_and_closed(server: RunningServer) -> None:
    shape: Shape = replace(BY_NAME["reconnect-2000"], connections=50)
    with driving(server, shape, None, settle=0) as generator:
        for _ in range(2):
            measured = generator.run(0)
            assert measured["messages"] == 50
            assert float(measured["server_cpu_ns"]) > 0
            assert float(measured["resident"]) > 0


def test_one_slice_without_driving(server: RunningServer) -> None:
    where = ["--port", str(server.port), "--pid", str(server.process.pid)]
    amount = ["--connections", "4", "--window", "2", "--payload", "200", "--seconds", "0.05"]
    done = subprocess.run(
        [program(), "fanout", *where, *amount], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout)
    assert measured["payload"] == 200
    assert measured["answered"] >= 4 * 2
    assert measured["answered"] % 4 == 0


def test_a_lost_server_is_named() -> None:
    with running(FLOOR, None) as ended:
        where = ["--port", str(ended.port), "--pid", str(ended.process.pid)]
    done = subprocess.run([program(), "echo", *where], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"loadgen: the server (process {ended.process.pid}) is gone\n"
