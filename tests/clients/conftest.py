"""Fixtures of the tests with JavaScript clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.javascript import Drivers

# Topics are functions outside the test modules; their assertions shall explain themselves, too.
pytest.register_assert_rewrite("tests.clients.topics")


@pytest.fixture(scope="module")
def drivers_of_module() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.close()


@pytest.fixture
def drivers(drivers_of_module: Drivers) -> Iterator[Drivers]:
    """JavaScript clients by generation; those that a test has opened are closed after it."""
    yield drivers_of_module
    drivers_of_module.forget_clients()
