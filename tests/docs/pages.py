"""The pages of the documentation: their headings, fenced blocks and links."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)$")
_HEADING = re.compile(r"^#{1,6} (.+)$")
_CODE = re.compile(r"`[^`]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: the heading above it, and the line on which its text begins."""

    page: str
    heading: str
    language: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Page(NamedTuple):
    """What a page consists of. ``prose`` are its lines outside of fenced blocks."""

    name: str
    prose: list[str]
    headings: list[str]
    blocks: list[Block]

    @property
    def anchors(self) -> set[str]:
        """What a link to a heading of this page names."""
        return {_anchor(heading) for heading in self.headings}

    @property
    def links(self) -> list[str]:
        """The targets of all links and images that stay in the project."""
        found = [link for line in self.prose for link in _LINK.findall(_CODE.sub("", line))]
        return [link for link in found if "://" not in link and not link.startswith("mailto:")]


def pages() -> list[str]:
    """Every page of the documentation, from the root of the project on."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def read(name: str) -> Page:
    """Read a page."""
    page = Page(name, [], [], [])
    fenced: list[str] | None = None
    start, language = 0, ""
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if fenced is not None and line == "```":
            heading = page.headings[-1] if page.headings else ""
            page.blocks.append(Block(name, heading, language, start, "\n".join(fenced) + "\n"))
            fenced = None
        elif fenced is not None:
            fenced.append(line)
        elif fence is not None:
            fenced, start, language = [], number + 1, fence[1]
        else:
            page.prose.append(line)
            heading_line = _HEADING.match(line)
            if heading_line is not None:
                page.headings.append(heading_line[1])
    assert fenced is None, f"{name}: a block that begins on line {start - 1} does not end"
    return page


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


async def execute(block: Block, replace: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a Python block as a module of its own; its names.

    It may await at its top level, or block: then it runs in a thread. What ``replace`` names, such
    as an address, is replaced first.
    """
    text = block.text
    for old, new in (replace or {}).items():
        assert old in text, f"{block}: there is no {old!r}"
        text = text.replace(old, new)
    lines = "\n" * (block.line - 1) + text
    code = compile(lines, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    module = types.ModuleType("documented")
    if code.co_flags & inspect.CO_COROUTINE:
        await types.FunctionType(code, module.__dict__)()
    else:
        await asyncio.to_thread(exec, code, module.__dict__)
    return module.__dict__
