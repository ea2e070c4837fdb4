"""Arguments of events as people type them: JSON, bare words, `@file`."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from .._log import visible

_OPENING = ("{", "[", '"')


class ValueProblem(Exception):
    """What was typed cannot be read; the message says where."""


def read_value(text: str) -> Any:
    """One argument: JSON if it is JSON, the bytes of a file after ``@``, else the text itself.

    What begins like an object, a list or a quoted string must be one.

    Raises:
        ValueProblem: it begins like JSON and is none, or the file cannot be read.
    """
    if text.startswith("@"):
        return _file(text[1:])
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        if not text.lstrip().startswith(_OPENING):
            return text
        where = error.pos if isinstance(error, json.JSONDecodeError) else 0
        raise ValueProblem(f"This is not JSON: {text} (at character {where + 1}).") from None


def read_auth(text: str) -> Any:
    """What follows ``--auth``: JSON, or the JSON in a file after ``@``.

    Raises:
        ValueProblem: it is no JSON, or the file cannot be read.
    """
    if text.startswith("@"):
        text = _file(text[1:]).decode("utf-8", "replace").strip()
    try:
        return json.loads(text)
    except ValueError:
        raise ValueProblem(
            f'--auth is JSON, such as \'{{"token": "abc"}}\', not {text!r}.'
        ) from None


def read_line(line: str) -> list[Any]:
    """A line as the arguments of an event, the name first.

    JSON values and words are separated by blanks; quotes, single ones too, hold a text together.

    Raises:
        ValueProblem: something in it cannot be read.
    """
    values: list[Any] = []
    decoder = json.JSONDecoder(parse_constant=_no_number)
    pos = _skip(line, 0)
    while pos < len(line):
        if line[pos] in _OPENING:
            try:
                value, end = decoder.raw_decode(line, pos)
            except ValueError as error:
                where = error.pos if isinstance(error, json.JSONDecodeError) else pos
                raise ValueProblem(
                    f"This is not JSON: {line[pos:]} (at character {where - pos + 1})."
                ) from None
            if end < len(line) and not line[end].isspace():
                raise ValueProblem(f"A blank is missing before {line[end:]}.")
        elif line[pos] == "'":
            end = line.find("'", pos + 1) + 1
            if not end:
                raise ValueProblem(f"The quote is not closed: {line[pos:]}")
            value = line[pos + 1 : end - 1]
        else:
            end = pos
            while end < len(line) and not line[end].isspace():
                end += 1
            value = read_value(line[pos:end])
        values.append(value)
        pos = _skip(line, end)
    return values


def show_value(value: Any) -> str:
    """A value as JSON on one line; binary as ``{"$binary": base64}``."""
    return visible(json.dumps(_plain(value), ensure_ascii=False, default=str))


def show_values(values: Sequence[Any]) -> str:
    """Several values, separated by blanks."""
    return " ".join([show_value(value) for value in values])


def json_text(value: Any) -> str:
    """A value as JSON in lines, in which nothing is hidden, and nothing moves a cursor."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return "\n".join(map(visible, lines))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        return {"$binary": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast(Sequence[Any], value)]
    return value


def _file(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).expanduser().read_bytes()
    except OSError as error:
        raise ValueProblem(
            f"The file {name!r} cannot be read: {error.strerror}. "
            'A text that begins with @ is written in quotes: "@…".'
        ) from None


def _skip(line: str, pos: int) -> int:
    while pos < len(line) and line[pos].isspace():
        pos += 1
    return pos


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
