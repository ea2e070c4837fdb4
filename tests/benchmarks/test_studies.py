"""The studies find something, judge it and draw it; a few clients are enough to see that."""

import json
from pathlib import Path

import pytest

from benchmarks.comparison import Cores, Plan, raise_file_limit
from benchmarks.contenders import NODE, TELEX
from benchmarks.report import to_json
from benchmarks.studies import STUDIES, Scale
from benchmarks.studies.growth import all_series

PLAN = Plan(cycles=1, fresh_cycles=1, seconds=0.05, settle=0.05)
SCALE = Scale(plan=PLAN, most=10, ping_interval=0.3, seconds=0.1)


@pytest.mark.parametrize("name", STUDIES)
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
