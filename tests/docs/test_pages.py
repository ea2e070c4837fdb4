"""What the pages name is there: links, headings, targets of make, commands."""

from __future__ import annotations

import re

import pytest

from telex.cli.commands import app
from tests.docs.pages import ROOT, pages, read

_FILE = re.compile(r"`(\w[\w./-]*\.(?:py|js|md|json|c|toml))`")
_TARGET = re.compile(r"\bmake ([a-z]+)")
_COMMAND = re.compile(r"(?:`|\$ )telex ([a-z]+)")


@pytest.mark.parametrize("name", pages())
def test_links(name: str) -> None:
    """Every relative link leads to a file of the project, and to a heading that it has."""
    page = read(name)
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link} leads nowhere"
        if anchor:
            there = read(str(target.resolve().relative_to(ROOT)))
            assert anchor in there.anchors, f"{name}: {link} names no heading"


@pytest.mark.parametrize("name", pages())
def test_files(name: str) -> None:
    """A file that is named with its folder is there: in the project, the package or the tests."""
    for path in _FILE.findall("\n".join(read(name).prose)):
        places = [ROOT / path, ROOT / "src" / "telex" / path, ROOT / "tests" / path]
        assert "/" not in path or any(place.is_file() for place in places), f"{name}: {path}"


def test_every_page_is_linked() -> None:
    """From the README, directly or by way of another page."""
    linked = {"README.md"}
    found = ["README.md"]
    while found:
        name = found.pop()
        for link in read(name).links:
            path = (ROOT / name).parent / link.partition("#")[0]
            target = str(path.resolve().relative_to(ROOT))
            if target.endswith(".md") and target not in linked:
                linked.add(target)
                found.append(target)
    assert set(pages()) <= linked


def test_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text()
    there = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    for name in pages():
        page = read(name)
        shown = [block.text for block in page.blocks if block.language == "console"]
        quoted = re.findall(r"`(make [^`]+)`", "\n".join(page.prose))
        for target in _TARGET.findall("\n".join([*shown, *quoted])):
            assert target in there, f"{name}: there is no `make {target}`"


def test_commands() -> None:
    there = {
        info.name or info.callback.__name__ for info in app.registered_commands if info.callback
    }
    for name in pages():
        for command in _COMMAND.findall((ROOT / name).read_text()):
            assert command in there, f"{name}: there is no `telex {command}`"
