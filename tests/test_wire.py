"""Encoded packets: every wire form holds the same messages, and is built once."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.wire import EncodedPacket
from tests.support.frames import read_frames
from tests.support.strategies import texts

packet_texts = st.one_of(st.none(), texts.map("4{}".format))
attachments = st.lists(st.binary(max_size=300), max_size=3).map(tuple)

EDGES = [0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 70000]


def encoded(text: str | None, data: tuple[bytes, ...] = ()) -> EncodedPacket:
    return EncodedPacket(None if text is None else text.encode(), data)


def messages(text: str | None, data: tuple[bytes, ...]) -> list[str | bytes]:
    return [*([] if text is None else [text]), *data]


class TestForms:
    @given(packet_texts, attachments)
    def test_frames_hold_the_messages(self, text: str | None, data: tuple[bytes, ...]) -> None:
        assert read_frames(encoded(text, data).frames()) == messages(text, data)

    @given(packet_texts, attachments)
    def test_frames_of_revision_3_mark_binary_messages(
        self, text: str | None, data: tuple[bytes, ...]
    ) -> None:
        marked = tuple(b"\x04" + item for item in data)
        assert read_frames(encoded(text, data).frames3()) == messages(text, marked)

    @given(packet_texts, attachments)
    def test_messages(self, text: str | None, data: tuple[bytes, ...]) -> None:
        assert encoded(text, data).messages() == messages(text, data)

    @given(texts.map("4{}".format), attachments)
    def test_part_of_a_polling_payload(self, text: str, data: tuple[bytes, ...]) -> None:
        head, *rest = encoded(text.replace("\x1e", ""), data).part().split(b"\x1e")
        assert head.decode() == text.replace("\x1e", "")
        assert all(item[:1] == b"b" for item in rest)
        assert tuple(b64decode(item[1:], validate=True) for item in rest) == data

    def test_without_an_offset(self) -> None:
        asked: list[object] = []

        def encode(event: list[Any]) -> EncodedPacket:
            asked.append(event)
            return encoded('42["x"]')

        packet = encoded('42["x","1-1"]')
        packet.event = ["x"]
        assert packet.without_offset(encode) is packet
        packet.has_offset()
        packet.compress = False
        plain = packet.without_offset(encode)
        assert (plain.text, plain.event, plain.compress) == (b'42["x"]', ["x"], False)
        assert packet.without_offset(encode) is plain
        assert asked == [["x"]]

    def test_part_of_only_binary_data(self) -> None:
        assert encoded(None, (b"\x00", b"")).part() == b"bAA==\x1eb"

    @given(packet_texts, attachments)
    def test_size_counts_text_and_attachments(
        self, text: str | None, data: tuple[bytes, ...]
    ) -> None:
        assert encoded(text, data).size == sum(
            len(item.encode()) if isinstance(item, str) else len(item)
            for item in messages(text, data)
        )

    @pytest.mark.parametrize("size", EDGES)
    def test_frame_lengths_at_the_edges_of_the_three_forms(self, size: int) -> None:
        text, data = "4" * size, b"\x00" * size
        assert read_frames(encoded(text).frames()) == [text]
        assert read_frames(encoded(text, (data,)).frames()) == [text, data]
        assert read_frames(encoded(text, (data,)).frames3()) == [text, b"\x04" + data]

    def test_frame_bytes(self) -> None:
        # RFC 6455, 5.2: FIN and opcode; no mask; the shortest form of the length.
        assert encoded("2").frames() == b"\x81\x012"
        assert encoded(None, (b"\xff",)).frames() == b"\x82\x01\xff"
        assert encoded("x" * 126).frames()[:4] == b"\x81\x7e\x00\x7e"
        assert encoded("x" * 65536).frames()[:10] == b"\x81\x7f" + (65536).to_bytes(8, "big")


class TestSharing:
    """A broadcast encodes once: every recipient gets the very same bytes."""

    def test_each_form_is_kept(self) -> None:
        packet = encoded('451-["x",{"_placeholder":true,"num":0}]', (b"data",))
        assert packet.frames() is packet.frames()
        assert packet.frames3() is packet.frames3()
        assert packet.part() is packet.part()
        assert packet.messages() is packet.messages()

    def test_text_is_not_copied_for_polling(self) -> None:
        packet = encoded('42["x"]')
        assert packet.part() is packet.text

    def test_both_revisions_share_frames_of_text(self) -> None:
        packet = encoded('42["x"]')
        assert packet.frames3() is packet.frames()

    def test_forms_do_not_depend_on_the_order_in_which_they_are_asked_for(self) -> None:
        forms = [
            EncodedPacket.frames,
            EncodedPacket.frames3,
            EncodedPacket.part,
            EncodedPacket.messages,
        ]
        first = encoded("4x", (b"a", b"b"))
        second = encoded("4x", (b"a", b"b"))
        assert [form(first) for form in forms] == [form(second) for form in forms[::-1]][::-1]
