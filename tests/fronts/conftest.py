"""Fixtures of the tests of fronts."""

from tests.loop.conftest import clock, loop, make_loop

__all__ = ["clock", "loop", "make_loop"]
