"""Bad input: every row gets its exact answer, and touches nobody else."""

from __future__ import annotations

import pytest

from tests.rules import http_rows, packet_rows, payload_rows, websocket_rows
from tests.rules.conftest import Subjects
from tests.rules.rows import Row
from tests.rules.subject import Host

ROWS = [
    *payload_rows.ROWS_4,
    *payload_rows.ROWS_3,
    *http_rows.ROWS,
    *websocket_rows.ROWS,
    *packet_rows.ROWS,
]

# WebSockets are read by two forms of telex: its compiled part, and picows.
CASES = [
    pytest.param(host, row, id=f"{row.id} [{host}]")
    for row in ROWS
    for host in (*row.hosts, *(["pure"] if row in websocket_rows.ROWS else []))
    if host != "pure" or "fast" in row.hosts
]


@pytest.mark.parametrize(("host", "row"), CASES)
def test_row(subjects: Subjects, host: Host, row: Row) -> None:
    subject = subjects[host]
    try:
        row.run(subject)
    except BaseException as error:
        error.add_note("\n".join(["The server's log:", *subject.new_log()]))
        subject.forget()
        raise
    lines = subject.unharmed(server=row.server)
    assert row.log is None or len(lines) <= row.log, "\n".join(lines)


def test_rows_have_names_of_their_own() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
