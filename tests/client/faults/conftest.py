"""Fixtures of the fault tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.client.faults.elsewhere import Elsewhere
from tests.client.faults.scenes import server
from tests.features.scripts import Programs, Site


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[list[str]]:
    """What the event loop complains of: forgotten exceptions, callbacks that fail."""
    found: list[str] = []

    def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        found.append(f"{context['message']}: {context.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(complain)
    yield found
    assert not found


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    """JavaScript clients, in one process for a whole module."""
    programs = Programs()
    yield programs
    programs.close()


@pytest.fixture
async def site(programs: Programs) -> AsyncIterator[Site]:
    """Servers in the test's own loop, and JavaScript pages for them."""
    site = Site(programs)
    yield site
    await site.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Elsewhere]:
    """One server for a module, in a loop of its own."""
    there = Elsewhere.start(server())
    yield there
    there.close()


@pytest.fixture
async def there(shared: Elsewhere) -> AsyncIterator[Elsewhere]:
    """That server, reached through a proxy without faults."""
    yield shared
    await shared.mend()
