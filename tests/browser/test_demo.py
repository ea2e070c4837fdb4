"""The demo in a real browser: Chromium opens it several times, and people talk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.screenshot import take
from tests.cli.process import demo
from tests.support.node import JsonObject, run_script

VISITS = Path(__file__).parent / "visits.js"

Visit = Callable[[str], JsonObject]


@pytest.fixture
def visit(tmp_path: Path, browser: str) -> Iterator[Visit]:
    """Plays one of the visits at a demo of its own."""
    with demo() as server:

        def play(name: str) -> JsonObject:
            scenario = {
                "visit": name,
                "url": f"{server.url}/",
                "endpoint": browser,
                "folder": str(tmp_path),
            }
            seen = run_script(VISITS, scenario, timeout=90)[0]
            assert seen["complaints"] == []
            return seen

        yield play


def test_two_tabs_see_each_others_messages(visit: Visit, tmp_path: Path) -> None:
    seen = visit("talk")
    said = ["Good morning", "Two\nlines, 中文", "🎉"]
    assert seen["ada"] == said
    assert seen["bo"] == said
    assert seen["own"] == 2
    assert seen["people"] == ["Ada", "Bo"]
    assert seen["notes"] == [f"Bo · I'm coming, my name: client_{seen['client']}."]
    line = seen["line"]
    assert line[0] == "opened over polling"
    assert "the server answers “hello world”" in line
    assert line.index("probing websocket") < line.index("upgraded to websocket")
    for name in ("talk-ada.png", "talk-bo.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_what_strangers_write_is_text(visit: Visit) -> None:
    seen = visit("markup")
    assert seen["said"] == seen["markup"]
    assert seen["names"] == ["<i>Bo</i><img src=x>"]
    assert seen["links"] == ["https://example.org/a?b=1&c="]
    assert seen["pages"] == [{"hit": None, "elements": 0}] * 2


def test_rooms_and_private_messages(visit: Visit) -> None:
    seen = visit("rooms")
    assert seen["ada"] == ["just for you", "thank you"]
    assert seen["bo"] == ["just for you", "thank you"]
    assert seen["cy"] == []
    assert seen["name"] == "Bo 2"


def test_a_line_that_is_cut_comes_back(visit: Visit) -> None:
    seen = visit("line")
    said = ["before", "meanwhile", "welcome back"]
    assert seen["waiting"] == "waiting"
    assert seen["ada"] == said
    assert seen["bo"] == said
    assert seen["people"] == ["Bo", "Ada"]
    assert seen["states"] == ["", "", ""]
    line = seen["line"]
    assert line.count("opened over polling") == line.count("upgraded to websocket") == 2
    assert "attempt 1 to reconnect" in line


def test_a_tab_is_a_person(visit: Visit) -> None:
    seen = visit("identity")
    assert seen == {"people": ["Ada"], "again": ["Ada"], "own": 1, "complaints": []}


def test_the_smallest_chat_takes_part(visit: Visit) -> None:
    seen = visit("plain")
    assert seen["log"][0] == f"{seen['client']} says: from the plain page"
    assert seen["log"][1].endswith(" says: from the large page")
    assert seen["log"][2].startswith("new client: I'm coming, my name: client_")
    assert seen["who"] == [seen["client"]]
    assert seen["people"] == ["Ada", "Bo", seen["client"]]


def test_the_pictures_of_the_documentation(tmp_path: Path, browser: str) -> None:
    for picture in take(tmp_path, endpoint=browser):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_on_a_telephone(visit: Visit) -> None:
    seen = visit("phone")
    assert seen["hidden"] is False
    assert seen["wide"] == 360
