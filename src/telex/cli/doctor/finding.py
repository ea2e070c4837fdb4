"""What the doctor finds, one after the other, and what it comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..._log import shown

Status = Literal["ok", "info", "warning", "problem"]

LONGEST = 1000
"""How many characters of a server's words are shown, for people and for machines."""

FINE, PROBLEMS, UNREACHABLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A failure has a cause and, as far as one is known, a cure."""

    check: str
    status: Status
    summary: str
    cause: str = ""
    cure: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "check": self.check,
            "status": self.status,
            "summary": self.summary,
            "cause": self.cause or None,
            "cure": self.cure or None,
            "data": dict(self.data),
        }


class Findings:
    """All findings so far; ``shown`` is told each as it comes."""

    def __init__(self, shown: Callable[[Finding], None]) -> None:
        self.all: list[Finding] = []
        self.reached = True
        self._shown = shown

    def add(
        self,
        check: str,
        status: Status,
        summary: str,
        cause: str = "",
        cure: str = "",
        *,
        data: Mapping[str, object] | None = None,
        **more: object,
    ) -> None:
        """Note a finding and show it; ``data`` and ``more`` are for machines."""
        told = {key: _bounded(value) for key, value in {**(data or {}), **more}.items()}
        finding = Finding(
            check,
            status,
            shown(summary, LONGEST),
            shown(cause, LONGEST),
            shown(cure, LONGEST),
            told,
        )
        self.all.append(finding)
        self._shown(finding)

    def unreachable(
        self,
        check: str,
        summary: str,
        cause: str,
        cure: str,
        *,
        data: Mapping[str, object] | None = None,
        **more: object,
    ) -> None:
        """Note that no Socket.IO server was reached, and why."""
        self.reached = False
        self.add(check, "problem", summary, cause, cure, data=data, **more)

    @property
    def problems(self) -> int:
        return sum(finding.status == "problem" for finding in self.all)

    @property
    def status(self) -> int:
        """The exit status of the command."""
        if not self.reached:
            return UNREACHABLE
        return PROBLEMS if self.problems else FINE


def _bounded(value: object) -> object:
    """What a server has sent, as it is, or the beginning of its text if it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return value if len(text) <= LONGEST else shown(text, LONGEST)
