"""Text of Socket.IO 1.x and 2.x clients over polling: both generations, read and written."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from telex.engine import payload
from telex.engine.legacy import ONCE, TWICE, LegacyText
from telex.wire import EncodedPacket
from tests.support.parsers import JavaScriptParsers
from tests.support.strategies import json_values, texts

Generation = Literal[1, 2]
GENERATIONS: list[Generation] = [1, 2]
NAMES: dict[int, str] = {1: TWICE, 2: ONCE}

# Text that proves itself when it is encoded twice: every continuation byte in
# U+0080..U+009F shows. All emoji, nearly all CJK and Cyrillic text has such bytes.
PROOFS = ["é中😀", "привет", "日本語", "😀", "À", "ÀÉ", "Ünïcödé Ñ 中"]


# Without "40/name" and "41/name", which say by their comma which generation it is.
plain_texts = texts.filter(lambda text: not text.startswith(("0/", "1/")))


def twice(text: str) -> str:
    """As Socket.IO 1.x sends it: its UTF-8 bytes, taken for characters."""
    return text.encode().decode("latin-1")


def read(legacy: LegacyText, *packets: str | bytes) -> list[str | bytes]:
    text = "".join(packet for packet in packets if isinstance(packet, str))
    return list(legacy.read(text, iter(packets)))


class TestReading:
    @given(st.lists(texts.map("4{}".format), max_size=3))
    def test_of_a_1x_client(self, packets: list[str]) -> None:
        legacy = LegacyText(json_text=True)
        legacy.generation = TWICE
        assert read(legacy, *map(twice, packets)) == packets

    @given(st.lists(texts.map("4{}".format), max_size=3))
    def test_of_a_2x_client(self, packets: list[str]) -> None:
        legacy = LegacyText(json_text=True)
        legacy.generation = ONCE
        assert read(legacy, *packets) == packets

    @given(st.lists(plain_texts.map("4{}".format), max_size=3))
    def test_of_a_2x_client_that_is_not_known_yet(self, packets: list[str]) -> None:
        everything = "".join(packets)
        assume(any(char > "\xff" for char in everything))
        legacy = LegacyText(json_text=True)
        assert read(legacy, *packets) == packets
        assert legacy.generation == ONCE

    @given(st.sampled_from(PROOFS), plain_texts)
    def test_of_a_1x_client_that_is_not_known_yet(self, proof: str, text: str) -> None:
        packets = ["4" + text, "4" + proof]
        legacy = LegacyText(json_text=True)
        assert read(legacy, *map(twice, packets)) == packets
        assert legacy.generation == TWICE

    @given(st.text(st.characters(max_codepoint=127)))
    def test_ascii_proves_nothing(self, text: str) -> None:
        assume(not text.startswith(("0/", "1/")))
        legacy = LegacyText(json_text=True)
        assert read(legacy, "4" + text) == ["4" + text]
        assert legacy.generation is None

    def test_binary_packets_are_left_alone(self) -> None:
        legacy = LegacyText(json_text=True)
        assert read(legacy, b"\xc3\xa9", twice("4中"), b"\x80") == [b"\xc3\xa9", "4中", b"\x80"]

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            # Taken for Latin-1 letters that were encoded twice …
            ("4Ã©", "4é"),
            ("4CafÃ©", "4Café"),
            ("4Â«EspaÃ±aÂ»", "4«España»"),
            # … but capitals with a sign behind them are what people write.
            ("4NESCAFÉ®", "4NESCAFÉ®"),
            ("4LIBERTÉ\u00a0!", "4LIBERTÉ\u00a0!"),
            ("4Spaß»", "4Spaß»"),
        ],
    )
    def test_text_that_could_be_either(self, text: str, meant: str) -> None:
        legacy = LegacyText(json_text=True)
        assert read(legacy, text) == [meant]

    def test_a_guess_binds_nobody(self) -> None:
        legacy = LegacyText(json_text=True)
        read(legacy, "4Ã©")
        assert legacy.generation is None
        assert read(legacy, "4中 Ã©") == ["4中 Ã©"]
        assert read(legacy, "4Ã©") == ["4Ã©"]

    def test_one_packet_speaks_for_the_whole_payload(self) -> None:
        legacy = LegacyText(json_text=True)
        assert read(legacy, twice("4é"), twice("4😀")) == ["4é", "4😀"]
        assert read(LegacyText(json_text=True), "4Ã©", "4中") == ["4Ã©", "4中"]

    @pytest.mark.parametrize(
        ("packet", "generation"),
        [("40/chat", TWICE), ("41/chat", TWICE), ("40/chat,", ONCE), ("41/chat,", ONCE)],
    )
    def test_namespaces_without_data_prove_the_generation(
        self, packet: str, generation: str
    ) -> None:
        legacy = LegacyText(json_text=True)
        assert read(legacy, packet) == [packet]
        assert legacy.generation == generation

    @pytest.mark.parametrize("packet", ["40", "41", "42/chat,", '42/chat,["a"]', "40/a,b", "2"])
    def test_other_packets_do_not(self, packet: str) -> None:
        legacy = LegacyText(json_text=True)
        read(legacy, packet)
        assert legacy.generation is None

    def test_text_that_is_not_socket_io_has_no_namespaces(self) -> None:
        legacy = LegacyText(json_text=False)
        assert read(legacy, "40/chat", "4Ã©") == ["40/chat", "4é"]
        assert legacy.generation is None

    def test_what_is_proved_stays(self) -> None:
        legacy = LegacyText(json_text=True)
        read(legacy, "40/chat")
        read(legacy, "40/other,")
        assert legacy.generation == TWICE

    @given(st.text(st.characters(codec="latin-1")))
    @example("\xed\xa0\x80")
    def test_nothing_a_client_sends_is_an_error(self, text: str) -> None:
        for generation in (None, ONCE, TWICE):
            legacy = LegacyText(json_text=True)
            legacy.generation = generation
            (packet,) = read(legacy, "4" + text)
            assert isinstance(packet, str)
            packet.encode()  # no half of a surrogate pair gets in


class TestWriting:
    @given(json_values)
    def test_json_is_ascii(self, value: object) -> None:
        text = "42" + json.dumps(["a", value], ensure_ascii=False)
        for generation in (None, ONCE, TWICE):
            legacy = LegacyText(json_text=True)
            legacy.generation = generation
            written = legacy.write(text)
            assert written.isascii()
            assert json.loads(written[2:]) == ["a", value]

    @given(texts)
    def test_other_text_follows_the_client(self, text: str) -> None:
        legacy = LegacyText(json_text=False)
        assert legacy.write("4" + text) == "4" + text
        legacy.generation = ONCE
        assert legacy.write("4" + text) == "4" + text
        legacy.generation = TWICE
        assert legacy.write("4" + text) == twice("4" + text)

    @pytest.mark.parametrize("name", ["/中", "/é", "/😀[1]"])
    @pytest.mark.parametrize("generation", [ONCE, None])
    def test_names_of_namespaces_are_not_json(self, name: str, generation: str | None) -> None:
        legacy = LegacyText(json_text=True)
        legacy.generation = generation
        assert legacy.write(f'42{name},["é"]') == f'42{name},["\\u00e9"]'
        assert legacy.write(f"40{name}") == f"40{name}"

    def test_names_of_namespaces_for_1x_clients(self) -> None:
        legacy = LegacyText(json_text=True)
        legacy.generation = TWICE
        assert legacy.write('42/中,12["é"]') == twice("42/中") + ',12["\\u00e9"]'


def body(legacy: LegacyText, *packets: str) -> str:
    return payload.encode3([EncodedPacket(one.encode()) for one in packets], legacy.write).decode()


@pytest.mark.parametrize("generation", GENERATIONS)
class TestRealParsers:
    """The Engine.IO parsers of Socket.IO 1.7 and 2.5, over string payloads."""

    @given(packets=st.lists(texts.map("4{}".format), min_size=1, max_size=3))
    def test_what_a_known_client_sends(
        self, javascript: JavaScriptParsers, generation: Generation, packets: list[str]
    ) -> None:
        legacy = LegacyText(json_text=True)
        legacy.generation = NAMES[generation]
        (sent,) = javascript.encode_payload3([packets], generation=generation, binary=False)
        assert isinstance(sent, str)
        assert list(legacy.read(sent, payload.decode3(sent))) == packets

    @given(proof=st.sampled_from(PROOFS), text=plain_texts)
    def test_what_an_unknown_client_sends(
        self, javascript: JavaScriptParsers, generation: Generation, proof: str, text: str
    ) -> None:
        packets = ["4" + text, "4中" + proof]
        (sent,) = javascript.encode_payload3([packets], generation=generation, binary=False)
        assert isinstance(sent, str)
        legacy = LegacyText(json_text=True)
        assert list(legacy.read(sent, payload.decode3(sent))) == packets
        assert legacy.generation == NAMES[generation]

    @given(value=json_values)
    def test_what_a_client_reads(
        self, javascript: JavaScriptParsers, generation: Generation, value: object
    ) -> None:
        """JSON is read alike by both, and nobody needs to know which one it is."""
        text = "42" + json.dumps(["a", value], ensure_ascii=False)
        sent = body(LegacyText(json_text=True), text, "2")
        (read_there,) = javascript.decode_payload3([sent], generation=generation)
        assert read_there[1:] == ["2"]
        assert isinstance(read_there[0], str)
        assert json.loads(read_there[0][2:]) == ["a", value]

    @given(text=texts)
    def test_what_a_known_client_reads(
        self, javascript: JavaScriptParsers, generation: Generation, text: str
    ) -> None:
        legacy = LegacyText(json_text=False)
        legacy.generation = NAMES[generation]
        sent = body(legacy, "4" + text)
        assert javascript.decode_payload3([sent], generation=generation) == [["4" + text]]

    @given(items=st.lists(st.one_of(texts.map("4{}".format), st.binary()), min_size=1, max_size=3))
    def test_binary_payloads_are_alike(
        self, javascript: JavaScriptParsers, generation: Generation, items: list[str | bytes]
    ) -> None:
        ours = payload.encode3_binary(
            [
                EncodedPacket(one.encode()) if isinstance(one, str) else EncodedPacket(None, (one,))
                for one in items
            ]
        )
        assert javascript.decode_payload3([ours], generation=generation) == [items]
        (theirs,) = javascript.encode_payload3([[*items, b""]], generation=generation, binary=True)
        assert isinstance(theirs, bytes)
        assert list(payload.decode3_binary(theirs)) == [*items, b""]
