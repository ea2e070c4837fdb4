"""The study of clients, in small: every client works, and every figure is there."""

import pytest

from benchmarks.__main__ import QUICK_SCALE
from benchmarks.comparison import Cores
from benchmarks.studies import clients


@pytest.fixture(scope="module")
def text() -> str:
    said: list[str] = []
    findings = clients.run([], QUICK_SCALE, Cores.available(), said.append)
    assert len(said) > len(findings.verdicts)
    assert len(findings.verdicts) == len(clients.measures(QUICK_SCALE))
    return findings.text


def test_every_client_has_every_figure(text: str) -> None:
    head, _, *rows = text.splitlines()
    assert len(rows) == len(clients.measures(QUICK_SCALE))
    titles = [cell.strip() for cell in head.strip("|").split("|")[1:]]
    assert titles == [client.title for client in clients.clients()]
    for row in rows:
        for cell in row.strip("|").split("|")[1:]:
            float(cell.replace(",", ""))
