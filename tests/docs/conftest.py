"""Fixtures of the documentation's tests: the JavaScript clients of the feature tests."""

from __future__ import annotations

from tests.features.conftest import programs, site

__all__ = ["programs", "site"]
