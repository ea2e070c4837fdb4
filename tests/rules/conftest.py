"""One process of servers per host, for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.rules.subject import HOSTS, Host, ServerSet, Subject


class Subjects:
    """The servers by host, started when they are first needed."""

    def __init__(self, stack: ExitStack, servers: ServerSet = "rules") -> None:
        self._stack = stack
        self._servers: ServerSet = servers
        self._subjects: dict[Host, Subject] = {}

    def __getitem__(self, host: Host) -> Subject:
        if host not in self._subjects:
            self._subjects[host] = self._stack.enter_context(Subject(host, self._servers))
        return self._subjects[host]


@pytest.fixture(scope="session")
def subjects() -> Iterator[Subjects]:
    with ExitStack() as stack:
        yield Subjects(stack)


@pytest.fixture(params=HOSTS)
def subject(subjects: Subjects, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The servers, which must be unharmed afterwards."""
    host: Host = request.param
    yield subjects[host]
    subjects[host].unharmed()
