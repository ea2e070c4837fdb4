"""The text format: round trips, limits, and a decoder that never says anything unexpected."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from telex.engine import payload
from telex.errors import EncodeError, PacketError
from telex.parser import default
from telex.parser.default import DEFAULT_PARSER, TextDecoder
from telex.parser.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, MAX_NAMESPACE
from tests.parser.reading import decode, encode, read
from tests.support.strategies import (
    ack_ids,
    arguments,
    events,
    json_values,
    keys,
    namespaces,
    texts,
    values,
)

objects = st.dictionaries(keys, json_values, max_size=3)
packets = st.one_of(
    st.tuples(st.just(CONNECT), namespaces, st.none(), st.one_of(st.none(), objects)),
    st.tuples(st.just(DISCONNECT), namespaces, st.none(), st.none()),
    st.tuples(st.just(EVENT), namespaces, ack_ids, events),
    st.tuples(st.just(ACK), namespaces, ack_ids, arguments),
    st.tuples(st.just(CONNECT_ERROR), namespaces, st.none(), st.one_of(objects, texts)),
)
wire_texts = st.one_of(
    st.text(),
    st.from_regex(r"\A[0-7]?(1?[0-9]?-)?(/[a-z]*,?)?[0-9]*(\[\"[a-z]*\"(,1)*\])?.?\Z"),
)
messages = st.lists(st.one_of(wire_texts, st.binary(max_size=5)), max_size=4)


def decoder(*, max_attachments: int = 10, max_bytes: int = 1_000_000) -> TextDecoder:
    return DEFAULT_PARSER.decoder(max_attachments=max_attachments, max_bytes=max_bytes)


class TestRoundTrip:
    @given(packets)
    def test_decoding_gives_back_what_was_encoded(self, packet: Any) -> None:
        sent = encode(packet)
        limits = decoder(max_attachments=1000)
        received = [limits.receive(message, 0) for message in sent]
        assert all(one is None for one in received[:-1])
        assert received[-1] is not None
        assert read(received[-1]) == packet
        assert limits.waiting_for is None

    @given(packets)
    def test_encoding_leaves_its_input_alone_and_repeats_itself(self, packet: Any) -> None:
        before = repr(packet)
        assert encode(packet) == encode(packet)
        assert repr(packet) == before

    @given(packets)
    def test_no_message_can_be_split_by_a_polling_payload(self, packet: Any) -> None:
        kind, nsp, ack_id, data = packet
        assume("\x1e" not in nsp)
        encoded = DEFAULT_PARSER.encode(kind, nsp, data, ack_id)
        assert encoded.part().split(b"\x1e")[0] == encoded.text
        assert len(list(payload.decode(encoded.part()))) == 1 + len(encoded.attachments)

    @given(st.text(max_size=4), packets)
    def test_packets_may_begin_anywhere_in_a_message(self, before: str, packet: Any) -> None:
        limits = decoder(max_attachments=1000)
        head, *rest = encode(packet)
        assert isinstance(head, str)
        result = limits.receive(before + head, len(before))
        for data in rest:
            assert isinstance(data, bytes)
            result = limits.receive(b"\x04" + data, 1)
        assert result is not None
        assert read(result) == packet


class TestAnything:
    @given(messages)
    @example(["5" + "0" * 5000 + "1-[]"])
    @example(["2" + "9" * 5000 + "[]"])
    @example(["51-/" + "x" * 300])
    def test_gives_packets_or_exactly_a_packet_error(self, received: list[str | bytes]) -> None:
        verdict = decode(received)
        for kind, nsp, ack_id, _ in verdict.packets:
            assert kind in (CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR)
            assert nsp.startswith("/")
            assert len(nsp) <= MAX_NAMESPACE
            assert ack_id is None or 0 <= ack_id < 10**16

    @given(messages)
    def test_a_decoder_that_is_dropped_holds_nothing(self, received: list[str | bytes]) -> None:
        limits = decoder()
        try:
            for message in received:
                limits.receive(message, 0)
        except PacketError:
            pass
        limits.drop()
        assert limits.waiting_for is None
        assert limits.receive('2["a"]', 0) == (EVENT, "/", None, '["a"]', None)

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("2" * 999_990, id="a giant id"),
            pytest.param("5" + "1" * 999_990 + "-", id="a giant count"),
            pytest.param("2/" + "x" * 999_990, id="a giant namespace"),
            pytest.param("2/" + "," * 999_990, id="commas"),
            pytest.param('2["a","' + "\\" * 999_990, id="backslashes"),
            pytest.param("2" + "[" * 999_990, id="brackets"),
            pytest.param('2["a",' + "9" * 999_990 + "]", id="a giant number"),
        ],
    )
    def test_costs_no_more_than_the_message_is_long(self, text: str) -> None:
        tracemalloc.start()
        try:
            assert decode([text]).error is not None
            assert tracemalloc.get_traced_memory()[1] < 20 * len(text)
        finally:
            tracemalloc.stop()


class TestLaziness:
    """The header is read at once, the payload when somebody wants it."""

    @pytest.mark.parametrize("text", ["[not json", "[" * 1000, '["connect"]'])
    def test_payloads_are_not_looked_into(self, text: str) -> None:
        assert decoder().receive("27" + text, 0) == (EVENT, "/", 7, text, None)
        assert decoder().receive("3/a,7" + text, 0) == (ACK, "/a", 7, text, None)

    def test_no_payload(self) -> None:
        assert decoder().receive("0", 0) == (CONNECT, "/", None, None, None)
        assert decoder().receive("1/a,", 0) == (DISCONNECT, "/a", None, None, None)


class TestIds:
    @pytest.mark.parametrize("digits", ["0", "00", "7", "9" * 16, "0" * 15 + "1"])
    def test_up_to_sixteen_digits(self, digits: str) -> None:
        for wire in (f'2{digits}["a"]', f'2/x,{digits}["a"]'):
            assert decode([wire]).packets[0][2] == int(digits)

    @pytest.mark.parametrize(
        "digits", ["9" * 17, "0" * 17, "1" * 5000, "٣", "²", "1_0", "+1", "-1"]
    )
    def test_anything_else(self, digits: str) -> None:
        for kind in "23":
            assert decode([f'{kind}{digits}["a"]']).error is not None
            assert decode([f'{kind}/x,{digits}["a"]']).error is not None


class TestNamespaces:
    def test_have_a_longest_name(self) -> None:
        longest = "/" + "x" * (MAX_NAMESPACE - 1)
        for wire in ("0{},", "0{}", '2{},["a"]'):
            assert decode([wire.format(longest)]).packets[0][1] == longest
            assert "255 characters" in str(decode([wire.format(longest + "x")]).error)
        assert decode([f'51-{longest}x,["a"]']).error is not None


class TestAttachments:
    @pytest.mark.parametrize("limit", [1, 10, 64])
    def test_announced_count_is_limited(self, limit: int) -> None:
        assert decoder(max_attachments=limit).receive(f'5{limit}-["a"]', 0) is None
        with pytest.raises(PacketError, match=rf"too many.*limit is {limit}.*max_attachments"):
            decoder(max_attachments=limit).receive(f'5{limit + 1}-["a"]', 0)

    @given(st.lists(st.binary(max_size=5), min_size=1, max_size=5), st.data())
    def test_the_count_is_exact(self, buffers: list[bytes], data: st.DataObject) -> None:
        nsp = data.draw(namespaces)
        limits = decoder()
        header, *rest = encode((EVENT, nsp, 3, ["a", *buffers]))
        assert limits.receive(header, 0) is None
        for buffer in rest[:-1]:
            assert limits.waiting_for == nsp
            assert limits.receive(buffer, 0) is None
        packet = limits.receive(rest[-1], 0)
        assert packet == (EVENT, nsp, 3, None, ["a", *buffers])
        assert limits.waiting_for is None
        with pytest.raises(PacketError, match="when not reconstructing"):
            limits.receive(b"", 0)

    @given(values.filter(lambda value: isinstance(value, (list, dict))))
    def test_text_between_attachments_is_refused(self, value: Any) -> None:
        limits = decoder(max_attachments=100)
        header, *rest = encode((EVENT, "/", None, ["a", b"first", b"second", value]))
        limits.receive(header, 0)
        limits.receive(rest[0], 0)
        with pytest.raises(PacketError, match="got plaintext data when reconstructing"):
            limits.receive('2["b"]', 0)

    def test_their_total_size_is_limited(self) -> None:
        header = '52-["a"]'
        exact = decoder(max_bytes=5 + 95)
        assert exact.receive(header, 0) is None
        assert exact.receive(b"x" * 95, 0) is None
        assert exact.receive(b"", 0) is not None
        limits = decoder(max_bytes=5 + 95)
        limits.receive(header, 0)
        limits.receive(b"x" * 90, 0)
        with pytest.raises(PacketError, match=r"exceed 100 bytes.*max_http_buffer_size"):
            limits.receive(b"x" * 6, 0)

    def test_the_header_counts_as_well(self) -> None:
        with pytest.raises(PacketError, match="max_http_buffer_size"):
            decoder(max_bytes=10).receive('51-["aaaaaaaaaa"]', 0)

    def test_dropping_frees_them(self) -> None:
        limits = decoder()
        limits.receive('52-["a",{"_placeholder":true,"num":0}]', 0)
        data = b"x" * 1000
        limits.receive(data, 0)
        assert any(data in holder for holder in gc.get_referrers(data) if isinstance(holder, list))
        limits.drop()
        assert not any(data in other for other in gc.get_referrers(data) if isinstance(other, list))
        with pytest.raises(PacketError, match="when not reconstructing"):
            limits.receive(b"y", 0)


class TestEncode:
    def test_data_that_cannot_be_sent(self) -> None:
        with pytest.raises(EncodeError):
            DEFAULT_PARSER.encode(EVENT, "/", ["a", object()])

    def test_the_wire_bytes(self) -> None:
        packet = DEFAULT_PARSER.encode(EVENT, "/é", ["a", b"\x01", {"b": b"\x02"}], 12)
        assert (
            packet.text
            == (
                '452-/é,12["a",{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]'
            ).encode()
        )
        assert packet.attachments == (b"\x01", b"\x02")
        assert DEFAULT_PARSER.encode(ACK, "/", [], 0).text == b"430[]"
        assert DEFAULT_PARSER.encode(CONNECT, "/x").text == b"40/x,"


class TestUsualHeaders:
    """Most packets have a header that needs no regular expression."""

    @given(st.sampled_from("23"), namespaces, ack_ids, st.text(max_size=3))
    @example("2", "/" + "n" * (MAX_NAMESPACE - 1), 10**16 - 1, "")
    def test_are_read_without_one(
        self, digit: str, nsp: str, ack_id: int | None, rest: str
    ) -> None:
        name = "" if nsp == "/" else f"{nsp},"
        message = f"{digit}{name}{'' if ack_id is None else ack_id}[{rest}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(default, "_HEADER", None)
            packet = decoder().receive(message, 0)
        assert packet == (EVENT if digit == "2" else ACK, nsp, ack_id, f"[{rest}", None)

    @pytest.mark.parametrize(
        ("message", "packet"),
        [
            ("2/n", (EVENT, "/n", None, None, None)),
            ("2/n,", (EVENT, "/n", None, None, None)),
            ("2/,[", (EVENT, "/", None, "[", None)),
            ("2/n,7", (EVENT, "/n", 7, None, None)),
            ("2/n,7x[", (EVENT, "/n", 7, "x[", None)),
            ("2/n,٧[", (EVENT, "/n", None, "٧[", None)),
            ("2/[,[]", (EVENT, "/[", None, "[]", None)),
            ("2n,[", (EVENT, "/", None, "n,[", None)),
            ("2/n,12345678901234567[", (EVENT, "/n", None, "12345678901234567[", None)),
            ("2", (EVENT, "/", None, None, None)),
        ],
    )
    def test_and_what_only_looks_like_one(self, message: str, packet: object) -> None:
        assert decoder().receive(message, 0) == packet

    def test_a_namespace_that_is_too_long(self) -> None:
        with pytest.raises(PacketError, match="at most 255"):
            decoder().receive(f"2/{'n' * MAX_NAMESPACE},[]", 0)
