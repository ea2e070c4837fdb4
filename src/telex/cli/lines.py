"""What can be typed in `telex connect`: events, and commands that begin with a slash."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from .values import ValueProblem, read_line

COMMANDS = {
    "/ack": ("EVENT ARGS…", "emit, and show the acknowledgement with the time it took"),
    "/volatile": ("EVENT ARGS…", "emit only if it can be sent at once"),
    "/answer": ("ARGS…", "acknowledge the last event that asked for it"),
    "/namespace": ("NAME [AUTH]", "go to another namespace over the same connection"),
    "/timeout": ("SECONDS", "how long acknowledgements are waited for"),
    "/status": ("", "the connection as it is now"),
    "/disconnect": ("", "leave the namespace"),
    "/connect": ("", "come back"),
    "/help": ("", "this list"),
    "/quit": ("", "leave (or Ctrl+D)"),
}
_SHORT = {"/ns": "/namespace", "/exit": "/quit", "/q": "/quit", "/h": "/help", "/?": "/help"}

HELP = "\n".join(
    [
        "event json json…          emit an event: JSON values, words as texts, 'quoted texts',",
        '                       @file for the bytes of a file; "/name" for such an event',
        *(f"{f'{name} {usage}':<25} {told}" for name, (usage, told) in COMMANDS.items()),
    ]
)


@dataclass(frozen=True, slots=True)
class Typed:
    """A line: a command, and what follows it. A plain event is the command ``""``."""

    command: str
    values: tuple[Any, ...]


def read(line: str) -> Typed | None:
    """What a line means; ``None`` for an empty one.

    Raises:
        ValueProblem: it means nothing; the message says what to write instead.
    """
    text = line.strip()
    if not text or text.startswith("#"):
        return None
    if not text.startswith("/"):
        return Typed("", _event(text))
    word, _, rest = text.partition(" ")
    command = _SHORT.get(word, word)
    if command not in COMMANDS:
        near = difflib.get_close_matches(word, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "/help lists them."
        raise ValueProblem(
            f'There is no command {word}: {hint} An event of this name is written "{word}".'
        )
    if command in ("/ack", "/volatile"):
        return Typed(command, _event(rest.strip()))
    values = tuple(read_line(rest))
    if command == "/timeout" and not (len(values) == 1 and _positive(values[0])):
        raise ValueProblem("Write /timeout SECONDS, such as /timeout 5.")
    if command == "/namespace" and not (1 <= len(values) <= 2 and isinstance(values[0], str)):
        raise ValueProblem("Write /namespace NAME, or /namespace NAME AUTH with AUTH in JSON.")
    if not COMMANDS[command][0] and values:
        raise ValueProblem(f"{command} takes no arguments.")
    return Typed(command, values)


def _event(text: str) -> tuple[Any, ...]:
    """A name and arguments. A name without quotes is what it looks like, a number too."""
    if not text:
        raise ValueProblem("Write the name of an event, and its arguments.")
    if text[0] not in "\"'{[":
        name, _, rest = text.partition(" ")
        return (name, *read_line(rest))
    values = read_line(text)
    if not isinstance(values[0], str):
        raise ValueProblem("The name of the event comes first, and is a text.")
    return tuple(values)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
