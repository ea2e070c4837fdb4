"""The tests that docs/features.md names, and whether a whole run has run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ROOT / "docs" / "features.md"

_COLUMNS = 6
_CHOICES = (
    *("keyword", "markexpr", "deselect", "ignore", "ignore_glob"),
    *("maxfail", "lf", "stepwise", "collectonly"),
)
"""Options with which a run is not one of the whole suite."""
_TEST = re.compile(r"`([\w/]+\.py::\w+)`")


class Row(NamedTuple):
    """A row of the tables; `tests` are node ids from the root of the project on."""

    line: int
    row: str
    node: str
    telex: str
    since: str
    tests: list[str]
    difference: str


def rows() -> list[Row]:
    """Every row of every table, without their heads."""
    found: list[Row] = []
    for number, line in enumerate(FEATURES.read_text().splitlines(), 1):
        if not line.startswith("| ") or line.startswith("| Row "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == _COLUMNS, f"line {number} has {len(cells)} columns: {line}"
        row, node, telex, since, shown, difference = cells
        tests = [f"tests/{name}" for name in _TEST.findall(shown)]
        found.append(Row(number, row, node, telex, since, tests, difference))
    return found


def named_tests() -> set[str]:
    """Every test that a row names."""
    return {test for row in rows() for test in row.tests}


class Documented:
    """Fails a run of the whole suite if it has not run a test that the documentation names."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ran: set[str] = set()
        self._missing: list[str] = []

    def _whole(self, session: pytest.Session) -> bool:
        chosen = [getattr(self._config.option, name, None) for name in _CHOICES]
        everything = self._config.args_source is pytest.Config.ArgsSource.TESTPATHS
        return everything and not any(chosen) and not session.shouldstop

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has run; with several workers, one of them says so."""
        if report.when == "call":
            parts = report.nodeid.partition("[")[0].split("::")  # perhaps with a class between
            self._ran.add(f"{parts[0]}::{parts[-1]}")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """All tests have run."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        if self._whole(session):
            self._missing = sorted(named_tests() - self._ran)
            if self._missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what is missing."""
        for test in self._missing:
            terminalreporter.write_line(
                f"docs/features.md names {test}, which did not run", red=True
            )
