"""The findings on a terminal, and as JSON."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from ..._log import visible
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
        head = Text.assemble((mark if self._symbols else plain, style), " ")
        head.append(finding.check.ljust(_WIDTH), style="dim")
        loud = style if finding.status in ("warning", "problem") else ""
        for line in self._wrapped(visible(finding.summary)):
            self._console.print(Text.assemble(head, (line, loud)))
            head = Text(" " * (_WIDTH + 2))
        words = ("cause", "cure" if finding.cause else "note")
        for word, said in zip(words, (finding.cause, finding.cure), strict=True):
            if said:
                first, *others = self._wrapped(f"{word}: {visible(said)}")
                length = len(word) + 1
                self._console.print(Text.assemble(head, (first[:length], "bold"), first[length:]))
                for line in others:
                    self._console.print(Text.assemble(head, line))

    def _wrapped(self, text: str) -> list[str]:
        """The text in lines: on a terminal, so that they fit behind the indentation."""
        if not self._console.is_terminal:
            return [text]
        width = max(40, self._console.width - _WIDTH - 3)
        return wrap(text, width, break_on_hyphens=False)

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
