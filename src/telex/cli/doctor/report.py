"""The findings on a terminal, and as JSON."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from ..values import visible
from .case import Case
from .finding import FINE, PROBLEMS, Finding

_MARKS = {
    "ok": ("✓", "+", "green"),
    "info": ("·", ".", "cyan"),
    "warning": ("!", "!", "yellow"),
    "problem": ("✗", "x", "bold red"),
}
_WIDTH = 12


class Lines:
    """Shows each finding as it comes; cause and cure stand below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._symbols = "utf" in (console.encoding or "").lower()

    def show(self, finding: Finding) -> None:
        """Print a finding."""
        mark, plain, style = _MARKS[finding.status]
        summary = Text(visible(finding.summary))
        if finding.status in ("warning", "problem"):
            summary.stylize(style)
        self._console.print(
            Text.assemble(
                (mark if self._symbols else plain, style),
                " ",
                (finding.check.ljust(_WIDTH), "dim"),
                summary,
            )
        )
        words = ("cause", "cure" if finding.cause else "note")
        for word, said in zip(words, (finding.cause, finding.cure), strict=True):
            if said:
                self._indented(word, said)

    def _indented(self, word: str, said: str) -> None:
        """Print a cause or cure; on a terminal, in its width."""
        indent = " " * (_WIDTH + 2)
        told = f"{word}: {visible(said)}"
        width = max(40, self._console.width - 1)
        lines = [told]
        if self._console.is_terminal:
            lines = wrap(told, width - len(indent), break_on_hyphens=False)
        for number, line in enumerate(lines):
            text = Text(indent + line)
            if number == 0:
                text.stylize("bold", len(indent), len(indent) + len(word) + 1)
            self._console.print(text)

    def conclude(self, case: Case) -> None:
        """Print what it comes to."""
        findings = case.findings
        self._console.print()
        if findings.status == FINE:
            said, style = "Nothing stands in the way of clients.", "green"
        elif findings.status == PROBLEMS:
            count = findings.problems
            said, style = f"{count} problem{'s' if count != 1 else ''} found.", "bold red"
        else:
            said, style = "No Socket.IO server was reached.", "bold red"
        self._console.print(Text(said, style=style))


def to_json(case: Case, url: str, version: str) -> dict[str, Any]:
    """The report for machines; `docs/command-line.md` describes it."""
    findings, opened = case.findings, case.opened
    transports = [
        name for name, works in (("polling", case.polling), ("websocket", case.websocket)) if works
    ]
    return {
        "format": 1,
        "telex": version,
        "url": url,
        "path": case.place.path,
        "namespace": case.place.namespace,
        "origin": case.origin,
        "status": findings.status,
        "reached": findings.reached,
        "problems": findings.problems,
        "revision": case.revision if opened is not None else None,
        "transports": transports,
        "ping_interval": opened.ping_interval if opened else None,
        "ping_timeout": opened.ping_timeout if opened else None,
        "max_payload": opened.max_payload if opened else None,
        "findings": [finding.to_dict() for finding in findings.all],
    }
