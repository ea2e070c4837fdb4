"""The load generator counts what really went over the wire: counts are checked, never times."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.build import compile_program
from benchmarks.contenders import FLOOR, NODE, RunningServer, running
from benchmarks.generator import SOURCE, driving
from benchmarks.shapes import SHAPES, Shape

BY_NAME = {shape.name: shape for shape in SHAPES}


@pytest.fixture(scope="module", params=[NODE, FLOOR], ids=lambda contender: contender.name)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server that the generator can load; what is missing for it is said by the failure."""
    with running(request.param, None) as started:
        yield started


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
    program = compile_program(SOURCE)
    where = ["--port", str(server.port), "--pid", str(server.process.pid)]
    amount = ["--connections", "4", "--window", "2", "--payload", "200", "--seconds", "0.05"]
    done = subprocess.run(
        [program, "fanout", *where, *amount], capture_output=True, text=True, check=True
    )
    measured = json.loads(done.stdout)
    assert measured["payload"] == 200
    assert measured["answered"] >= 4 * 2
    assert measured["answered"] % 4 == 0


def test_a_lost_server_is_named() -> None:
    program = compile_program(SOURCE)
    with running(FLOOR, None) as ended:
        where = ["--port", str(ended.port), "--pid", str(ended.process.pid)]
    done = subprocess.run([program, "echo", *where], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"loadgen: the server (process {ended.process.pid}) is gone\n"
