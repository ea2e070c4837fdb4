"""How many examples are generated: few in every run, more with `make thorough`."""

from __future__ import annotations

import os

EXAMPLES = 50
"""For each generated test of a run of the suite, unless it says otherwise."""

THOROUGH = 40
"""How many times as many `make thorough` plays."""


def examples(count: int) -> int:
    """``count`` examples in a run of the suite, more in a thorough one."""
    return count * THOROUGH if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else count
