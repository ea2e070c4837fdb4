"""What telex logs: its loggers, and the one way to write what a peer has chosen.

Whatever comes from the other side (names, ids, headers, reasons) goes through ``shown``: in logs,
in the text of exceptions, on a terminal. Tracebacks go through a filter of the loggers, because
the exceptions of handlers quote what clients send.
"""

from __future__ import annotations

import logging
import traceback

LONGEST = 200
"""How many characters of a value are shown, if nothing else is said."""

LONGEST_LINE = 1000
LONGEST_TRACEBACK = 200
"""How many lines of a traceback are shown, and characters of each."""

_JOINERS = "\u200c\u200d"  # parts of words and of emoji
_INDENT = "  "


def shown(value: object, limit: int = LONGEST) -> str:
    """A value as it may be logged or printed: on one line, escaped, at most ``limit`` characters.

    Text stays as it is, but for characters that a terminal obeys or hides; what is longer is cut,
    and its length told. Other values are shown by ``repr``, exceptions by their text.
    """
    text = value if isinstance(value, str) else _text_of(value)
    if len(text) <= limit:
        return visible(text)
    return f"{visible(text[:limit])}… ({len(text)} characters)"


def _text_of(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception as error:  # it is the application's own, and must not keep us from logging
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def visible(text: str) -> str:
    """The text with what a terminal would obey, or hide, escaped as in JSON."""
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or c in _JOINERS else _escaped(c) for c in text])


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join([f"\\u{units[n] << 8 | units[n + 1]:04x}" for n in range(0, len(units), 2)])


class _Tracebacks(logging.Filter):
    """Formats a traceback whose exceptions quote what could pass for lines of the log.

    Every line is then indented, escaped and cut; of too many lines, the first and last are kept.
    Other tracebacks are left to the formatters of the handlers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not record.exc_text and not all(map(_is_plain, _texts(error))):
            record.exc_text = _traceback(error)
        return True


def _is_plain(text: str) -> bool:
    return len(text) <= LONGEST_LINE and text.isprintable()


def _texts(error: BaseException) -> list[str]:
    """The texts of an exception and of those that led to it."""
    texts: list[str] = []
    found: list[BaseException] = [error]
    for each in found:  # which grows meanwhile
        texts.append(_text_of(each))
        texts.extend(getattr(each, "__notes__", ()))
        inner: tuple[BaseException, ...] = getattr(each, "exceptions", ())  # of a group
        for more in (each.__cause__, each.__context__, *inner):
            if more is not None and more not in found:
                found.append(more)
    return texts


def _traceback(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    if len(lines) > LONGEST_TRACEBACK:
        half = LONGEST_TRACEBACK // 2
        lines[half:-half] = [f"… ({len(lines) - 2 * half} lines)"]
    return "\n".join([_INDENT + shown(line, LONGEST_LINE) for line in lines])


def _logger(name: str) -> logging.Logger:
    made = logging.getLogger(name)
    made.addFilter(_Tracebacks())
    return made


logger = _logger("telex")
"""Failures, refusals, limits that were reached."""

connections = _logger("telex.connections")
"""INFO: connections that are opened, moved to another transport and closed, and their sockets."""

packets = _logger("telex.packets")
"""DEBUG: every packet."""
