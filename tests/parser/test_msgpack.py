"""The msgpack format: round trips, the JavaScript parser, and everything it must refuse."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from telex.errors import EncodeError, PacketError
from telex.parser.msgpack import MSGPACK_PARSER
from telex.parser.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet
from tests.support.parsers import UNDEFINED, JavaScriptParsers, SocketIoPacket, as_javascript
from tests.support.strategies import (
    SAFE_INTEGER,
    arguments,
    events,
    json_values,
    keys,
    namespaces,
    texts,
)
from tests.support.values import is_a

objects = st.dictionaries(keys, json_values, max_size=3)
ids = st.one_of(st.none(), st.integers(0, SAFE_INTEGER))
packets = st.one_of(
    st.tuples(st.just(CONNECT), namespaces, st.none(), st.one_of(st.none(), objects)),
    st.tuples(st.just(DISCONNECT), namespaces, st.none(), st.none()),
    st.tuples(st.just(EVENT), namespaces, ids, events),
    st.tuples(st.just(ACK), namespaces, ids, arguments),
    st.tuples(st.just(CONNECT_ERROR), namespaces, st.none(), st.one_of(objects, texts)),
)


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScriptParsers]:
    with JavaScriptParsers() as parsers:
        yield parsers


def decode(message: str | bytes, pos: int = 0) -> Packet:
    packet = MSGPACK_PARSER.decoder(max_attachments=10, max_bytes=1_000_000).receive(message, pos)
    assert packet is not None
    return packet


def encode(packet: SocketIoPacket) -> bytes:
    kind, nsp, ack_id, data = packet
    encoded = MSGPACK_PARSER.encode(kind, nsp, data, ack_id)
    (message,) = encoded.messages()
    assert isinstance(message, bytes)
    return message


def pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


def numbers_in(value: Any) -> list[float]:
    if is_a(value, int, float):
        return [value]
    if is_a(value, dict):
        value = list(value.values())
    return [number for item in value for number in numbers_in(item)] if is_a(value, list) else []


class TestRoundTrip:
    @given(packets)
    def test_decoding_gives_back_what_was_encoded(self, packet: Any) -> None:
        kind, nsp, ack_id, data = packet
        assert decode(encode(packet)) == (kind, nsp, ack_id, None, data)
        assert decode(b"\x04" + encode(packet), 1) == (kind, nsp, ack_id, None, data)

    def test_a_packet_is_one_binary_message(self) -> None:
        encoded = MSGPACK_PARSER.encode(EVENT, "/", ["x", b"data", {"a": b"more"}])
        assert encoded.text is None
        assert len(encoded.attachments) == 1

    def test_dates_are_dates(self) -> None:
        moment = datetime(2024, 2, 29, 12, 30, 5, 123000, UTC)
        assert decode(encode((EVENT, "/", None, ["x", moment])))[4] == ["x", moment]

    @pytest.mark.parametrize("value", [object(), {1, 2}, 2**64, -(2**63) - 1, {b"x": 1}])
    def test_data_that_cannot_be_sent(self, value: object) -> None:
        with pytest.raises(EncodeError):
            MSGPACK_PARSER.encode(EVENT, "/", ["x", value])

    def test_data_that_contains_itself(self) -> None:
        row: list[object] = []
        row.append(row)
        with pytest.raises(EncodeError, match="contains itself"):
            MSGPACK_PARSER.encode(EVENT, "/", ["x", row])


class TestJavaScript:
    @given(packet=packets)
    def test_from_here_to_there(self, javascript: JavaScriptParsers, packet: Any) -> None:
        (theirs,) = javascript.decode_msgpack([encode(packet)])
        assert theirs.error is None
        ((kind, nsp, ack_id, data),) = theirs.packets
        expected = as_javascript(packet[3])
        assert (kind, nsp, ack_id) == packet[:3]
        assert (None if data == UNDEFINED else as_javascript(data)) == expected

    @given(packet=packets)
    def test_from_there_to_here(self, javascript: JavaScriptParsers, packet: Any) -> None:
        # The JavaScript encoder writes whole numbers beyond 64 bits as other numbers.
        assume(all(abs(number) < 2**63 for number in numbers_in(packet[3])))
        (message,) = javascript.encode_msgpack([packet])
        kind, nsp, ack_id, _, data = decode(message)
        assert (kind, nsp, ack_id) == packet[:3]
        assert as_javascript(data) == as_javascript(packet[3])


OK: dict[str, Any] = {"type": EVENT, "nsp": "/", "data": ["x"]}
WRONG_PARTS: dict[str, list[Any]] = {
    "type": ["2", 2.5, 5, 7, -1, None, True],
    "nsp": [None, 1, b"/", "admin", "/" + "x" * 255],
    "data": [None, {}, "x", 1],
    "id": ["1", 1.5, -1, True, 2**64 - 1],
}
WRONG: list[dict[str, Any]] = [
    *({name: value} for name, values in WRONG_PARTS.items() for value in values),
    {"type": DISCONNECT, "data": {}},
    {"type": ACK, "data": {}},
]


class TestRefused:
    @given(
        st.one_of(
            st.binary(), json_values.map(pack), json_values.map(lambda v: pack(OK | {"data": v}))
        )
    )
    @example(b"")
    @example(b"\x91" * 100_000 + b"\xc0")
    def test_anything_gives_a_packet_or_exactly_a_packet_error(self, message: bytes) -> None:
        try:
            kind, nsp, ack_id, text, _ = decode(message)
        except PacketError:
            return
        assert kind in (CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR)
        assert nsp.startswith("/")
        assert ack_id is None or type(ack_id) is int
        assert text is None

    @pytest.mark.parametrize("changes", WRONG, ids=repr)
    def test_packets(self, changes: dict[str, Any]) -> None:
        with pytest.raises(PacketError):
            decode(pack(OK | changes))

    @pytest.mark.parametrize("key", ["type", "nsp", "data"])
    def test_without_a_part(self, key: str) -> None:
        with pytest.raises(PacketError):
            decode(pack({name: value for name, value in OK.items() if name != key}))

    @pytest.mark.parametrize("value", [[], None, 1, "x", True, b"x"])
    def test_what_is_no_map(self, value: object) -> None:
        with pytest.raises(PacketError):
            decode(pack(value))

    @pytest.mark.parametrize(
        "message",
        [
            b"\xc1",
            pack(OK) + b"\x00",
            pack(OK)[:-1],
            pack(OK | {"data": ["x"]}).replace(b"\xa1x", b"\xa1\xff"),
            b"\xc7\x01\x01",
        ],
    )
    def test_what_is_no_msgpack(self, message: bytes) -> None:
        with pytest.raises(PacketError):
            decode(message)

    @pytest.mark.parametrize(
        "head", ["ddffffffff", "dfffffffff", "dbffffffff", "c67fffffff", "c9ffffffff00"]
    )
    def test_announced_sizes_are_not_believed(self, head: str) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(PacketError):
                decode(bytes.fromhex(head))
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_text(self) -> None:
        with pytest.raises(PacketError, match="speaks msgpack"):
            decode('2["x"]')

    def test_nesting(self) -> None:
        value: Any = 1
        for _ in range(127):
            value = [value]
        assert decode(pack(OK | {"data": ["x", value]}))[4][1] == value
        with pytest.raises(PacketError, match="nested deeper"):
            decode(pack(OK | {"data": ["x", [[value]]]}))


class TestAccepted:
    def test_an_empty_namespace_is_the_root(self) -> None:
        assert decode(pack(OK | {"nsp": ""}))[1] == "/"

    def test_unknown_keys(self) -> None:
        assert decode(pack(OK | {"options": {"compress": True}, "x": 1}))[4] == ["x"]

    def test_undefined_is_none(self) -> None:
        message = pack(OK).replace(b"\xa1x", b"\xd4\x00\x00")
        assert decode(message)[4] == [None]

    def test_other_extensions_are_kept_apart(self) -> None:
        extension = msgspec.msgpack.Ext(5, b"data")
        assert decode(pack(OK | {"data": ["x", extension]}))[4][1] == extension

    def test_numbers_that_json_cannot_say(self) -> None:
        data = decode(pack(OK | {"data": ["x", math.nan, math.inf]}))[4]
        assert math.isnan(data[1])
        assert data[2] == math.inf

    def test_names_that_mean_something_elsewhere(self) -> None:
        value = {"__proto__": 1, "__class__": 2}
        assert decode(pack(OK | {"data": ["x", value]}))[4][1] == value
