"""What peers choose is never written raw or unbounded: in logs, errors, on terminals."""

from __future__ import annotations

import ast
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import telex
from telex._log import LONGEST_TRACEBACK, logger, shown
from telex.errors import LONGEST, ConnectError, Disconnected, PacketError, TransportError

SOURCE = Path(telex.__file__).parent
HOSTILE = "a\r\nb\x1b[31m\x9b\u202e\u2066\ud800c"
RAW = re.compile(r"[^\x20-\x7e…]")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LOGGERS = {"logger", "connections", "packets", "_errors", "_access", "_log"}
PLACEHOLDER = re.compile(r"%(?:%|([-#0 +]*[0-9]*(?:\.[0-9]+)?)([a-zA-Z]))")
FOREIGN = {"fronts/uvicorn/polling.py: '%s - \"%s %s HTTP/%s\" %d'"}
"""The line of uvicorn's access log, whose parts uvicorn's own formatter takes apart."""


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if node.func.attr in LEVELS and (name in LOGGERS or name.endswith("logger")):
                yield path.relative_to(SOURCE).as_posix(), node


def mistakes(call: ast.Call) -> Iterator[str]:
    """What is written without ``shown``: only numbers and constants may be."""
    first, *values = call.args
    if isinstance(first, ast.Name) and first.id == "level":
        first, *values = values
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        yield "the message is made at the call"
        return
    kinds = [kind for _, kind in PLACEHOLDER.findall(first.value) if kind]
    if len(kinds) != len(values):
        yield f"{len(kinds)} placeholders for {len(values)} values"
    for kind, value in zip(kinds, values, strict=False):
        if kind == "r":
            yield "%r writes whatever a repr contains"
        elif kind == "s" and not is_safe(value):
            yield f"%s writes {ast.unparse(value)}"


def is_safe(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "shown"
    if isinstance(value, ast.Name):
        return value.id.isupper()
    return isinstance(value, ast.Constant)


def test_every_log_call_shows_what_it_was_given() -> None:
    found = list(log_calls())
    assert len(found) > 30
    wrong = [
        f"{path}:{call.lineno}: {mistake}"
        for path, call in found
        for mistake in mistakes(call)
        if f"{path}: {ast.unparse(call.args[0])}" not in FOREIGN
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('logger.info("x %s", name)', True),
        ('logger.info("x %r", shown(name))', True),
        ('logger.info(f"x {name}")', True),
        ("logger.info(name)", True),
        ('logger.info("x %.100r", name)', True),
        ('self.logger.error("x %s", str(name))', True),
        ('logger.info("x %s %d of 100%%", shown(name), count)', False),
        ('logger.info("x %s", TIMEOUT)', False),
    ],
)
def test_the_walk_tells_what_is_wrong(line: str, wrong: bool) -> None:
    call = ast.parse(line).body[0]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    assert bool(list(mistakes(call.value))) is wrong


def test_loggers_are_made_in_one_place() -> None:
    for path in SOURCE.rglob("*.py"):
        names = re.findall(r'getLogger\("?([^")]*)', path.read_text("utf-8"))
        assert path.name == "_log.py" or all(name.startswith("uvicorn") for name in names), path


def test_shown() -> None:
    assert shown("plain — ünïcode 🎈") == "plain — ünïcode 🎈"
    assert shown(HOSTILE) == "a\\u000d\\u000ab\\u001b[31m\\u009b\\u202e\\u2066\\ud800c"
    assert shown("x" * 5000) == "x" * 200 + "… (5000 characters)"
    assert shown([HOSTILE]) == repr([HOSTILE])
    assert shown(ValueError(HOSTILE)) == shown(HOSTILE)

    class Broken:
        def __repr__(self) -> str:
            raise ValueError(HOSTILE)

    assert shown(Broken()) == "<Broken without a text: ValueError>"


@pytest.mark.parametrize(
    "error",
    [
        ConnectError(HOSTILE * 1000),
        TransportError("websocket error", HOSTILE * 1000),
        TransportError(HOSTILE * 1000),
        Disconnected(HOSTILE * 1000),
        PacketError(HOSTILE * 1000),
    ],
)
def test_errors_quote_peers_on_one_bounded_line(error: Exception) -> None:
    assert not RAW.search(str(error))
    assert len(str(error)) < 7 * LONGEST


def test_a_refusal_keeps_the_exact_message_for_the_program() -> None:
    assert ConnectError(HOSTILE).message == HOSTILE


def logged(error: BaseException) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        logger.error("it failed", exc_info=error)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue().splitlines()


def test_no_line_of_a_traceback_passes_for_a_line_of_the_log() -> None:
    try:
        raise ValueError(f"no such user: {HOSTILE}\nINFO admin has logged in")
    except ValueError as error:
        lines = logged(error)
    assert lines[0] == "ERROR it failed"
    assert lines[1] == "  Traceback (most recent call last):"
    assert "  INFO admin has logged in" in lines
    assert all(line.startswith("  ") and not RAW.search(line) for line in lines[1:])


def test_a_traceback_is_bounded() -> None:
    lines = logged(ValueError("x" * 100_000 + "\ny" * 100_000))
    assert len(lines) <= LONGEST_TRACEBACK + 2
    assert max(map(len, lines)) < 1100
