"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.parsers import JavaScriptParsers


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScriptParsers]:
    with JavaScriptParsers() as parsers:
        yield parsers
