"""Fixtures of the browser tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import chromium, node

SCRIPT = Path(__file__).parent / "chromium.js"


@pytest.fixture(scope="session")
def browser() -> Iterator[str]:
    """The endpoint of a browser; every script that connects has contexts of its own in it."""
    process = subprocess.Popen(
        [node(), str(SCRIPT), chromium()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        assert endpoint.startswith("ws://"), endpoint
        yield endpoint
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
