"""The demo's three plain events with every generation of the client, and its care with texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from telex.cli.demo import BURST, MAX_NAME, MAX_TEXT, as_text, clean, clean_name
from tests.cli.process import CommandProcess, demo
from tests.support.node import JsonObject, run_script

PLAIN_CLIENTS = Path(__file__).parent / "plain_clients.js"
PAGE_CLIENT = Path(__file__).parent / "page_client.js"


@pytest.fixture(scope="module")
def server() -> Iterator[CommandProcess]:
    with demo() as process:
        yield process


def chat(
    server: CommandProcess, texts: list[object], generation: int = 4, transports: str = "websocket"
) -> JsonObject:
    """What two plain clients see when the second one says these texts."""
    scenario = {
        "url": server.url,
        "generation": generation,
        "transports": transports.split(),
        "texts": texts,
    }
    return run_script(PLAIN_CLIENTS, scenario)[0]


@pytest.mark.parametrize("transports", ["polling", "websocket", "polling websocket"])
@pytest.mark.parametrize("generation", [1, 2, 3, 4])
def test_plain_events(server: CommandProcess, generation: int, transports: str) -> None:
    texts: list[object] = ["hello", "中文 🎉", "<b>not bold</b>", 42]
    seen = chat(server, texts, generation, transports)
    name = f"client_{seen['ids'][1]}"
    assert seen["answer"] == "hello world"
    assert seen["hi"] == f"I'm coming, my name: {name}."
    assert seen["first"] == [f"{name} says: {text}" for text in texts]
    assert seen["second"] == seen["first"]


def test_odd_texts(server: CommandProcess) -> None:
    texts: list[object] = [None, True, {"a": [1]}, [1, [2, None]], "", "x" * 50_000]
    seen = chat(server, texts)
    said = ["null", "true", "[object Object]", "1,2,", "", "x" * MAX_TEXT]
    assert seen["first"] == [f"client_{seen['ids'][1]} says: {text}" for text in said]


def visit(server: CommandProcess, calls: list[list[object]], **auth: object) -> JsonObject:
    """What a client is told that speaks to the demo as its page does, or worse."""
    return run_script(PAGE_CLIENT, {"url": server.url, "auth": auth, "calls": calls})[0]


def test_a_stranger_is_cut_to_size(server: CommandProcess) -> None:
    seen = visit(
        server,
        [
            ["say", "lobby", "t" * 90_000, "mark"],
            ["say", "lobby", "the same message once more", "mark"],
            ["say", "random", "not here"],
            ["say", "lobby", " \n\u0000 "],
            ["say"],
            ["private message", "nobody", "hello"],
            ["private message", {"id": 1}, "hello"],
            ["rename", "\u202e"],
            ["rename", "m" * 90_000],
            ["enter room", "#" + "r" * 90_000],
            ["enter room", None],
            ["typing", "yes"],
            ["latency", 1, 2, 3],
        ],
        key="short",
        name="n" * 90_000,
        room="lobby",
    )
    assert seen["welcome"]["you"]["name"] == "n" * MAX_NAME
    assert seen["welcome"]["room"] == "lobby"
    answers = seen["answers"]
    assert answers[0] == answers[1] == {"at": answers[0]["at"]}
    assert answers[2] == {"error": "You are in another room now."}
    assert answers[3] == {"error": "There is nothing in this message."}
    assert answers[4] == {"error": "You are in another room now."}
    assert answers[5] == answers[6] == {"error": "Nobody of that name is here now."}
    assert answers[7] == {"error": "A name needs at least one visible character."}
    assert answers[8]["you"]["name"] == "m" * MAX_NAME
    assert answers[9]["room"] == "r" * (MAX_NAME - 1)
    assert answers[10] == {"error": "No room could be opened under that name."}
    assert answers[11:] == [None, None]
    heard = visit(server, [], key="another visitor who listens", room="lobby")["welcome"]["history"]
    assert [entry["text"] for entry in heard if entry["nonce"]] == ["t" * MAX_TEXT]


def test_a_flood_is_stemmed(server: CommandProcess) -> None:
    seen = visit(server, [["say", "lobby", "x"]] * (BURST + 10), key="the flooding visitor")
    assert all("at" in answer for answer in seen["answers"][:BURST])
    assert seen["answers"][-1] == {"error": "Not so fast, please."}


def test_rooms_close_when_the_last_one_leaves(server: CommandProcess) -> None:
    calls: list[list[object]] = [["enter room", f"room {number}"] for number in range(BURST)]
    seen = visit(server, [*calls, ["enter room", "lobby"]], key="the wandering visitor")
    assert [answer["room"] for answer in seen["answers"][:2]] == ["room-0", "room-1"]
    again = visit(server, [], key="the wandering visitor")["welcome"]
    assert [room for room in again["rooms"] if room["name"].startswith("room-")] == []


def test_nobody_enters_the_room_of_a_socket(server: CommandProcess) -> None:
    plain = chat(server, ["hello"])["ids"][0]
    seen = visit(server, [["enter room", plain]], key="the curious visitor")
    assert [person["client"] for person in seen["answers"][0]["people"]] == [
        seen["welcome"]["you"]["client"]
    ]


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
