"""Fixtures of the feature tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.features.scripts import Programs, Site


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    programs = Programs()
    yield programs
    programs.close()


@pytest.fixture
async def site(programs: Programs) -> AsyncIterator[Site]:
    """Servers in the test's own loop, and JavaScript pages for them."""
    site = Site(programs)
    yield site
    await site.close()
