"""How `telex connect` shows what happens: time, transport, direction, event."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from .._log import visible
from .values import show_value, show_values

Way = Literal["in", "out", "ack", "note", "trouble"]

_MARKS: dict[Way, tuple[str, str, str]] = {
    "in": ("←", "<", "green"),
    "out": ("→", ">", "cyan"),
    "ack": ("⇠", "<<", "magenta"),
    "note": ("·", ".", "dim"),
    "trouble": ("✗", "x", "bold red"),
}


class Screen(Console):
    """Standard output, whose reader may go away; ``gone`` is called then."""

    gone: Callable[[], object] = staticmethod(lambda: None)

    def on_broken_pipe(self) -> None:
        """Write nothing any more, and let the conversation come to its end."""
        self.quiet = True
        # What Python still has to write at its end must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.gone()


class Display:
    """Prints one line for everything that happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._symbols = "utf" in (console.encoding or "").lower()

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call back when nobody reads any more what is printed."""
        if isinstance(self._console, Screen):
            self._console.gone = callback

    def _line(self, way: Way, transport: str, body: Text) -> None:
        mark, plain, style = _MARKS[way]
        now = datetime.now().strftime("%H:%M:%S.%f")[:-3]
        self._console.print(
            Text.assemble(
                (now, "dim"),
                "  ",
                (transport.ljust(9), "dim"),
                "  ",
                (mark if self._symbols else plain, style),
                " ",
                body,
            )
        )

    def event(self, way: Way, transport: str, name: str, args: Sequence[Any], tail: str) -> None:
        """An event that came or went, or the acknowledgement of one."""
        body = Text.assemble((name_of(name), "bold"))
        if args:
            body.append(f" {show_values(args)}")
        if tail:
            body.append(f"  {tail}", style="dim")
        self._line(way, transport, body)

    def note(self, transport: str, text: str) -> None:
        """Something about the connection."""
        self._line("note", transport, Text(visible(text)))

    def trouble(self, transport: str, text: str) -> None:
        """Something that failed."""
        self._line("trouble", transport, Text(visible(text), style="red"))

    def plain(self, text: str) -> None:
        """Text without a time, such as the help."""
        self._console.print(Text(text))


def name_of(event: str) -> str:
    """The name of an event as one would type it."""
    simple = event.isprintable() and event and " " not in event and event[0] not in "/#'\"{["
    return event if simple else show_value(event)
