"""Payloads of long-polling: round trips, laws, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telex.engine import payload
from telex.engine.packet import TYPES
from telex.errors import PacketError
from telex.wire import EncodedPacket
from tests.support.strategies import texts
from tests.support.vectors import load

Message = str | bytes
VECTORS = load("payloads.json")

packet_texts = st.builds("{}{}".format, st.sampled_from(TYPES), texts)
binary = st.binary(max_size=30)
messages = st.lists(st.one_of(packet_texts, binary), min_size=1, max_size=5)
wide_messages = st.lists(st.one_of(packet_texts.map("{}😀".format), binary), min_size=1, max_size=5)


def packets(items: list[Message]) -> list[EncodedPacket]:
    return [
        EncodedPacket(item.encode()) if isinstance(item, str) else EncodedPacket(None, (item,))
        for item in items
    ]


def plain(text: str) -> str:
    return text


def until_mistake(decoded: Iterator[Message]) -> tuple[list[Message], str | None]:
    """The packets before a mistake, and the mistake."""
    found: list[Message] = []
    try:
        found.extend(decoded)
    except PacketError as error:
        return found, str(error)
    return found, None


class TestVectors:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
    def test_both_ways(self, vector: dict[str, Any]) -> None:
        body, expected = vector["payload"], vector["messages"]
        if vector["revision"] == 4:
            assert list(payload.decode(body.encode())) == expected
            assert payload.encode(packets(expected)) == body.encode()
        elif isinstance(body, bytes):
            assert list(payload.decode3_binary(body)) == expected
            assert payload.encode3_binary(packets(expected)) == body
        else:
            assert list(payload.decode3(body)) == expected
            assert payload.encode3(packets(expected), plain) == body.encode()


class TestRevision4:
    @given(messages)
    def test_round_trip(self, items: list[Message]) -> None:
        safe = [item.replace("\x1e", " ") if isinstance(item, str) else item for item in items]
        assert list(payload.decode(payload.encode(packets(safe)))) == safe

    @given(texts.map("4{}".format), st.lists(binary, max_size=3))
    def test_attachments_follow_their_packet(self, text: str, data: list[bytes]) -> None:
        text = text.replace("\x1e", " ")
        body = payload.encode([EncodedPacket(text.encode(), tuple(data))])
        assert list(payload.decode(body)) == [text, *data]

    @given(messages, messages)
    def test_concatenation(self, first: list[Message], second: list[Message]) -> None:
        a, b = payload.encode(packets(first)), payload.encode(packets(second))
        both = until_mistake(payload.decode(a + b"\x1e" + b))
        alone = until_mistake(payload.decode(a))
        if alone[1] is None:
            rest = until_mistake(payload.decode(b))
            assert both == (alone[0] + rest[0], rest[1])
        else:
            assert both == alone

    @given(st.one_of(st.binary(), texts.map(str.encode)))
    @example(b"\x1e")
    def test_anything_gives_packets_or_exactly_a_packet_error(self, body: bytes) -> None:
        found, _ = until_mistake(payload.decode(body))
        for item in found:
            assert isinstance(item, bytes) or item[0] in TYPES

    @pytest.mark.parametrize(
        ("body", "before"),
        [
            (b"", []),
            (b"x", []),
            (b"7", []),
            (b"\x1e", []),
            (b"40\x1e", ["40"]),
            (b"\x1e40", []),
            (b"40\x1ex\x1e42", ["40"]),
            ("٤0".encode(), []),
            ("４0".encode(), []),
            (b"\xef\xbb\xbf40", []),
            (b"4\xff\xfe", []),
        ],
    )
    def test_mistakes_come_after_the_packets_before_them(
        self, body: bytes, before: list[Message]
    ) -> None:
        found, mistake = until_mistake(payload.decode(body))
        assert found == before
        assert mistake is not None


class TestRevision3Text:
    @given(st.one_of(messages, wide_messages))
    def test_round_trip(self, items: list[Message]) -> None:
        body = payload.encode3(packets(items), plain)
        assert list(payload.decode3(body.decode())) == items

    @given(texts)
    def test_announced_lengths_are_utf16_code_units(self, text: str) -> None:
        body = payload.encode3(packets(["4" + text]), plain).decode()
        digits, _, rest = body.partition(":")
        assert rest == "4" + text
        assert int(digits) == len(rest.encode("utf-16-le")) // 2 == payload.utf16_length(rest)

    @given(messages, messages)
    def test_concatenation(self, first: list[Message], second: list[Message]) -> None:
        a = payload.encode3(packets(first), plain).decode()
        b = payload.encode3(packets(second), plain).decode()
        assert list(payload.decode3(a + b)) == first + second

    @given(st.one_of(texts, st.text("0123456789:4b€😀")))
    @example("9" * 16 + ":4")
    @example("2:😀")
    def test_anything_gives_packets_or_exactly_a_packet_error(self, text: str) -> None:
        found, _ = until_mistake(payload.decode3(text))
        for item in found:
            assert isinstance(item, bytes) or item[0] in TYPES

    @pytest.mark.parametrize(
        ("text", "before"),
        [
            ("", []),
            *((f"{digits}:4a", []) for digits in ("2e0", "0x2", " 2", "+2", "1.0", "-1", "NaN")),
            *((f"{digits}:4a", []) for digits in ("", "Infinity", "٢", "1_0", "9" * 20, "9" * 400)),
            ("2:4", []),
            ("9:4a", []),
            ("3:4€", []),
            ("2:4😀", []),
            ("2:4a3", ["4a"]),
            ("2:4a:", ["4a"]),
            ("2:4a\n", ["4a"]),
            ("2:9a", []),
            ("2:xa", []),
            ("3:b9A", []),
            ("1:b", []),
            ("7:b4AQIDBA==", [b"\x01\x02\x03"]),
            ("3:4😀2:4😀", ["4😀"]),
        ],
    )
    def test_mistakes_come_after_the_packets_before_them(
        self, text: str, before: list[Message]
    ) -> None:
        found, mistake = until_mistake(payload.decode3(text))
        assert found == before
        assert mistake is not None

    def test_packets_of_length_zero_are_skipped(self) -> None:
        assert list(payload.decode3("0:")) == []
        assert list(payload.decode3("0:2:4a0:0:2:4b")) == ["4a", "4b"]
        assert list(payload.decode3("01:42:4a")) == ["4", "4a"]

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("item", ["0:", "1:6", "3:4€6", "3:4😀"])
    def test_a_megabyte_of_small_packets(self, item: str) -> None:
        count = 1_000_000 // len(item)
        found = sum(1 for _ in payload.decode3(item * count))
        assert found == (0 if item == "0:" else count)


class TestRevision3Binary:
    @given(messages)
    def test_round_trip(self, items: list[Message]) -> None:
        assert list(payload.decode3_binary(payload.encode3_binary(packets(items)))) == items

    @given(
        st.one_of(
            st.binary(), st.lists(st.sampled_from(list(b"\0\1\2\4\x09\x0a4b\xff"))).map(bytes)
        )
    )
    def test_anything_gives_packets_or_exactly_a_packet_error(self, body: bytes) -> None:
        found, _ = until_mistake(payload.decode3_binary(body))
        for item in found:
            assert isinstance(item, bytes) or item[0] in TYPES

    @pytest.mark.parametrize(
        ("body", "before"),
        [
            ("", []),
            ("00", []),
            ("00ff", []),
            ("0001ff", []),
            ("0000ff", []),
            ("010100ff0401", []),
            ("000bff34", []),
            ("0202ff3461", []),
            ("0101ff09", []),
            ("0100ff", []),
            ("0003ff34e282", []),
            ("0001ff78", []),
            ("00" + "09" * 400 + "ff", []),
            ("0002ff346100", ["4a"]),
        ],
    )
    def test_mistakes_come_after_the_packets_before_them(
        self, body: str, before: list[Message]
    ) -> None:
        found, mistake = until_mistake(payload.decode3_binary(bytes.fromhex(body)))
        assert found == before
        assert mistake is not None

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("byte", [0, 1, 9, 255])
    def test_a_megabyte_without_a_length(self, byte: int) -> None:
        with pytest.raises(PacketError):
            list(payload.decode3_binary(bytes([byte]) * 1_000_000))


class TestJsonp:
    @pytest.mark.parametrize(
        ("value", "index"),
        [("0", "0"), ("12", "12"), ("1);alert(1)//", "11"), ("\n", ""), ("²", "")],
    )
    def test_only_digits_of_the_index_are_used(self, value: str, index: str) -> None:
        assert payload.jsonp_index(value) == index

    @given(texts)
    def test_script_is_safe_in_any_page(self, text: str) -> None:
        script = payload.encode_jsonp(text.encode(), "3").decode()
        assert script.startswith("___eio[3](")
        assert script.endswith(");")
        assert not set("<>\u2028\u2029") & set(script)
        assert json.loads(script[len("___eio[3](") : -2]) == text

    @pytest.mark.parametrize(
        ("form", "text"),
        [
            ("d=2%3A40", "2:40"),
            ("d=", ""),
            ("x=1", None),
            ("", None),
            ("d=a&d=b", None),
            ("d=a&x=b", None),
            ("x=b&d=a", None),
            ("d=a%5C%5C%5Cnb", "a\\\\nb"),
            ("d=a=b%3Dc", "a=b=c"),
            ("d=a+b", "a b"),
            # The client doubles the backslash of what is not a newline.
            ("d=a%5Cnb", "a\nb"),
            ("d=a%5C%5Cnb", "a\\nb"),
            ("d=%E2%82%AC", "€"),
        ],
    )
    def test_forms(self, form: str, text: str | None) -> None:
        assert payload.decode_jsonp(form.encode()) == text

    @pytest.mark.parametrize("form", [b"d=%E0%A4%A", b"d=%FF", "d=€".encode(), b"\xff", b"d=%"])
    def test_forms_that_are_no_text(self, form: bytes) -> None:
        with pytest.raises(PacketError):
            payload.decode_jsonp(form)


class TestLaziness:
    """Packets before a mistake are handled before it is known."""

    @pytest.mark.parametrize(
        ("decode", "body"),
        [
            (payload.decode, b"4a\x1ex"),
            (payload.decode3, "2:4ax"),
            (payload.decode3_binary, b"\x00\x02\xff4ax"),
        ],
    )
    def test_first_packet_comes_first(
        self, decode: Callable[[Any], Iterator[Message]], body: object
    ) -> None:
        decoded = decode(body)
        assert next(decoded) == "4a"
        with pytest.raises(PacketError):
            next(decoded)
