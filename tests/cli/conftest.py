"""Servers of other kinds than telex, started when a test first needs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.counterparts import Counterparts


@pytest.fixture(scope="session")
def counterparts() -> Iterator[Counterparts]:
    """Servers of every kind."""
    counterparts = Counterparts()
    yield counterparts
    counterparts.stop()
