"""Arguments as people type them, lines of `telex connect`, and addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.cli import place
from telex.cli.display import name_of
from telex.cli.lines import COMMANDS, HELP, Typed, read
from telex.cli.values import ValueProblem, read_line, read_value, show_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2.5", -2.5),
        ("true", True),
        ("null", None),
        ('"1"', "1"),
        ('{"a": [1]}', {"a": [1]}),
        ("word", "word"),
        ("NaN", "NaN"),
        ("two words", "two words"),
        ("1,5", "1,5"),
        ("", ""),
    ],
)
def test_one_argument(text: str, value: object) -> None:
    """JSON, or else the text."""
    assert read_value(text) == value


def test_files(tmp_path: Path) -> None:
    """Their bytes; a text with @ is quoted."""
    file = tmp_path / "file"
    file.write_bytes(b"\x00\xff")
    assert read_value(f"@{file}") == b"\x00\xff"
    assert read_value('"@home"') == "@home"
    with pytest.raises(ValueProblem, match="cannot be read: No such file"):
        read_value(f"@{tmp_path / 'none'}")


@pytest.mark.parametrize("text", ['{"a":', "[1, 2", '"open', '{"a": NaN}', '["x"] y'])
def test_broken_json(text: str) -> None:
    """What begins like JSON has to be JSON."""
    with pytest.raises(ValueProblem, match="This is not JSON"):
        read_value(text)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("chat hello world", ["chat", "hello", "world"]),
        ('chat "hello world" 5', ["chat", "hello world", 5]),
        ("chat 'hello world' ''", ["chat", "hello world", ""]),
        ('  add {"a": "b c"}   [1, 2] ', ["add", {"a": "b c"}, [1, 2]]),
        ('"private message" null', ["private message", None]),
        ("", []),
    ],
)
def test_a_line(line: str, values: list[object]) -> None:
    """Values and words, separated by blanks."""
    assert read_line(line) == values


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('chat {"a"', "This is not JSON"),
        ('chat "a"b', "A blank is missing before b"),
        ("chat 'a", "The quote is not closed"),
    ],
)
def test_broken_lines(line: str, problem: str) -> None:
    with pytest.raises(ValueProblem, match=problem):
        read_line(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=4))
def test_what_is_shown_can_be_typed(values: list[Any]) -> None:
    """On one line, as JSON, without anything that a terminal would obey."""
    line = " ".join(show_value(value) for value in values)
    assert read_line(line) == values
    assert all(c.isprintable() or c in "\u200c\u200d" for c in line)


def test_binary_is_shown_as_base64() -> None:
    shown = show_value({"file": b"hi", "parts": [bytearray(b"\x00")]})
    assert json.loads(shown) == {"file": {"$binary": "aGk="}, "parts": [{"$binary": "AA=="}]}


@given(st.text(min_size=1))
def test_names_can_be_typed(name: str) -> None:
    """An event is shown with its name as one would type it."""
    typed = read(name_of(name))
    assert typed == Typed("", (name,))


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("", None),
        ("# a comment", None),
        ("chat hi", Typed("", ("chat", "hi"))),
        ("404 hi", Typed("", ("404", "hi"))),
        ("null null", Typed("", ("null", None))),
        ('"/path" 1', Typed("", ("/path", 1))),
        ("/ack sum 1 2", Typed("/ack", ("sum", 1, 2))),
        ("/ns /chat", Typed("/namespace", ("/chat",))),
        ('/namespace chat {"token": 1}', Typed("/namespace", ("chat", {"token": 1}))),
        ("/answer", Typed("/answer", ())),
        ("/q", Typed("/quit", ())),
    ],
)
def test_commands(line: str, typed: Typed | None) -> None:
    assert read(line) == typed


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("/akc x", "did you mean /ack"),
        ("/path", 'is written "/path"'),
        ("/ack", "Write the name of an event"),
        ('{"a": 1} x', "The name of the event comes first"),
        ("/timeout", "Write /timeout SECONDS"),
        ("/timeout -1", "Write /timeout SECONDS"),
        ("/timeout true", "Write /timeout SECONDS"),
        ("/namespace", "Write /namespace NAME"),
        ("/status now", "takes no arguments"),
    ],
)
def test_commands_that_mean_nothing(line: str, problem: str) -> None:
    with pytest.raises(ValueProblem, match=problem):
        read(line)


def test_the_help_names_every_command() -> None:
    assert all(f"\n{name} " in HELP for name in COMMANDS)


@pytest.mark.parametrize(
    ("url", "origin", "namespace"),
    [
        ("localhost:3000", "http://localhost:3000", "/"),
        ("http://localhost:80/", "http://localhost", "/"),
        ("https://a.example/chat", "https://a.example", "/chat"),
        ("wss://a.example:443/chat/", "https://a.example", "/chat"),
        ("ws://[::1]:3000", "http://[::1]:3000", "/"),
        ("http://bücher.example/a", "http://xn--bcher-kva.example", "/a"),
    ],
)
def test_addresses(url: str, origin: str, namespace: str) -> None:
    found = place.read(url, query=[])
    assert (found.origin, found.namespace) == (origin, namespace)


def test_queries() -> None:
    """That of the URL, then the options, then the engine's own."""
    found = place.read("a.example/?x=1", path="live/", query=["y=2&z=3"])
    assert found.url({"EIO": "4"}) == "http://a.example/live/?x=1&y=2&z=3&EIO=4"
    assert (
        place.read("a.example", path="/a b/é", query=[]).url() == "http://a.example/a%20b/%C3%A9/"
    )
    assert place.origin_of("https://Bücher.example:443/") == "https://xn--bcher-kva.example"
    assert place.headers_of(["Cookie: a=b:c"]) == {"Cookie": "a=b:c"}
