"""The studies find something, judge it and draw it; a few clients are enough to see that."""

import json
from pathlib import Path

import pytest

from benchmarks.comparison import Cores, Plan, raise_file_limit
from benchmarks.contenders import NODE, TELEX
from benchmarks.report import to_json
from benchmarks.studies import STUDIES, Scale
from benchmarks.studies.growth import all_series
from benchmarks.studies.profiles import read_functions, read_parts

PLAN = Plan(cycles=1, fresh_cycles=1, seconds=0.05, settle=0.05)
SCALE = Scale(plan=PLAN, most=10, ping_interval=0.3, seconds=0.1)


@pytest.mark.parametrize("name", ["growth", "latency", "crowd"])
def test_a_study_finds_judges_and_draws(name: str, tmp_path: Path) -> None:
    raise_file_limit()
    said: list[str] = []
    found = STUDIES[name]([NODE, TELEX], SCALE, Cores(None, None), said.append)
    assert said
    assert found.text.count("telex") >= 1
    assert found.verdicts
    assert {one.server for one in found.verdicts} == {"telex"}
    json.loads(to_json(found.data))
    plot = tmp_path / "plot.svg"
    found.draw(plot, "a test")
    assert "<svg" in plot.read_text()[:500]


def test_growth_goes_to_the_size_that_was_asked_for() -> None:
    for one in all_series(10_000):
        assert max(one.counts) == 10_000
        assert one.since in one.counts
        for count in one.counts:
            shape = one.shape(count)
            assert count in {shape.connections, *shape.setup.values()}


def test_profiles_are_read_by_parts() -> None:
    report = """# Samples
#
    60.00%  [kernel.kallsyms]
    25.50%  python3.11
    10.00%  _telex.cpython-311-x86_64-linux-gnu.so
     2.00%  orjson.cpython-311-x86_64-linux-gnu.so
     2.00%  _core.cpython-311-x86_64-linux-gnu.so
     0.50%  something.so
"""
    assert read_parts(report) == {
        "kernel": 60,
        "interpreter": 25.5,
        "telex, compiled": 10,
        "JSON": 4,
        "rest": 0.5,
    }


def test_profiles_are_read_by_functions() -> None:
    stacks = (
        "<module> (a.py:1);run (site/b.py:7);send (telex/fronts/c.py:3) 6\n"
        "<module> (a.py:1);run (site/b.py:9);send (telex/fronts/c.py:4) 2\n"
        "<module> (a.py:1) 2\n"
    )
    assert read_functions(stacks) == [("c.py: send", 80), ("a.py: <module>", 20)]
