"""JSONP (revision 3): scripts that hand over the payload, and can do nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.rules.clients import ENGINE_IO, PollingClient, packets3, payload3, target
from tests.rules.subject import Subject
from tests.support.node import JsonObject, run_script
from tests.support.raw import Answer, exchange, request

EVALUATE = Path(__file__).with_name("evaluate.js")
PAGE = [("Sec-Fetch-Site", "same-origin")]
FORM = [("Content-Type", "application/x-www-form-urlencoded"), *PAGE]

TEXTS = [
    'say "hello"',
    "back\\slash",
    'both \\"',
    '\\");alert(1)//',
    '");alert(1)//',
    "'+alert(1)+'",
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "]]>",
    "\u2028alert(1)\u2029",
    "\u0000\u0001\u001e\u007f\u0080\ufeff",
    "tab\tnewline",
    "你好 👋 é",
    "${alert(1)}`",
    "*/alert(1)/*",
    "\\u0022);alert(1)//",
]


def is_script(answer: Answer) -> bool:
    """Whether a browser takes the answer for a script, and for nothing else."""
    return (
        answer.status == 200
        and answer.content_type == "text/javascript; charset=UTF-8"
        and answer.header("x-content-type-options") == "nosniff"
    )


def evaluated(*scripts: str) -> list[JsonObject]:
    return run_script(EVALUATE, list(scripts))


class Page:
    """A page of Socket.IO 1 or 2 that reaches its server with scripts and forms."""

    def __init__(self, subject: Subject, path: str, server: str) -> None:
        self._port = subject.port_of(server)
        self._path = path
        to = target("polling", 3, path=path, j=0)
        self.handshake = exchange(self._port, request("GET", to, PAGE))
        assert is_script(self.handshake)
        (result,) = evaluated(self.handshake.text)
        assert result["error"] is None
        ((index, payload),) = result["calls"]
        assert index == "0"
        self.sid: str = json.loads(packets3(payload)[0][1:])["sid"]

    def target(self, j: object) -> str:
        return target("polling", 3, path=self._path, sid=self.sid, j=j)

    def post(self, *packets: str) -> Answer:
        payload = payload3(*packets).replace("\n", "\\n")
        form = f"d={quote(payload)}".encode()
        return exchange(self._port, request("POST", self.target(1), FORM, form))

    def get(self, j: object = 1) -> Answer:
        return exchange(self._port, request("GET", self.target(j), PAGE))


def test_texts(subject: Subject) -> None:
    """Whatever a text contains, the page gets exactly it, and nothing of it runs."""
    page = Page(subject, ENGINE_IO, "engine")
    scripts: list[str] = []
    for text in TEXTS:
        answer = page.post("4" + text)
        assert (answer.status, answer.content_type, answer.body) == (200, "text/html", b"ok")
        answer = page.get()
        assert is_script(answer)
        script = answer.text
        # Nothing that ends a script element, and no line end that JavaScript alone has.
        assert not set("<>\u2028\u2029\n") & set(script)
        assert script.startswith('___eio[1]("')
        assert script.endswith('");')
        scripts.append(script)
    for text, result in zip(TEXTS, evaluated(*scripts), strict=True):
        assert result == {"calls": [["1", payload3("4" + text)]], "alerts": [], "error": None}


def test_events(subject: Subject) -> None:
    """The same through Socket.IO, whose JSON is escaped once more."""
    page = Page(subject, "/socket.io/", "main")
    scripts: list[str] = []
    for text in TEXTS:
        assert page.post(f'42["echo",{json.dumps(text)}]').body == b"ok"
        answer = page.get()
        assert is_script(answer)
        assert not set("<>\u2028\u2029\n") & set(answer.text)
        scripts.append(answer.text)
    for text, result in zip(TEXTS, evaluated(*scripts), strict=True):
        assert (result["alerts"], result["error"]) == ([], None)
        ((_, payload),) = result["calls"]
        (packet,) = packets3(payload)
        assert json.loads(packet[2:]) == ["echo", text]


@pytest.mark.parametrize(
    ("j", "index"),
    [
        ("7", "7"),
        ("1);alert(1)//", "11"),
        ("%31%32", "12"),
        ("0x1", "01"),
        ("-1", "1"),
        ("1%0a2", "12"),
        ("constructor", ""),
        ("__proto__", ""),
        ("%0a", ""),
        ("", ""),
        ("%D9%A1", ""),
    ],
)
def test_index(subject: Subject, j: str, index: str) -> None:
    """Only its digits reach the script."""
    to = target("polling", 3, path=ENGINE_IO, j=j)
    answer = exchange(subject.port_of("engine"), request("GET", to, PAGE))
    assert is_script(answer)
    assert answer.text.startswith(f"___eio[{index}](")
    (result,) = evaluated(answer.text)
    assert result["alerts"] == []
    if index:
        assert [call[0] for call in result["calls"]] == [str(int(index))]
    else:
        assert result["error"] == "SyntaxError"


def test_not_in_revision_4(subject: Subject) -> None:
    """There it is a parameter like any other."""
    with PollingClient(subject.port_of("engine"), path=ENGINE_IO, j=0) as client:
        assert client.handshake.content_type == "text/plain; charset=UTF-8"
        client.say("4hello")
        assert client.get().body == b"4hello"


def test_binary(subject: Subject) -> None:
    """Scripts have no binary: it comes as base64."""
    page = Page(subject, ENGINE_IO, "engine")
    assert page.post("b4AQID").body == b"ok"
    (result,) = evaluated(page.get().text)
    assert result["calls"] == [["1", "6:b4AQID"]]


def test_close(subject: Subject) -> None:
    page = Page(subject, ENGINE_IO, "engine")
    assert page.post("4close me").body == b"ok"
    assert page.get().text == '___eio[1]("1:1");'
    assert subject.reason(page.sid) == "forced close"
