"""Identifiers: long, random, fit for a URL and a cookie."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from telex.ids import new_id


def test_shape_and_variety() -> None:
    ids = {new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", each) for each in ids)
    # 120 random bits: every place takes every character now and then.
    for place in range(20):
        assert len({each[place] for each in ids}) == 64


def test_threads_never_get_the_same() -> None:
    def some(_: int) -> list[str]:
        return [new_id() for _ in range(1000)]

    with ThreadPoolExecutor(8) as threads:
        ids = [each for found in threads.map(some, range(16)) for each in found]
    assert len(set(ids)) == len(ids) == 16_000


_FORKS = """
import os
from telex.ids import new_id
new_id()  # more are ready now
child = os.fork()
os.write(1, "".join([new_id() + " " for _ in range(50)]).encode())
if child:
    os.waitpid(child, 0)
"""


def test_processes_never_get_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FORKS], capture_output=True, text=True, check=True, timeout=60
    )
    ids = done.stdout.split()
    assert len(set(ids)) == len(ids) == 100
