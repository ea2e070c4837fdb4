"""The prompt of `telex connect`: a line to edit, with completion and a history that stays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from .display import name_of
from .interactive import Talk
from .lines import COMMANDS

_EVENT_FOLLOWS = ("/ack ", "/volatile ")


class Names(Completer):
    """Completes commands, the names of events seen, and namespaces."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What may stand where the cursor is."""
        text = document.text_before_cursor
        for word in self.candidates(text):
            begun = text.rpartition(" ")[2] if not text.startswith('"') else text
            yield Completion(f"{word} ", start_position=-len(begun), display=word)

    def candidates(self, text: str) -> list[str]:
        """Words that continue ``text``."""
        events = [name_of(name) for name in self._talk.events]
        for prefix in _EVENT_FOLLOWS:
            if text.startswith(prefix):
                return _starting(text.removeprefix(prefix), events)
        if text.startswith("/namespace "):
            return _starting(text.removeprefix("/namespace "), self._talk.namespaces)
        if text.startswith("/"):
            return _starting(text, list(COMMANDS))
        return _starting(text, events)


def _starting(text: str, words: list[str]) -> list[str]:
    return sorted(word for word in words if word.startswith(text) and word != text)


async def prompted(talk: Talk) -> AsyncIterator[str]:
    """The lines that somebody types, until Ctrl+D, or Ctrl+C on an empty line."""
    session: PromptSession[str] = PromptSession(
        history=history(),
        completer=Names(talk),
        auto_suggest=AutoSuggestFromHistory(),
        complete_while_typing=False,
        enable_history_search=True,
    )
    with patch_stdout(raw=True):
        talk.note("type an event and its arguments, or /help; Ctrl+D leaves")
        while True:
            try:
                line = await session.prompt_async(f"{talk.socket.nsp}> ")
            except EOFError:
                return
            except KeyboardInterrupt:
                if not session.default_buffer.text:
                    return
                continue
            yield line


def history_file() -> Path:
    """Where the history is kept: below ``$XDG_STATE_HOME``, or ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification says that a relative one is to be ignored.
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "telex" / "history"


def history() -> History:
    """The history of all sessions, readable by its owner only; else that of this session."""
    try:
        file = history_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except (OSError, RuntimeError):  # no home
        return InMemoryHistory()
    return FileHistory(file)
