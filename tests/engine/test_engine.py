"""The engine: the verdict on every request, sessions by id, and its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.engine.handshake import Refused
from telex.engine.packet import message
from telex.engine.session import Session
from telex.engine.session_core import OPEN
from telex.errors import ConfigurationError
from tests.engine.scenes import Scene
from tests.support.doubles import RecordingTransport, poll, request


def verify(scene: Scene, query: str, *, upgrade: bool = False, **options: Any) -> Session | None:
    return scene.engine.verify(request(query, **options), upgrade=upgrade)


def refusal(scene: Scene, query: str, *, upgrade: bool = False, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        verify(scene, query, upgrade=upgrade, **options)
    return caught.value


class TestHandshake:
    def test_verified(self) -> None:
        scene = Scene()
        assert verify(scene, "EIO=4&transport=polling") is None
        assert verify(scene, "EIO=3&transport=polling") is None
        assert verify(scene, "EIO=4&transport=websocket", upgrade=True) is None
        # An empty session id is none.
        assert verify(scene, "EIO=4&transport=polling&sid=") is None

    @pytest.mark.parametrize(
        ("query", "options", "code"),
        [
            ("EIO=4", {}, 0),
            ("EIO=4&transport=flashsocket", {}, 0),
            ("EIO=4&transport=polling", {"method": "POST"}, 2),
            ("EIO=4&transport=polling", {"method": "OPTIONS"}, 2),
            ("EIO=4&transport=polling", {"method": "HEAD"}, 2),
            ("EIO=4&transport=websocket", {}, 3),
            ("EIO=4&transport=polling", {"upgrade": True}, 3),
            ("transport=polling", {}, 5),
            ("EIO=2&transport=polling", {}, 5),
            ("EIO=5&transport=websocket", {"upgrade": True}, 5),
            ("EIO=4&transport=polling&sid=unknown", {}, 1),
            ("EIO=4&transport=polling&sid=__proto__", {"method": "POST"}, 1),
            ("EIO=4&transport=websocket&sid=unknown", {"upgrade": True}, 1),
        ],
    )
    def test_refused(self, query: str, options: dict[str, Any], code: int) -> None:
        assert refusal(Scene(), query, **options).code == code

    def test_checks_come_in_the_order_of_the_reference(self) -> None:
        scene = Scene(origins=["https://a.example"])
        evil = {"origin": "https://evil.example"}
        # Transport, origin, session id; then method, upgrade, protocol.
        assert refusal(scene, "transport=x&sid=y", headers=evil, method="PUT").code == 0
        assert refusal(scene, "transport=polling&sid=y", headers=evil, method="PUT").code == 4
        assert refusal(scene, "transport=polling&sid=y", method="PUT").code == 1
        assert refusal(scene, "transport=websocket", method="PUT").code == 2
        assert refusal(scene, "transport=websocket").code == 3
        assert refusal(scene, "transport=polling").code == 5


class TestSessionRequests:
    def test_verified(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        query = f"EIO=4&transport=polling&sid={session.id}"
        assert verify(scene, query) is session
        assert verify(scene, query, method="POST") is session
        upgrade = f"EIO=4&transport=websocket&sid={session.id}"
        assert verify(scene, upgrade, upgrade=True) is session

    @pytest.mark.parametrize("revision", ["EIO=3&", "", "EIO=&", "EIO=44&"])
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    def test_the_revision_is_fixed_at_the_handshake(self, revision: str, transport: str) -> None:
        scene = Scene()
        session = scene.open_polling()
        query = f"{revision}transport={transport}&sid={session.id}"
        refused = refusal(scene, query, upgrade=transport == "websocket")
        assert (refused.code, refused.context["name"]) == (3, "PROTOCOL_MISMATCH")

    def test_polling_a_session_over_websocket(self) -> None:
        scene = Scene()
        session, _ = scene.open_websocket()
        refused = refusal(scene, f"EIO=4&transport=polling&sid={session.id}")
        assert (refused.code, refused.context["name"]) == (3, "TRANSPORT_MISMATCH")

    def test_a_websocket_request_that_is_none(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        query = f"EIO=4&transport=websocket&sid={session.id}"
        assert refusal(scene, query).context["name"] == "TRANSPORT_HANDSHAKE_ERROR"

    def test_upgrades_can_be_forbidden(self) -> None:
        scene = Scene(allow_upgrades=False)
        session = scene.open_polling()
        query = f"EIO=4&transport=websocket&sid={session.id}"
        assert refusal(scene, query, upgrade=True).context["name"] == "UPGRADE_NOT_ALLOWED"

    def test_the_origin_is_checked_every_time(self) -> None:
        scene = Scene(origins=["https://a.example"])
        session = scene.open_polling()
        query = f"EIO=4&transport=polling&sid={session.id}"
        assert refusal(scene, query, headers={"origin": "https://b.example"}).code == 4

    def test_a_session_that_has_ended_is_unknown(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        session.end("transport close")
        assert refusal(scene, f"EIO=4&transport=polling&sid={session.id}").code == 1


class TestOpen:
    def test_the_open_packet_comes_first(self) -> None:
        scene = Scene()
        scene.engine.on_session = lambda session: session.send(message("hello"))
        session = scene.open_polling()
        opening, hello = poll(session).only.body.decode().split("\x1e")
        assert json.loads(opening[1:])["sid"] == session.id
        assert hello == "4hello"

    def test_over_websocket(self) -> None:
        scene = Scene()
        transport = RecordingTransport()
        asked = request("EIO=3&transport=websocket")
        session = scene.engine.open(asked, transport, "abc")
        (opening,) = transport.messages
        assert isinstance(opening, str)
        assert json.loads(opening[1:])["upgrades"] == []
        assert (session.protocol, session.request) == (3, asked)
        assert scene.engine.sessions == {"abc": session}

    @pytest.mark.parametrize("sid", ["", "taken"])
    def test_ids_that_no_session_can_have(self, sid: str) -> None:
        scene = Scene()
        asked = request("EIO=4&transport=websocket")
        first = scene.engine.open(asked, RecordingTransport(), "taken")
        with pytest.raises(Refused) as caught:
            scene.engine.open(asked, RecordingTransport(), sid)
        assert caught.value.context["name"] == "ID_GENERATION_ERROR"
        assert scene.engine.sessions == {"taken": first}

    @pytest.mark.parametrize(
        ("query", "base64"), [("", False), ("&b64=1", True), ("&b64=0", True), ("&b64=", False)]
    )
    def test_clients_that_cannot_read_binary_answers(self, query: str, base64: bool) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3" + query)
        poll(session)
        session.send(message(b"x"))
        assert (b"b4eA==" in poll(session).only.body) is base64

    def test_cookies(self) -> None:
        assert Scene().engine.cookie_headers("abc") == []
        engine = Scene(cookie="sid").engine
        ((name, value),) = engine.cookie_headers("abc")
        assert (name, value[:8]) == ("set-cookie", "sid=abc;")
        with pytest.raises(Refused) as caught:
            engine.cookie_headers("a b")
        assert caught.value.context["name"] == "ID_GENERATION_ERROR"


class TestOrigins:
    def test_can_be_set_before_the_first_connection(self) -> None:
        scene = Scene()
        evil = {"origin": "https://a.example", "host": "b.example"}
        assert refusal(scene, "EIO=4&transport=polling", headers=evil).code == 4
        scene.engine.allow_origins("https://a.example")
        assert scene.engine.origins == "https://a.example"
        assert verify(scene, "EIO=4&transport=polling", headers=evil) is None

    def test_cannot_be_set_later(self) -> None:
        scene = Scene()
        scene.open_polling()
        with pytest.raises(ConfigurationError, match="before the first connection"):
            scene.engine.allow_origins("*")


class TestEnd:
    def test_sessions_that_end_are_forgotten(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        session.end("transport close")
        assert scene.engine.sessions == {}
        assert scene.deadlines == 0

    def test_closing_ends_every_session_at_once(self) -> None:
        scene = Scene()
        polling, silent = scene.open_polling(), scene.open_polling()
        websocket, transport = scene.open_websocket("EIO=3")
        poll(polling)
        waiting = poll(polling)
        websocket.send(message("bye"))
        scene.engine.close("server shutting down")
        assert scene.engine.closing
        assert waiting.only.body == b"1"
        assert transport.messages == ["4bye"]
        assert transport.closes == 1
        assert scene.reasons == ["server shutting down"] * 3
        assert scene.engine.sessions == {}
        assert scene.deadlines == 0
        assert silent.state is not OPEN

    def test_handshakes_that_are_under_way_come_too_late(self) -> None:
        scene = Scene()
        scene.engine.close("server shutting down")
        for open_session in (scene.open_polling, scene.open_websocket):
            with pytest.raises(Refused, match="shutting down") as caught:
                open_session()
            assert caught.value.code == 4
        assert scene.engine.sessions == {}
        assert scene.deadlines == 0
