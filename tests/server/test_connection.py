"""What a client may say and when: joining, leaving, and the answers to everything else."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from telex import ConnectError, Socket
from telex.server.connection import MAX_NAMESPACES
from tests.server.scenes import Scene, echo, note_args, settle


class TestJoining:
    async def test_the_root(self) -> None:
        scene = Scene()
        client = scene.client()
        client.say("0")
        (answer,) = client.heard()
        assert isinstance(answer, str)
        (sid,) = scene.root.sockets
        assert answer == f'0{{"sid":"{sid}"}}'
        assert len(sid) == 20
        assert sid != client.session.id

    @pytest.mark.parametrize("packet", ["0/", "0/,", "0/,{}", "0{}", "01"])
    async def test_the_root_in_other_words(self, packet: str) -> None:
        scene = Scene()
        client = scene.client()
        client.say(packet)
        assert str(client.heard()[0]).startswith("0{")

    async def test_another_namespace(self) -> None:
        scene = Scene()
        scene.core.of("/chat")
        client, socket = scene.joined("/chat")
        assert scene.root.sockets == {}
        assert socket.nsp.name == "/chat"
        client.say('2/chat,5["unknown"]', "1/chat,")
        assert not socket.connected
        assert client.connected

    async def test_several_namespaces_at_once(self) -> None:
        scene = Scene()
        scene.core.of("/a")
        scene.core.of("/b")
        client = scene.client()
        ids = {client.join("/a"), client.join("/b"), client.join()}
        assert len(ids) == 3
        (socket,) = scene.root.sockets.values()
        assert len(socket.client.sockets) == 3

    async def test_with_a_payload(self) -> None:
        scene = Scene()
        client = scene.client(headers={"x-test": "yes"})
        client.join("/", {"token": "é"})
        (socket,) = scene.root.sockets.values()
        assert socket.handshake.auth == {"token": "é"}
        assert socket.handshake.headers["x-test"] == "yes"
        assert socket.handshake.query["transport"] == "websocket"
        assert socket.request is client.session.request

    async def test_an_unknown_namespace(self) -> None:
        scene = Scene()
        client = scene.client()
        for name in ("/nope", "/a?b=c", "/admin{}"):
            client.say(f"0{name},")
            assert client.heard() == [f'4{name},{{"message":"Invalid namespace"}}']
        assert client.connected
        assert list(scene.core.namespaces) == ["/"]

    async def test_leaving_and_joining_again(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        socket.on("disconnect", scene.log.append)
        client.say("1")
        await settle()
        assert scene.log == ["client namespace disconnect"]
        assert client.connected
        again = client.join()
        assert again != socket.id

    async def test_is_limited(self) -> None:
        scene = Scene()
        client = scene.client()
        for number in range(MAX_NAMESPACES + 1):
            scene.core.of(f"/n{number}")
            client.say(f"0/n{number},")
        assert client.reasons == ["forced server close"]

    async def test_nothing_in_time(self) -> None:
        scene = Scene(connect_timeout=3.0)
        silent, wrong = scene.client(), scene.client()
        joined, _ = scene.joined()
        wrong.say("0/nope,")
        scene.pass_time(2.9)
        assert silent.connected
        scene.pass_time(0.1)
        assert silent.reasons == wrong.reasons == ["forced server close"]
        assert joined.connected


class TestRefused:
    """Whoever breaks the protocol loses the connection, and nobody else notices."""

    @pytest.mark.parametrize(
        ("packets", "reason"),
        [
            # Before or beside CONNECT.
            (['2["x"]'], "forced server close"),
            (["30[]"], "forced server close"),
            (["1"], "forced server close"),
            (["0", "0"], "forced server close"),
            (["0", "0{}"], "forced server close"),
            (["0", '2/other,["x"]'], "forced server close"),
            (["0", "1/other,"], "forced server close"),
            (["0", "1", '2["x"]'], "forced server close"),
            (['51-["x"]'], "forced server close"),
            (["0", '51-/other,["x"]'], "forced server close"),
            # Packets that are none.
            ([""], "forced close"),
            (["x"], "forced close"),
            (["0[]"], "forced close"),
            (["0null"], "forced close"),
            (['0"x"'], "forced close"),
            (["0", "2"], "forced close"),
            (["0", "2[]"], "forced close"),
            (["0", "2{}"], "forced close"),
            (["0", '2["connect"]'], "forced close"),
            (["0", '2["x"'], "forced close"),
            (["0", "3x"], "forced close"),
            (["0", "31{}"], "forced close"),
            (["0", "1{}"], "forced close"),
            (["0", '4{"message":"x"}'], "forced close"),
            (["0", "4"], "forced close"),
            (["0", "2[" * 300], "forced close"),
            (["0", '50-["x"]'], "forced close"),
            (["0", '511-["x"]'], "forced close"),
            (["0", b"data"], "forced close"),
            (["0", '51-["x"]', '2["y"]'], "forced close"),
            (["0", '51-[{"_placeholder":true,"num":0}]', b"x"], "forced close"),
        ],
    )
    async def test_packets(self, packets: list[str | bytes], reason: str) -> None:
        scene = Scene()
        honest, _ = scene.joined()
        client = scene.client()
        client.say(*packets)
        await settle()
        assert client.reasons == [reason]
        honest.say('21["x"]')
        assert honest.connected

    async def test_what_comes_behind_a_mistake_is_not_handled(self) -> None:
        scene = Scene()

        @scene.root.on("connection")
        def connection(socket: Socket) -> None:
            socket.on("x", scene.log.append)

        client = scene.client()
        client.say("0", '2["x",1]', "x", '2["x",2]')
        await settle()
        assert scene.log == [1]

    async def test_error_handlers_hear_of_it(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        socket.on("error", scene.log.append)
        socket.on("disconnect", scene.log.append)
        client.say("2[]")
        await settle()
        error, reason = scene.log
        assert "invalid payload" in str(error)
        assert reason == "forced close"

    async def test_is_not_an_error_of_ours(self, caplog: pytest.LogCaptureFixture) -> None:
        scene = Scene()
        with caplog.at_level(logging.WARNING, "telex"):
            scene.client().say("x")
        assert caplog.records == []

    @pytest.mark.parametrize("packet", ["3", "30[]", "399[1]", "3[]"])
    async def test_acknowledgements_that_nobody_waits_for_are_ignored(self, packet: str) -> None:
        scene = Scene()
        client, _ = scene.joined()
        client.say(packet)
        assert client.connected


class TestAttachments:
    async def test_arrive_with_their_packet(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        socket.on("x", note_args(scene.log))
        client.say('52-["x",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]')
        client.say(b"\x01")
        assert scene.log == []
        client.say(b"\x02")
        assert scene.log == [(b"\x02", [b"\x01"])]

    async def test_that_do_not_come_in_time(self) -> None:
        scene = Scene(ping_interval=1000)
        client, _ = scene.joined()
        client.say('52-["x"]', b"\x01")
        scene.pass_time(29.9)
        assert client.connected
        scene.pass_time(0.1)
        assert client.reasons == ["forced server close"]

    async def test_that_come_in_time(self) -> None:
        scene = Scene(ping_interval=1000)
        client, _ = scene.joined()
        client.say('51-["x"]', b"\x01")
        scene.pass_time(100)
        assert client.connected

    async def test_of_a_namespace_that_is_left_meanwhile(self) -> None:
        scene = Scene(ping_interval=1000)
        client, socket = scene.joined()
        client.say('51-["x"]')
        socket.disconnect()
        assert client.heard() == ["1"]
        client.join()
        scene.pass_time(100)
        assert client.connected

    async def test_are_limited_in_number_and_size(self) -> None:
        scene = Scene(max_attachments=2, max_http_buffer_size=1000)
        many, _ = scene.joined()
        many.say('53-["x"]')
        assert many.reasons == ["forced close"]
        large, _ = scene.joined()
        large.say('52-["x"]', b"x" * 600, b"x" * 600)
        assert large.reasons == ["forced close"]


class TestRevision4:
    """Socket.IO 1.x and 2.x: in `/` without asking."""

    async def test_connects_on_its_own(self) -> None:
        scene = Scene()
        client = scene.client(revision=4)
        assert client.heard() == ["0"]
        (socket,) = scene.root.sockets.values()
        assert socket.id == client.session.id

    async def test_a_connect_for_the_root_changes_nothing(self) -> None:
        scene = Scene()
        client = scene.client(revision=4)
        client.heard()
        client.say("0", "0/", "0/?a=b")
        assert client.heard() == []
        assert len(scene.root.sockets) == 1

    async def test_another_namespace(self) -> None:
        scene = Scene()
        chat = scene.core.of("/chat")
        client = scene.client(revision=4)
        client.heard()
        client.say("0/chat?token=1&x=%C3%A9")
        assert client.heard() == ["0/chat,"]
        (socket,) = chat.sockets.values()
        assert socket.id == f"/chat#{client.session.id}"
        assert socket.handshake.query["token"] == "1"
        client.say("0/chat")
        assert client.heard() == []

    async def test_an_unknown_namespace(self) -> None:
        client = Scene().client(revision=4)
        client.heard()
        client.say("0/nope")
        assert client.heard() == ['4/nope,"Invalid namespace"']
        client.say("1/nope")
        assert client.connected

    async def test_a_name_with_two_slashes(self) -> None:
        client = Scene().client(revision=4)
        client.say("0//")
        assert client.reasons == ["forced close"]

    async def test_namespaces_wait_until_the_root_has_let_it_in(self) -> None:
        scene = Scene()
        scene.core.of("/chat")

        @scene.root.use
        async def check(socket: Socket) -> None:
            await settle()

        client = scene.client(revision=4)
        client.say("0/chat", "0/chat")
        assert client.heard() == []
        await settle()
        await settle()
        assert client.heard() == ["0", "0/chat,"]

    async def test_refusals_are_text_or_data(self) -> None:
        scene = Scene()
        namespace = scene.core.of("/x")
        data: list[Any] = [None, {"code": 1}]

        @namespace.use
        def check(socket: Socket) -> None:
            raise ConnectError("no", data.pop(0))

        client = scene.client(revision=4)
        client.heard()
        for answer in ('4/x,"no"', '4/x,{"code":1}'):
            client.say("0/x")
            await settle()
            assert client.heard() == [answer]

    async def test_binary_data(self) -> None:
        scene = Scene()
        client = scene.client(revision=4)
        client.heard()
        (socket,) = scene.root.sockets.values()
        socket.on("x", echo)
        client.say('51-7["x",{"_placeholder":true,"num":0}]', b"\x01")
        assert client.heard() == ['61-7[{"_placeholder":true,"num":0}]', b"\x01"]

    async def test_what_an_old_handler_does_leaves_its_successor_alone(self) -> None:
        # The id of a socket is that of its session, so the next one has it again.
        scene = Scene()
        chat = scene.core.of("/chat")
        client = scene.client(revision=4)
        client.say("0/chat")
        (old,) = chat.sockets.values()
        client.say("1/chat", "0/chat")
        (new,) = chat.sockets.values()
        assert new is not old
        assert new.id == old.id
        new.join("room")
        old.leave("room")
        old.join("other")
        old.disconnect()
        assert set(new.rooms) == {new.id, "room"}
        assert new.connected


class TestTheEnd:
    async def test_every_socket_hears_why(self) -> None:
        scene = Scene()
        scene.core.of("/a")
        client = scene.client()
        for name in ("/", "/a"):
            sid = client.join(name)
            scene.core.of(name).sockets[sid].on("disconnect", scene.log.append)
        client.session.end("ping timeout")
        await settle()
        assert scene.log == ["ping timeout"] * 2
        assert scene.root.sockets == scene.core.of("/a").sockets == {}

    async def test_disconnecting_a_client_from_here(self) -> None:
        scene = Scene()
        scene.core.of("/a")
        client = scene.client()
        client.join("/a")
        sid = client.join()
        socket = scene.root.sockets[sid]
        socket.on("disconnect", scene.log.append)
        socket.disconnect(close=True)
        await settle()
        assert sorted(map(str, client.transport.messages)) == ["41", "41/a,"]
        assert scene.log == ["server namespace disconnect"]
        assert client.reasons == ["forced close"]

    async def test_of_the_server(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        socket.on("disconnect", scene.log.append)
        await scene.core.close()
        assert scene.log == ["server shutting down"]
        assert client.reasons == ["server shutting down"]

    async def test_nothing_is_left(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        socket.join(["a", "b"])
        client.say('51-["x"]')
        client.session.end("transport close")
        assert scene.core.engine.schedule.pending() == 0
        assert scene.core.engine.sessions == {}
        assert scene.root.adapter.rooms() == {}
        assert vars(scene.core)["_connections"] == {}

    async def test_ids_are_not_shown(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        assert client.session.id not in repr(socket.client)
        assert client.session.id not in repr(socket)
        assert json.dumps(socket.handshake.to_dict())
