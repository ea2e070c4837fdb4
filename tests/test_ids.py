"""Identifiers: long, random, fit for a URL and a cookie."""

from __future__ import annotations

import re

from telex.ids import new_id


def test_shape_and_variety() -> None:
    ids = {new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", each) for each in ids)
    # 120 random bits: every place takes every character now and then.
    for place in range(20):
        assert len({each[place] for each in ids}) == 64
