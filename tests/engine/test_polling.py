"""Long-polling without HTTP: one GET and one POST in flight, and what they answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from telex.engine import payload
from telex.engine.packet import message
from telex.engine.polling import PollingTransport
from telex.engine.session_core import OPEN
from telex.types import Response
from telex.wire import EncodedPacket
from tests.engine.scenes import Scene
from tests.support.doubles import Answers, poll, polling, post

TEXT = ("content-type", "text/plain; charset=UTF-8")
BINARY = ("content-type", "application/octet-stream")
NO_STORE = ("cache-control", "no-store")


def body_of(answers: Answers) -> str:
    response = answers.only
    assert response.status == 200
    assert response.headers[:2] == [TEXT, NO_STORE]
    return response.body.decode()


@contextmanager
def counted_packets() -> Generator[list[str | bytes]]:
    """The packets that are taken out of payloads meanwhile."""
    packets: list[str | bytes] = []

    def counting(decode: Any) -> Any:
        def counted(body: Any) -> Iterator[str | bytes]:
            for packet in decode(body):
                packets.append(packet)
                yield packet

        return counted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "decode", counting(payload.decode))
        patch.setattr(payload, "decode3", counting(payload.decode3))
        yield packets


class TestPoll:
    def test_takes_what_is_queued(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        session.send(message("a"))
        session.send(message(b"b"))
        assert body_of(poll(session)).split("\x1e")[1:] == ["4a", "bYg=="]

    def test_waits_for_something_to_send(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        assert waiting.all == []
        session.send(message("a"))
        assert body_of(waiting) == "4a"
        assert not session.transport.writable

    def test_is_answered_once(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        session.send(message("a"))
        session.send(message("b"))
        assert body_of(waiting) == "4a"
        assert body_of(poll(session)) == "4b"

    def test_a_second_one_ends_the_session(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        first, second = poll(session), poll(session)
        assert second.only == Response(400, [], b"")
        assert body_of(first) == "1"
        assert scene.reasons == ["transport error"]

    def test_a_client_that_goes_away_ends_the_session(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        polling(session).abort_poll(session, waiting)
        assert waiting.all == []
        assert scene.reasons == ["transport error"]

    def test_going_away_after_the_answer_means_nothing(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        session.send(message("a"))
        polling(session).abort_poll(session, waiting)
        assert session.state is OPEN

    def test_of_a_session_that_has_ended_is_refused(self) -> None:
        # A connection handler may end a session before its first poll is looked at.
        session = Scene().open_polling()
        session.end("slow consumer")
        assert poll(session).only == Response(400, [], b"")
        assert not session.transport.writable

    def test_packets_that_must_not_be_compressed_alone_decide_nothing(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        plain = EncodedPacket(b"4secret")
        plain.compress = False
        session.send(plain)
        assert not poll(session).only.compress
        session.send(message("a"))
        assert poll(session).only.compress


class TestPost:
    @pytest.mark.parametrize(
        ("body", "messages"),
        [(b"4a", ["a"]), ("4é中😀\x1ebAQI".encode(), ["é中😀", b"\x01\x02"]), (b"6\x1e3\x1e0", [])],
    )
    def test_packets_are_handled(self, body: bytes, messages: list[str | bytes]) -> None:
        scene = Scene()
        session = scene.open_polling()
        answer = post(session, body)
        assert answer == Response(200, [("content-type", "text/html"), NO_STORE], b"ok")
        assert scene.messages == messages
        assert session.state is OPEN

    @pytest.mark.parametrize("body", [b"", b"x", b"9", b"\x1e40", b"\xff"])
    def test_a_mistake_ends_the_session(self, body: bytes) -> None:
        scene = Scene()
        session = scene.open_polling()
        assert post(session, body) == Response(400, [], b"")
        assert scene.reasons == ["parse error"]
        assert scene.messages == []

    def test_what_is_behind_a_mistake_is_not_handled(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        post(session, b"4a\x1ex\x1e4b")
        assert scene.messages == ["a"]
        assert scene.reasons == ["parse error"]

    def test_what_is_behind_a_close_packet_is_not_handled(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        answer = post(session, b"4a\x1e1\x1e4b\x1ex")
        assert answer is not None
        assert answer.body == b"ok"
        assert scene.messages == ["a"]
        assert scene.reasons == ["transport close"]

    def test_a_second_one_ends_the_session(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        transport = polling(session)
        assert transport.start_post(session)
        assert post(session, b"4a") is None
        assert scene.reasons == ["transport error"]
        assert scene.messages == []

    def test_one_after_the_other_is_fine(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        post(session, b"4a")
        polling(session).start_post(session)
        polling(session).refuse_post()
        post(session, b"4b")
        assert scene.messages == ["a", "b"]

    def test_a_client_that_goes_away_ends_the_session(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        transport = polling(session)
        transport.start_post(session)
        transport.abort_post(session)
        assert scene.reasons == ["transport error"]

    def test_revision_4_has_no_binary_bodies(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        assert post(session, b"4a", binary=True) == Response(400, [], b"")
        assert scene.reasons == ["transport error"]

    def test_others_get_a_turn_during_a_long_payload(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        transport = polling(session)
        transport.start_post(session)
        count = 5000
        steps = transport.post(session, b"\x1e".join([b"4a"] * count), binary=False, jsonp=False)
        turns = sum(1 for _ in steps)
        assert turns >= 4
        assert len(scene.messages) == count

    @pytest.mark.parametrize(
        ("query", "body"),
        [
            ("EIO=4", b"\x1e".join([b"4a"] * 5000)),
            ("EIO=4", "\x1e".join(["4a"] * 4999 + ["4😀"]).encode()),
            ("EIO=3", b"2:4a" * 5000),
            ("EIO=3", ("2:4a" * 4999 + "3:4😀").encode()),
            ("EIO=3", ("3:4😀" + "2:4a" * 4999).encode()),
            ("EIO=3", ("2:4a" * 4999 + "2:4é").encode()),
            ("EIO=3", ("5:42[0]" + "2:4a" * 4998 + "2:4中").encode()),
        ],
    )
    def test_no_step_decodes_more_than_a_thousand_packets(self, query: str, body: bytes) -> None:
        scene = Scene()
        session = scene.open_polling(query)
        transport = polling(session)
        transport.start_post(session)
        with counted_packets() as packets:
            steps = transport.post(session, body, binary=False, jsonp=False)
            for turn, _ in enumerate(steps, 1):
                assert len(packets) == 1000 * turn == len(scene.messages)
        assert len(packets) == len(scene.messages) == 5000

    def test_pings_without_an_end_are_not_all_answered(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3")
        poll(session)
        post(session, b"1:2" * 200_000)
        assert scene.reasons == ["slow consumer"]

    def test_a_session_that_is_paused_is_waited_for(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        transport = polling(session)
        transport.start_post(session)
        steps = transport.post(session, b"4a\x1e4b", binary=False, jsonp=False)
        session.pause()
        for _ in range(3):
            next(steps)
            assert scene.messages == ["a"]
        session.resume()
        with pytest.raises(StopIteration):
            next(steps)
        assert scene.messages == ["a", "b"]

    def test_a_session_that_ends_while_it_is_paused(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        transport = polling(session)
        transport.start_post(session)
        steps = transport.post(session, b"4a\x1e4b", binary=False, jsonp=False)
        session.pause()
        next(steps)
        session.end("transport close")
        with pytest.raises(StopIteration):
            next(steps)
        assert scene.messages == ["a"]


class TestClose:
    def test_a_waiting_client_is_told(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        session.close()
        assert body_of(waiting) == "1"
        assert scene.reasons == ["forced close"]

    def test_the_next_poll_is_told(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        session.close("server shutting down")
        assert scene.reasons == []
        assert body_of(poll(session)) == "1"
        assert scene.reasons == ["server shutting down"]

    def test_the_close_packet_comes_apart_from_what_was_queued(self) -> None:
        # Socket.IO 4 clients handle packets a moment later, but the close packet at once.
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        session.send(message("bye"))
        session.close()
        assert body_of(poll(session)) == "4bye"
        assert body_of(poll(session)) == "1"
        assert scene.reasons == ["forced close"]

    def test_discarding_what_was_queued(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        session.send(message("bye"))
        session.close(discard=True)
        assert body_of(poll(session)) == "1"

    def test_a_client_that_never_polls_again(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        session.close()
        scene.pass_time(29.9)
        assert scene.reasons == []
        scene.pass_time(0.1)
        assert scene.reasons == ["forced close"]
        assert scene.deadlines == 0

    def test_a_client_that_closes_at_the_same_time(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        session.close()
        answer = post(session, b"4late\x1e1")
        assert answer is not None
        assert answer.body == b"ok"
        assert scene.reasons == ["forced close"]
        assert scene.messages == []

    def test_the_end_answers_a_waiting_client(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        session.end("ping timeout")
        assert body_of(waiting) == "1"


class TestRevision3:
    def test_strings(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3")
        poll(session)
        session.send(message('2["é"]'))
        waiting = poll(session)
        assert waiting.only.headers[0] == BINARY
        session.send(message("2[]"))
        assert body_of(poll(session)) == "4:42[]"

    def test_binary_payload_for_clients_that_can_read_it(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3")
        poll(session)
        session.send(message(b"\x01"))
        response = poll(session).only
        assert response.headers[0] == BINARY
        assert response.body == b"\x01\x02\xff\x04\x01"

    def test_base64_for_those_that_cannot(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3&b64=1")
        poll(session)
        session.send(EncodedPacket('42["é😀"]'.encode(), (b"\x01",)))
        assert body_of(poll(session)) == '24:42["\\u00e9\\ud83d\\ude00"]6:b4AQ=='

    def test_jsonp(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3&j=0")
        poll(session, "0")
        session.send(message('2["</script>\u2028"]'))
        response = poll(session, "7);alert(1)//").only
        assert response.headers == [
            ("content-type", "text/javascript; charset=UTF-8"),
            NO_STORE,
            ("x-content-type-options", "nosniff"),
        ]
        body = response.body.decode()
        assert body.startswith('___eio[71]("21:42[\\"\\u003c/script\\u003e\\\\u2028\\"]")')

    @pytest.mark.parametrize(
        ("body", "binary", "messages"),
        [
            ("5:4é😀", False, None),
            ("4:4é😀6:b4AQ==", False, ["é😀", b"\x01"]),
            ("0:2:4a", False, ["a"]),
            (b"\x00\x02\xff4a\x01\x02\xff\x04\x01", True, ["a", b"\x01"]),
        ],
    )
    def test_posts(
        self, body: str | bytes, binary: bool, messages: list[str | bytes] | None
    ) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3")
        sent = body.encode() if isinstance(body, str) else body
        answer = post(session, sent, binary=binary)
        assert answer is not None
        if messages is None:
            assert (answer.status, scene.reasons) == (400, ["parse error"])
        else:
            assert (answer.status, scene.messages) == (200, messages)

    def test_packets_before_a_mistake_are_handled(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3")
        post(session, "2:4中2:4x!".encode())
        assert scene.messages == ["中", "x"]
        assert scene.reasons == ["parse error"]

    def test_a_1x_client_is_read_and_recognised(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3&b64=1")
        text = "4é中😀".encode().decode("latin-1")
        post(session, f"{len(text)}:{text}".encode())
        assert scene.messages == ["é中😀"]

    @pytest.mark.parametrize(
        ("form", "messages", "reasons"),
        [
            (b"d=" + quote("2:4a3:4😀").encode(), ["a", "😀"], []),
            (b"d=", [], ["parse error"]),
            (b"x=1", [], []),
            (b"d=%ff", [], ["parse error"]),
        ],
    )
    def test_jsonp_forms(self, form: bytes, messages: list[str], reasons: list[str]) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3&j=0")
        answer = post(session, form, jsonp=True)
        assert answer is not None
        assert scene.messages == messages
        assert scene.reasons == reasons
        assert answer.status == (400 if reasons else 200)

    def test_pings_are_answered(self) -> None:
        scene = Scene()
        session = scene.open_polling("EIO=3")
        poll(session)
        post(session, b"1:26:2probe")
        assert body_of(poll(session)) == "1:36:3probe"


class TestTransport:
    def test_sending_without_a_poll_is_a_mistake_of_ours(self) -> None:
        with pytest.raises(AssertionError, match="writable"):
            PollingTransport().send([message("a")])
