"""The doctor's findings, as tests read them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from telex import EngineServer, Server
from telex.cli import place
from telex.cli.doctor import Case, Finding, Findings, examine


@dataclass
class Diagnosis:
    """What an examination came to."""

    case: Case
    status: int

    def all(self, check: str) -> list[Finding]:
        """Every finding of a check."""
        return [finding for finding in self.case.findings.all if finding.check == check]

    def one(self, check: str) -> Finding:
        """The only finding of a check."""
        (finding,) = self.all(check)
        return finding

    def problem(self, check: str) -> Finding:
        """The only problem that was found, which is one of this check, with its cause and cure."""
        (finding,) = [one for one in self.case.findings.all if one.status == "problem"]
        assert finding.check == check
        assert finding.cause
        assert finding.cure
        return finding

    @property
    def checks(self) -> dict[str, str]:
        """The status of each check; of several findings, that of the last."""
        return {finding.check: finding.status for finding in self.case.findings.all}


async def diagnose(
    url: str,
    *,
    path: str = "/socket.io",
    namespace: str | None = None,
    query: tuple[str, ...] = (),
    timeout: float = 5.0,
    sessions: int = 2,
    **options: Any,
) -> Diagnosis:
    """Examine a server, as the command does."""
    where = place.read(url, path=path, namespace=namespace, query=list(query))
    case = Case(where, Findings(lambda _: None), timeout=timeout, sessions=sessions, **options)
    return Diagnosis(case, await examine(case))


@asynccontextmanager
async def serving(io: Server | EngineServer) -> AsyncGenerator[str]:
    """Serve it on a free port; its address."""
    await io.listen(port=0)
    try:
        yield f"http://127.0.0.1:{io.port}"
    finally:
        await io.close()
