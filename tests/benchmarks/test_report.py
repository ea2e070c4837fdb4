"""Ratios are taken within a cycle, goals are judged by their medians."""

from benchmarks.comparison import Outcome, Spread
from benchmarks.generator import Slice
from benchmarks.report import figure, table, verdicts
from benchmarks.shapes import Goals, Shape

SHAPE = Shape(
    name="echo",
    title="echo",
    workload="echo",
    connections=1,
    goals=Goals(node=2.5, python_socketio=10, floor=1.3, most=6),
)


def slices(*figures: float) -> list[Slice]:
    return [{"cpu_us": value} for value in figures]


def test_a_ratio_is_the_median_of_the_ratios_within_the_cycles() -> None:
    outcome = Outcome(SHAPE, {"telex": slices(5, 5, 10), "node": slices(10, 20, 30)})
    assert outcome.cost("telex") == Spread(median=5, least=5, most=10)
    assert outcome.ratio("telex", "node") == Spread(median=3, least=2, most=4)
    assert outcome.ratio("telex", "floor") is None


def test_every_goal_gets_its_verdict() -> None:
    outcome = Outcome(
        SHAPE,
        {
            "floor": slices(5),
            "node": slices(12),
            "python-socketio": slices(60),
            "telex": slices(5.5),
        },
    )
    found = {one.goal: (one.reached, one.remark) for one in verdicts(outcome)}
    assert found == {
        "2.5× less than Node, socket.io": (False, "the kernel floor is at 2.40×"),
        "10× less than python-socketio": (True, ""),
        "at most 1.3× the kernel floor": (True, ""),
        "at most 6.00 µs per message": (True, ""),
    }


def test_goals_without_a_rival_are_not_judged() -> None:
    assert list(verdicts(Outcome(SHAPE, {"node": slices(10)}))) == []


def test_figures_keep_three_digits() -> None:
    assert [figure(value) for value in (0.7, 4.625, 12.34, 163.4, 1124.2)] == [
        "0.70",
        "4.62",
        "12.3",
        "163",
        "1,124",
    ]


def test_a_table_is_readable_as_it_is() -> None:
    assert table(["shape", "cost"], [["echo", "4.6"], ["fan-out", "12"]]) == (
        "| shape   | cost |\n| ------- | ---: |\n| echo    |  4.6 |\n| fan-out |   12 |"
    )
