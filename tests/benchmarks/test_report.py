"""Ratios are taken within a cycle, goals are judged by their medians."""

from dataclasses import replace
from pathlib import Path

from benchmarks.comparison import Outcome, Plan, Spread
from benchmarks.contenders import NODE, TELEX
from benchmarks.generator import Slice
from benchmarks.report import (
    Findings,
    as_json,
    earlier_outcomes,
    figure,
    goal_table,
    missed_goals,
    page,
    table,
    terminal,
    verdicts,
    write_part,
)
from benchmarks.shapes import Goals, Shape
from benchmarks.surroundings import Surroundings

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
        "2.5× less than Node, socket.io": (False, "kernel floor 2.40×"),
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


def test_a_goal_of_one_is_to_be_ahead() -> None:
    shape = replace(SHAPE, goals=Goals(node=1))
    outcome = Outcome(shape, {"node": slices(10), "telex": slices(11)})
    (found,) = verdicts(outcome)
    assert (found.goal, found.reached) == ("less than Node, socket.io", False)


def test_every_telex_is_judged_by_itself() -> None:
    slow = replace(TELEX, name="slow", title="slow telex")
    outcome = Outcome(SHAPE, {"node": slices(10), "telex": slices(3), "slow": slices(5)})
    found = [one for server in (TELEX, slow) for one in verdicts(outcome, server)]
    reached = [one.reached for one in found if "Node" in one.goal]
    assert reached == [True, False]
    head, _, first, *_ = goal_table(found).splitlines()
    assert [cell.strip() for cell in head.split("|")[3:5]] == ["telex", "slow telex"]
    assert "reached" in first
    assert "**missed**" in first


def test_what_is_missed_is_listed() -> None:
    outcome = Outcome(SHAPE, {"node": slices(10), "telex": slices(5)})
    surroundings = Surroundings("a day", "a processor", 2, "1 GB", "Linux", "CPython")
    plan = Plan(cycles=1, fresh_cycles=1, seconds=1, settle=1)
    versions = {one.name: "1" for one in (NODE, TELEX)}
    findings = Findings([NODE, TELEX], versions, [outcome], plan, surroundings, 0, "make bench")
    assert missed_goals(findings).splitlines() == [
        "a day: 1 of 2 goals are reached, 1 missed.",
        "",
        "- echo; 2.5× less than Node, socket.io: telex 2.00×",
    ]
    assert "1 of 2 goals" in terminal(findings)
    (before,), origin = earlier_outcomes(as_json(findings))
    assert origin == "a day, `make bench`"
    assert before.figures("node") == [10]
    assert before.ratio("telex", "node") == outcome.ratio("telex", "node")
    assert "![" in page(findings, ["plot.svg"])


def test_a_part_of_a_page_replaces_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- growth -->\nold\n<!-- end of growth -->\n\nThe end.\n")
    for text in ("first", "second"):
        write_part(page, "growth", text)
        write_part(page, "crowd", "people")
    assert page.read_text() == (
        "# Title\n\n<!-- growth -->\n\nsecond\n\n<!-- end of growth -->\n\nThe end.\n"
        "<!-- crowd -->\n\npeople\n\n<!-- end of crowd -->\n"
    )
