"""The msgpack format: round trips, the JavaScript parser, and everything it must refuse."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

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

    def test_structs_are_what_msgspec_writes(self) -> None:
        class Item(msgspec.Struct, rename="camel", omit_defaults=True):
            made_at: datetime
            made_by: Any = None

        moment = datetime(2024, 1, 1, tzinfo=UTC)
        packet = decode(encode((EVENT, "/", None, ["x", Item(moment, [Item(moment, b"y")])])))
        inner = {"madeAt": moment, "madeBy": b"y"}
        assert packet[4] == ["x", {"madeAt": moment, "madeBy": [inner]}]

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


class Buffer(NamedTuple):
    """An ArrayBuffer: an extension of type 0 whose length takes so many bytes."""

    data: bytes
    width: int


UTC_1970 = datetime(1970, 1, 1, tzinfo=UTC)
UNDEFINED_BYTES = b"\xd4\x00\x00"
buffers = st.builds(
    Buffer,
    st.one_of(st.binary(max_size=20), st.sampled_from([b"\0", b"\5", bytes(8), b"\xc7\x08\0" * 2])),
    st.sampled_from([1, 2, 4]),
)
moments = st.integers(-(2**40), 2**40).map(lambda ms: UTC_1970 + timedelta(milliseconds=ms))
# Data that looks like the heads that are searched for.
disguises = st.sampled_from([b"\xc7\x08\0", b"\xc7\x01\0", b"\xc8\0\x08\0", b"\xc9\0\0\0\1\0"])
decoys = st.lists(disguises, max_size=20).map(b"".join)
extended = st.recursive(
    st.one_of(buffers, moments, st.just(UNDEFINED), decoys, json_values, texts),
    lambda values: st.one_of(
        st.lists(values, max_size=5), st.dictionaries(keys, values, max_size=3)
    ),
    max_leaves=8,
)


def write(value: Any) -> bytes:
    """Pack a value with the extensions of the JavaScript encoder."""
    if isinstance(value, Buffer):
        width = max(value.width, 1)
        head = {1: b"\xc7", 2: b"\xc8", 4: b"\xc9"}[width]
        return head + len(value.data).to_bytes(width, "big") + b"\0" + value.data
    if is_a(value, datetime):
        milliseconds = (value - UTC_1970) // timedelta(milliseconds=1)
        return b"\xd7\0" + int(milliseconds).to_bytes(8, "big", signed=True)
    if value is UNDEFINED:
        return UNDEFINED_BYTES
    if is_a(value, list):
        head = pack([None] * len(value))[: -len(value) or None]
        return head + b"".join(map(write, value))
    if is_a(value, dict):
        count = len(value)
        head = bytes([0x80 + count]) if count < 16 else b"\xde" + count.to_bytes(2, "big")
        return head + b"".join([pack(key) + write(item) for key, item in value.items()])
    return pack(value)


def read(value: Any) -> Any:
    """What is to become of such a value."""
    if isinstance(value, Buffer):
        return value.data
    if value is UNDEFINED:
        return None
    if is_a(value, list):
        return [read(item) for item in value]
    if is_a(value, dict):
        return {key: read(item) for key, item in value.items()}
    return value


def event_of(values: Any) -> bytes:
    return write({"type": EVENT, "nsp": "/", "data": ["x", *values]})


class TestExtensions:
    """Type 0 is a date, ``undefined`` or a buffer: the form tells which."""

    @given(st.lists(extended, max_size=5))
    @example([Buffer(bytes(8), 1), UTC_1970, Buffer(b"\0", 1), UNDEFINED])
    @example([Buffer(bytes(8), 2), Buffer(bytes(8), 4), {"a": [Buffer(b"\1", 2)] * 20}])
    def test_are_told_apart(self, values: Any) -> None:
        assert decode(event_of(values))[4] == ["x", *map(read, values)]
        assert decode(b"\x04" + event_of(values), 1)[4] == ["x", *map(read, values)]

    @given(st.lists(extended, min_size=1, max_size=5), st.data())
    def test_damage_is_a_packet_error_or_another_packet(self, values: Any, data: Any) -> None:
        message = event_of([Buffer(bytes(8), 1), *values])
        at = data.draw(st.integers(0, len(message) - 1))
        with pytest.raises(PacketError):
            decode(message[:at])
        with pytest.raises(PacketError):
            decode(message + message[at:])
        try:
            decode(message[:at] + bytes([data.draw(st.integers(0, 255))]) + message[at + 1 :])
        except PacketError:
            pass

    @given(data=st.lists(extended, max_size=5))
    def test_are_what_javascript_reads(self, javascript: JavaScriptParsers, data: Any) -> None:
        (theirs,) = javascript.decode_msgpack([event_of(data)])
        assert theirs.error is None
        ((_, _, _, arguments),) = theirs.packets
        assert as_javascript(arguments) == as_javascript(["x", *map(seen, data)])

    def test_other_lengths_of_buffers(self) -> None:
        values = [Buffer(b"x" * length, 4) for length in (0, 1, 2, 4, 7, 8, 9, 16, 300, 70_000)]
        assert decode(event_of(values))[4][1:] == [value.data for value in values]


def seen(value: Any) -> Any:
    """The value as the JavaScript parsers of the tests show it."""
    if is_a(value, list):
        return [seen(item) for item in value]
    if is_a(value, dict):
        return {key: seen(item) for key, item in value.items()}
    if is_a(value, datetime):
        return {}  # a date has no members
    return value.data if isinstance(value, Buffer) else value


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

    def test_nesting_in_keys(self) -> None:
        key: Any = 1
        for _ in range(130):
            key = (key,)
        with pytest.raises(PacketError, match="nested deeper"):
            decode(pack(OK | {"data": ["x", {key: 1}]}))

    @pytest.mark.parametrize("filling", [[], {}])
    def test_a_megabyte_of_arrays_with_nothing_in_them(self, filling: Any) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(PacketError, match="more arrays and objects"):
                decode(pack(OK | {"data": ["x", [filling] * 1_000_000]}))
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize(
        "value", [["😀" * 10] * 10_000, [[1, 2]] * 100_000, [{"a": [0]}] * 50_000, "😀" * 100_000]
    )
    def test_large_messages_that_are_no_harm(self, value: Any) -> None:
        assert decode(pack(OK | {"data": ["x", value]}))[4][1] == value


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
