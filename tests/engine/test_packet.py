"""Engine.IO packets that applications send on their own."""

from __future__ import annotations

import array
from typing import Any

import pytest

from telex.engine import packet
from telex.errors import EncodeError


class TestMessage:
    @pytest.mark.parametrize("text", ["", "hello", "é中😀", "\x00\x1e"])
    def test_text(self, text: str) -> None:
        assert packet.message(text).messages() == ["4" + text]

    @pytest.mark.parametrize(
        "data", [b"ab", bytearray(b"ab"), memoryview(b"ab"), array.array("B", b"ab")]
    )
    def test_binary(self, data: Any) -> None:
        assert packet.message(data).messages() == [b"ab"]

    @pytest.mark.parametrize("data", [5, None, 1.5, [1, 2], {"a": 1}, "\ud800"])
    def test_anything_else_cannot_be_sent(self, data: Any) -> None:
        with pytest.raises(EncodeError):
            packet.message(data)


class TestConstants:
    def test_packets_that_are_always_the_same(self) -> None:
        assert packet.CLOSE_PACKET.messages() == ["1"]
        assert packet.PING_PACKET.messages() == ["2"]
        assert packet.NOOP_PACKET.messages() == ["6"]
        assert packet.PROBE_ANSWER.messages() == ["3probe"]

    def test_types_are_one_ascii_digit(self) -> None:
        types = (
            packet.OPEN,
            packet.CLOSE,
            packet.PING,
            packet.PONG,
            packet.MESSAGE,
            packet.UPGRADE,
            packet.NOOP,
        )
        assert "".join(types) == packet.TYPES == "0123456"
