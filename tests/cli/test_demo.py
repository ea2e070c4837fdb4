"""The demo's three plain events with every generation of the client, and its care with texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from telex.cli.demo import MAX_NAME, MAX_TEXT, as_text, clean, clean_name
from tests.cli.process import CommandProcess, demo
from tests.support.node import run_script

CLIENTS = Path(__file__).parent / "plain_clients.js"


@pytest.fixture(scope="module")
def server() -> Iterator[CommandProcess]:
    with demo() as process:
        yield process


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
@pytest.mark.parametrize("generation", [1, 2, 3, 4])
def test_plain_events(server: CommandProcess, generation: int, transports: list[str]) -> None:
    seen = run_script(
        CLIENTS, {"url": server.url, "generation": generation, "transports": transports}
    )[0]
    name = f"client_{seen['ids'][1]}"
    said = [f"{name} says: {text}" for text in ("hello", "中文 🎉", "<b>not bold</b>", 42)]
    assert seen["answer"] == "hello world"
    assert seen["hi"] == f"I'm coming, my name: {name}."
    assert seen["first"] == said
    assert seen["second"] == said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (None, "null"),
        (True, "true"),
        (3.0, "3"),
        (2.5, "2.5"),
        (float("inf"), "inf"),
        ([1, None, ["a", True]], "1,,a,true"),
        ({"a": 1}, "[object Object]"),
        (b"bytes \xff", "bytes �"),
        ([[[[[["deep"]]]]]], "[object Object]"),
    ],
)
def test_values_become_text_as_in_javascript(value: object, text: str) -> None:
    assert as_text(value) == text


def test_long_text_is_cut() -> None:
    assert clean("x" * 10 * MAX_TEXT, MAX_TEXT) == "x" * MAX_TEXT


def test_text_keeps_what_people_write() -> None:
    text = "two\nlines,\ta tab, 中文, e\u0301 as é, 👩‍🚀 and ❤️"
    assert clean(text, MAX_TEXT) == text.replace("e\u0301", "é")


def test_text_loses_what_only_tricks_need() -> None:
    assert clean("a\x00b\x1b[31mc\ud800d\u202ee\u2066f", MAX_TEXT) == "ab[31mcdef"


def test_names_are_one_short_line() -> None:
    assert clean_name("  Ada \n Lovelace\t ") == "Ada Lovelace"
    assert len(clean_name("n" * 1000)) == MAX_NAME
    assert clean_name({"name": "Ada"}) == ""
    assert clean_name("\u202e\x07") == ""
