"""The command line: `telex …`, or `python -m telex …`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without the extra `cli`, say in a sentence how to get it."""
    try:
        from .commands import app
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "typer"):
            raise
        sys.exit(f"The telex command needs {error.name}: pip install 'telex[cli]'")
    app(prog_name="telex")
