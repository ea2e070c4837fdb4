"""`--env-file`: variables of the environment from a file of KEY=VALUE lines."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LINE = re.compile(
    r"""
    \s* (?: export \s+ )? (?P<name> [A-Za-z_][A-Za-z0-9_.]* ) \s* = [ \t]*
    (?: '(?P<literal> [^']* )' | "(?P<quoted> (?: [^"\\] | \\. )* )" | (?P<bare> (?!['"]) .*? ) )
    (?: (?: ^ | \s+ ) \# .* )? \s*
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class EnvironmentFileError(Exception):
    """The file cannot be read; the message says why."""


def read_environment(path: str) -> None:
    """Set the variables that a file names, unless they are set already.

    A value may stand in single quotes (as it is) or double quotes (with ``\\n``, ``\\t``,
    ``\\"``); empty lines and what follows a ``#`` are left out.

    Raises:
        EnvironmentFileError: the file, or a line of it, cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise EnvironmentFileError(f"--env-file {path} cannot be read: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise EnvironmentFileError(f"--env-file {path}: line {number} is not KEY=VALUE.")
        os.environ.setdefault(found["name"], _value(found))


def _value(found: re.Match[str]) -> str:
    if found["quoted"] is not None:
        return _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), found["quoted"])
    literal: str | None = found["literal"]
    bare: str = found["bare"] or ""
    return bare if literal is None else literal
