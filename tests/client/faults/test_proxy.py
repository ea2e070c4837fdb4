"""The proxy of these tests does what it says, seen from plain sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.client.faults.elsewhere import Elsewhere
from tests.client.faults.scenes import server
from tests.support.proxy import Action, Answer, Fault, Instead
from tests.support.raw import Connection, Ended, Refused, WebSocket, request

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
OPEN = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture
def there() -> Iterator[Elsewhere]:
    there = Elsewhere.start(server())
    yield there
    there.close()


def add(there: Elsewhere, *faults: Fault) -> None:
    """Let something happen; nothing is under way yet."""
    there.proxy.faults.extend(faults)


def test_it_forwards_and_knows_what(there: Elsewhere) -> None:
    """Requests, answers and frames have their names, whatever the size of the pieces."""
    there.proxy.pace = (3, 0.0)
    with Connection(there.proxy.port) as connection:
        connection.send_each(bytes([byte]) for byte in request("GET", HANDSHAKE))
        sid = json.loads(connection.answer().text[1:])["sid"]
        session = f"{HANDSHAKE}&sid={sid}"
        connection.send(request("POST", session, body=b"40"))
        assert connection.answer().text == "ok"
        connection.send(request("GET", session))
        assert connection.answer().text.startswith("40{")
        websocket = WebSocket(there.proxy.port, f"{OPEN}&sid={sid}")
        websocket.send_text("2probe")
        assert websocket.message() == "3probe"
        websocket.close()
    assert there.proxy.phases() == [
        *("tcp", "handshake", "handshake answer", "post", "post answer", "poll", "poll answer"),
        *("tcp", "probe", "probe answer", "client frame", "server frame"),
        *("client frame", "server frame"),  # of the end
    ]
    assert there.proxy.units[3].text.endswith("\n40")
    assert [unit.text for unit in there.proxy.units[-4:-2]] == ["2probe", "3probe"]
    assert {unit.link for unit in there.proxy.units} == {1, 2}


def test_it_cuts(there: Elsewhere) -> None:
    """With RST, with FIN, before, within and after a unit, at connections that are there."""
    breaks: list[tuple[Action, str]] = [("reset", "reset"), ("end", "eof"), ("half", "eof")]
    for action, how in breaks:
        for share in (0.0, 0.5, 1.0):
            add(there, Fault("handshake answer", action, share))
            with Connection(there.proxy.port) as connection:
                connection.send(request("GET", HANDSHAKE))
                if share == 1:
                    # A reset may overtake what was written before it.
                    assert how == "reset" or connection.answer().status == 200
                    assert how == "reset" or connection.ended() == how
                else:
                    with pytest.raises(Ended) as ended:
                        connection.answer()
                    assert ended.value.how == how
    with Connection(there.proxy.port) as connection:
        connection.send(request("GET", HANDSHAKE))
        connection.answer()
        there.loop.call_soon_threadsafe(there.proxy.cut, "reset")
        assert connection.ended() == "reset"


def test_it_falls_silent(there: Elsewhere) -> None:
    """The connection stays, and says nothing."""
    add(there, Fault("handshake", "silence"))
    with Connection(there.proxy.port) as connection:
        connection.send(request("GET", HANDSHAKE))
        assert connection.silent()
    with WebSocket(there.proxy.port, OPEN) as websocket:
        websocket.message()
        there.loop.call_soon_threadsafe(there.proxy.silence)
        websocket.send_text("40")
        assert websocket.connection.silent()


def test_it_answers(there: Elsewhere) -> None:
    """Itself, or with something else than the server does."""
    add(there, Fault("handshake", Answer(502, "no")), Fault("open", Answer(403)))
    with Connection(there.proxy.port) as connection:
        connection.send(request("GET", HANDSHAKE))
        answer = connection.answer()
        assert (answer.status, answer.text) == (502, "no")
        assert connection.ended() == "eof"
    with pytest.raises(Refused) as refused:
        WebSocket(there.proxy.port, OPEN)
    assert refused.value.answer.status == 403
    add(there, Fault("handshake answer", Instead("é")), Fault("server frame", Instead("x" * 300)))
    with Connection(there.proxy.port) as connection:
        connection.send(request("GET", HANDSHAKE))
        assert connection.answer().text == "é"
    with WebSocket(there.proxy.port, OPEN) as websocket:
        assert websocket.message() == "x" * 300


def test_it_chooses(there: Elsewhere) -> None:
    """By a pattern, after some, for a number of times; by the number of the unit."""
    add(there, Fault("server frame", Instead("hit"), match="^40", skip=1, times=2))
    heard: list[str] = []
    for _ in range(5):
        with WebSocket(there.proxy.port, OPEN) as websocket:
            websocket.message()
            websocket.send_text("40")
            heard.append(str(websocket.message())[:3])
    assert heard == ["40{", "hit", "hit", "40{", "40{"]
    there.proxy.cut_at = len(there.proxy.units) + 2  # connection, request, answer
    with pytest.raises(Ended):
        WebSocket(there.proxy.port, OPEN)
    assert there.proxy.cut_at is None


def test_it_refuses(there: Elsewhere) -> None:
    """Nobody listens, until somebody does again, on the same port."""
    there.run(there.proxy.refuse())
    with pytest.raises(ConnectionRefusedError):
        Connection(there.proxy.port)
    there.run(there.proxy.admit())
    Connection(there.proxy.port).close()
