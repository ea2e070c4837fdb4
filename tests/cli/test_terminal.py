"""`telex connect` in a real terminal: the prompt, completion, the history that stays."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from prompt_toolkit.history import FileHistory, InMemoryHistory

from telex.cli import terminal
from tests.cli.terminal import Terminal
from tests.client.counterparts import Counterparts


def test_a_session(tmp_path: Path, counterparts: Counterparts) -> None:
    """Somebody types, completes the name of an event that was seen, and comes back later."""
    env = {"XDG_STATE_HOME": str(tmp_path)}
    url = counterparts["telex"].url()
    with Terminal("connect", url, "--transport", "websocket", env=env) as screen:
        screen.sees("/help; Ctrl+D leaves")
        screen.type('echo "from a terminal"\r')
        screen.sees('← echo "from a terminal"')
        screen.type("/ack answer 5\r")
        screen.sees("⇠ answer 5")
        screen.type("push 1\r")
        screen.sees("← number 0")
        screen.type("numb\t")
        screen.sees("number", times=2)
        screen.type(" again\r")
        screen.sees('→ number "again"')
        screen.type("/namespace /chat\r")
        screen.sees("connected to /chat")
        screen.sees("/chat>")
        screen.type("half a line\x03")  # Ctrl+C drops it
        screen.type("/ack answer 6\r")
        screen.sees("⇠ answer 6")
        screen.type("\x04")
        assert screen.wait() == 0
        assert "Traceback" not in screen.shown
    file = tmp_path / "telex" / "history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Terminal("connect", url, "--transport", "websocket", env=env) as screen:
        screen.sees("/help; Ctrl+D leaves")
        screen.type("\x1b[A\r")  # the last line again
        screen.sees("⇠ answer 6")
        screen.type("\x03")  # Ctrl+C on an empty line
        assert screen.wait() == 0


def test_nobody_there(tmp_path: Path) -> None:
    """No prompt where there is no server."""
    with Terminal("connect", "127.0.0.1:1", env={"XDG_STATE_HOME": str(tmp_path)}) as screen:
        assert screen.wait() == 2
        screen.sees("cannot be reached")


def test_without_the_prompt() -> None:
    """An installation without the extra says what to install."""
    script = (
        "import sys; sys.modules['prompt_toolkit'] = None;from telex.cli.commands import app; app()"
    )
    program = [sys.executable, "-c", script]
    with Terminal("connect", "127.0.0.1:1", env={}, program=program) as screen:
        assert screen.wait() == 1
        screen.sees("The prompt needs prompt_toolkit: pip install 'telex[cli]'")


def test_colours_of_the_doctor(tmp_path: Path, counterparts: Counterparts) -> None:
    """On a terminal, causes and cures fit its width."""
    with Terminal("doctor", counterparts["telex"].url(namespace="/nope"), env={}) as screen:
        assert screen.wait() == 1
        screen.sees("1 problem found.")
        assert "✗ namespace" in screen.shown
        assert "cure: Correct the name" in screen.shown


def test_where_the_history_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the directory for states; without any, it lasts for the session."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert terminal.history_file() == tmp_path / ".local" / "state" / "telex" / "history"
    assert isinstance(terminal.history(), FileHistory)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert isinstance(terminal.history(), InMemoryHistory)
