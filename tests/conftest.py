"""Settings that hold for every test; fixtures live beside the tests that use them."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Plain `assert` in the helpers explains itself as it does in the tests.
pytest.register_assert_rewrite("tests.support")

# Debug mode for every event loop, those of the servers started as processes included.
os.environ["PYTHONASYNCIODEBUG"] = "1"


def _load_profile() -> None:
    """Load the settings of generated tests.

    No deadlines: timings on a shared machine are noise. The same commit plays the same examples,
    so that a run says something about the commit. ``make thorough`` looks for new ones, forty
    times as many; a failure prints the line that repeats it.
    """
    from tests.support.examples import EXAMPLES, THOROUGH

    settings.register_profile(
        "ci",
        deadline=None,
        derandomize=True,
        print_blob=True,
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.register_profile(
        "thorough",
        settings.get_profile("ci"),
        derandomize=False,
        max_examples=THOROUGH * EXAMPLES,
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


_load_profile()


def pytest_configure(config: pytest.Config) -> None:
    """Watch the run, in the process that hears of all workers' results."""
    from tests.support.documented import Documented

    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Documented(config), "documented features")
