"""docs/command-line.md names what there is: options, commands, checks, keys of the report."""

from __future__ import annotations

import re
from typing import Any

import typer.main

from telex.cli.commands import app
from telex.cli.lines import COMMANDS
from tests.support.servers import ROOT

PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def options() -> set[str]:
    """The long options of the commands that the page is about."""
    group: Any = typer.main.get_command(app)
    found = [group.commands[name].params for name in ("serve", "connect", "emit", "doctor")]
    every = [one for params in found for one in params]
    names = {name for one in every for name in (*one.opts, *one.secondary_opts)}
    return {name for name in names if name.startswith("--")}


def test_options() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert named - {"--help"} == options() - {"--help"}


def test_commands() -> None:
    """Those that are typed."""
    assert {name for name in COMMANDS if f"`{name}" not in PAGE} == set()


def test_checks() -> None:
    """Every check that can be reported is in the table, and no other."""
    sources = (ROOT / "src" / "telex" / "cli" / "doctor").glob("*.py")
    pattern = re.compile(r'findings\.(?:add|unreachable)\(\s*"([a-z]+)"')
    reported = {name for path in sources for name in pattern.findall(path.read_text("utf-8"))}
    table = PAGE.partition("| Check | What it looks at |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == reported


def test_keys_of_the_report() -> None:
    from telex.cli.doctor import Case, Findings, to_json
    from telex.cli.place import read

    report = to_json(Case(read("localhost", query=[]), Findings(print)), "localhost", "0")
    table = PAGE.partition("| Key | Value |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == list(report)
