"""Ratios are taken within a cycle, goals are judged by their medians."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.comparison import Outcome, Plan, Spread
from benchmarks.contenders import BUN, CONTENDERS, TELEX, Contender, available
from benchmarks.errors import BenchmarkError
from benchmarks.generator import Slice
from benchmarks.pages import details, overview, overview_table
from benchmarks.plot import draw
from benchmarks.report import (
    Findings,
    as_json,
    earlier_outcomes,
    figure,
    goal_table,
    missed_goals,
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


def findings_of(outcome: Outcome) -> Findings:
    """The findings of a run with one outcome."""
    contenders = [one for one in CONTENDERS if one.name in outcome.slices]
    surroundings = Surroundings("a day", "a processor", 2, "1 GB", "Linux", "CPython")
    plan = Plan(cycles=1, fresh_cycles=1, seconds=1, settle=1)
    versions = {one.name: f"version of {one.name}" for one in contenders}
    return Findings(contenders, versions, [outcome], plan, surroundings, 0, "make bench")


def test_missed_goals_are_listed() -> None:
    outcome = Outcome(SHAPE, {"node": slices(10), "telex": slices(5)})
    findings = findings_of(outcome)
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


WHOLE = Outcome(
    SHAPE,
    {
        "floor": slices(1),
        "socketioxide": slices(4),
        "bun": slices(8),
        "node": slices(10),
        "python-socketio": slices(40),
        "telex": slices(2),
        "telex-async": slices(3),
    },
)


def test_the_table_for_readers_has_one_column_per_kind_of_server() -> None:
    assert overview_table(findings_of(WHOLE)) == (
        "| shape | C floor | Rust |  Bun | Node | python-socketio |        telex |\n"
        "| ----- | ------: | ---: | ---: | ---: | --------------: | -----------: |\n"
        "| echo  |    1.00 | 4.00 | 8.00 | 10.0 |            40.0 | 2.00 (5.00×) |"
    )


def test_a_server_that_was_not_there_has_no_column() -> None:
    slices_of = {name: WHOLE.slices[name] for name in ("node", "telex")}
    assert overview_table(findings_of(Outcome(SHAPE, slices_of))).startswith(
        "| shape | Node |        telex |"
    )


def test_the_page_has_one_table_and_the_details_have_the_rest() -> None:
    findings = findings_of(WHOLE)
    short, rest = overview(findings, ["plot.svg"]), details(findings)
    assert short.count("| shape ") == 1
    assert "![" in short
    assert "(benchmarks-details.md)" in short
    assert "async" not in short
    assert "goals are reached" not in short
    assert "\n\n\n" not in short + rest
    assert "(benchmarks.md)" in rest
    # Ratios, ways to run telex, goals.
    assert rest.count("| shape ") == 3
    assert "telex, async handlers: version of telex-async" in rest
    assert "8.00 (1.25×)" in rest


def test_the_plots_show_the_servers_they_are_given(tmp_path: Path) -> None:
    findings = findings_of(WHOLE)
    shown = [one for one in findings.contenders if one.name in {"bun", "telex"}]
    draw(shown, [WHOLE], findings.surroundings, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()[:500]


def missing(name: str, *, optional: bool) -> Contender:
    """A contender that needs something this machine lacks."""

    def command() -> list[str]:
        raise BenchmarkError(f"{name} is missing.")

    return replace(BUN, name=name, title=name, command=command, optional=optional)


def test_an_optional_server_that_cannot_run_is_left_out_with_a_sentence() -> None:
    here = replace(BUN, command=lambda: ["bun"])
    said: list[str] = []
    assert available([missing("cargo", optional=True), here], said.append) == [here]
    assert said == ["without cargo: cargo is missing."]


def test_any_other_server_that_cannot_run_ends_the_comparison() -> None:
    with pytest.raises(BenchmarkError, match=r"node is missing\."):
        available([missing("node", optional=False)], list[str]().append)


def test_the_versions_say_whether_the_compiled_part_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TELEX_PURE", "1")
    assert TELEX.versions().endswith(", without its compiled part")


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
