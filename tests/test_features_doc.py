"""docs/features.md: every row is shown by tests that exist.

Whether they ran, tests/support/documented.py checks at the end of a run of the whole suite.
"""

from __future__ import annotations

import ast

from tests.support.documented import ROOT, named_tests, rows


def test_every_row_is_complete() -> None:
    """A name, a version and a test; or a reason why there is none."""
    for row in rows():
        if row.telex == "—":
            assert row.difference, f"line {row.line}: left out without a reason"
            assert not row.tests, f"line {row.line}: left out, yet tested"
        else:
            assert row.tests, f"line {row.line}: no test shows {row.telex}"
            assert row.since == "0.1", f"line {row.line}: since when?"


def test_every_row_is_there() -> None:
    """The snippets of the documentation one by one, and each of the tables."""
    names = [row.row for row in rows()]
    assert [name for name in names if name.startswith("S")] == [f"S{n}" for n in range(1, 20)]
    assert set(names) - {f"S{n}" for n in range(1, 20)} == {
        *(f"1.{n}" for n in range(1, 8)),
        "2.1",
        "3.3",
        "3.4",
        *(f"client {table}" for table in ("1.7", "1.8", "1.10", "1.11", "2.2", "3.3")),
    }


def test_every_test_exists() -> None:
    named = named_tests()
    files = sorted({test.partition("::")[0] for test in named})
    assert not [name for name in files if not (ROOT / name).is_file()]
    existing = {
        f"{name}::{node.name}"
        for name in files
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert named <= existing, sorted(named - existing)
