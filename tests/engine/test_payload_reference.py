"""The payloads of the JavaScript parsers: both ways, and the same verdict on mistakes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telex.engine import payload
from telex.engine.packet import TYPES
from telex.errors import PacketError
from tests.engine.test_payload import VECTORS, Message, packets, plain, until_mistake
from tests.support.examples import examples
from tests.support.parsers import JavaScriptParsers
from tests.support.strategies import texts

# The reference encodes an empty message, but no packet with binary data of another type.
packet_texts = st.builds("{}{}".format, st.sampled_from(TYPES), texts)
messages = st.lists(st.one_of(packet_texts, st.binary(max_size=20)), min_size=1, max_size=4)


def verdict(found: list[Message], mistake: str | None) -> list[Message | None]:
    """As the JavaScript side has it: `None` ends a payload with a mistake."""
    return [*found] if mistake is None else [*found, None]


class TestVectors:
    @pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
    def test_both_ways(self, javascript: JavaScriptParsers, vector: dict[str, Any]) -> None:
        body, expected = vector["payload"], vector["messages"]
        if vector["revision"] == 4:
            assert javascript.decode_payload4([body]) == [expected]
            assert javascript.encode_payload4([expected]) == [body]
        else:
            binary = isinstance(body, bytes)
            assert javascript.decode_payload3([body]) == [expected]
            assert javascript.encode_payload3([expected], binary=binary) == [body]


class TestBothWays:
    @given(items=messages)
    def test_revision_4(self, javascript: JavaScriptParsers, items: list[Message]) -> None:
        safe = [item.replace("\x1e", " ") if isinstance(item, str) else item for item in items]
        assert javascript.decode_payload4([payload.encode(packets(safe)).decode()]) == [safe]
        (theirs,) = javascript.encode_payload4([safe])
        assert list(payload.decode(theirs.encode())) == safe

    @given(items=messages)
    def test_revision_3_text(self, javascript: JavaScriptParsers, items: list[Message]) -> None:
        ours = payload.encode3(packets(items), plain).decode()
        assert javascript.decode_payload3([ours]) == [items]
        (theirs,) = javascript.encode_payload3([items], binary=False)
        assert isinstance(theirs, str)
        assert list(payload.decode3(theirs)) == items

    @given(items=messages)
    def test_revision_3_binary(self, javascript: JavaScriptParsers, items: list[Message]) -> None:
        ours = payload.encode3_binary(packets(items))
        assert javascript.decode_payload3([ours]) == [items]
        (theirs,) = javascript.encode_payload3([[*items, b"x"]], binary=True)
        assert isinstance(theirs, bytes)
        assert list(payload.decode3_binary(theirs)) == [*items, b"x"]

    @given(text=st.text(st.characters(max_codepoint=127)))
    def test_base64(self, javascript: JavaScriptParsers, text: str) -> None:
        """Junk in base64 is read as Node reads it."""
        text = text.replace("\x1e", "")
        assert javascript.decode_payload4(["b" + text]) == [[payload.decode_base64(text)]]

    @given(text=texts)
    def test_jsonp(self, javascript: JavaScriptParsers, text: str) -> None:
        script = payload.encode_jsonp(text.encode(), "7").decode()
        assert javascript.run_jsonp([(script, "7")]) == [[text]]

    @given(text=st.text(st.sampled_from("ab\\n\n +&=%é€😀")))
    def test_jsonp_forms(self, javascript: JavaScriptParsers, text: str) -> None:
        form = "d=" + "".join(f"%{byte:02X}" for byte in text.encode())
        assert javascript.read_jsonp([form]) == [payload.decode_jsonp(form.encode())]


INSERTED = ["\x1e", "\x00", ":", "-", " ", "1", "4", "b", "€", "😀", "x"]


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """One to three characters are inserted, deleted or doubled."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            text = text[:place] + text[place + 1 :]
        elif kind == 1:
            text = text[:place] + text[place : place + 1] * 2 + text[place + 1 :]
        elif kind == 2:
            text = text[:place]
        else:
            text = text[:place] + draw(st.sampled_from(INSERTED)) + text[place:]
    return text


@st.composite
def mistakes(draw: st.DrawFn, revision: int) -> str:
    bodies = [
        vector["payload"]
        for vector in VECTORS
        if vector["revision"] == revision and isinstance(vector["payload"], str)
    ]
    return draw(mutated(draw(st.sampled_from(bodies))))


# What may differ, and why.
WIDE_BASE64 = re.compile("b[^\x1e]*[^\x00-\xff]")  # Node's junk policy ends at Latin-1
LENIENT_LENGTHS = "the reference reads lengths with Number(): ' 2', '2e0', '0x2', '+2', '1.0'"
HALF_CHARACTERS = "the reference cuts a character beyond U+FFFF in two"


def difference3(text: str, ours: list[Message | None], theirs: list[Message | None]) -> str | None:
    same = 0
    while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
        same += 1
    ours_next = ours[same] if same < len(ours) else "nothing"
    if ours_next is not None:
        return None  # we accept what the reference does not
    if any(
        "\ud800" <= char <= "\udfff" for item in theirs if isinstance(item, str) for char in item
    ):
        return HALF_CHARACTERS
    if re.search(r"(?:^|[^0-9])(?:[^0-9:]+[0-9]*|[0-9]+[^0-9:]+[0-9]*):", text):
        return LENIENT_LENGTHS
    return None


class TestMistakes:
    @settings(max_examples=examples(100))
    @given(text=mistakes(4))
    def test_revision_4(self, javascript: JavaScriptParsers, text: str) -> None:
        ours = verdict(*until_mistake(payload.decode(text.encode())))
        if WIDE_BASE64.search(text):
            return
        assert [ours] == javascript.decode_payload4([text])

    @settings(max_examples=examples(100))
    @given(text=mistakes(3))
    def test_revision_3(self, javascript: JavaScriptParsers, text: str) -> None:
        ours = verdict(*until_mistake(payload.decode3(text)))
        (theirs,) = javascript.decode_payload3([text])
        if ours != theirs and not WIDE_BASE64.search(text):
            assert difference3(text, ours, theirs) is not None, (text, ours, theirs)

    @settings(max_examples=examples(100))
    @given(data=st.data())
    def test_revision_3_binary(self, javascript: JavaScriptParsers, data: st.DataObject) -> None:
        """What we accept, the reference accepts, and reads alike; it accepts far more."""
        items: list[Message] = [*data.draw(messages)]
        body = bytearray(payload.encode3_binary(packets(items)))
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.sampled_from([*body, 0, 1, 2, 9, 255]))
        try:
            ours = list(payload.decode3_binary(bytes(body)))
        except PacketError:
            return
        assert javascript.decode_payload3([bytes(body)]) == [ours]
