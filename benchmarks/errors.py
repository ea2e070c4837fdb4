"""What can keep a comparison from being made."""


class BenchmarkError(Exception):
    """Says in one sentence what is missing or went wrong, and what to do about it."""
