"""The JSON seam: what peers may send, and how Python values look to JavaScript."""

from __future__ import annotations

import array
import enum
import json
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telex.codec import json as telex_json
from telex.errors import EncodeError, PacketError
from tests.support.parsers import JavaScriptParsers, as_javascript
from tests.support.strategies import binary_in, json_values, texts, values


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScriptParsers]:
    with JavaScriptParsers() as parsers:
        yield parsers


def dumps(value: object) -> str:
    return telex_json.dumps(value).decode()


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


class TestLoads:
    @given(json_values)
    def test_reads_what_the_standard_library_writes(self, value: Any) -> None:
        assert telex_json.loads(json.dumps(value)) == value
        assert telex_json.loads(json.dumps(value, ensure_ascii=False)) == value

    @given(st.one_of(texts, st.text('[]{}":,\\0123456789.eE+-truefalsn \n')))
    @example("")
    @example("[" * 1000)
    @example('"\ud800"')
    def test_anything_else_is_exactly_a_packet_error(self, text: str) -> None:
        try:
            value = telex_json.loads(text)
        except PacketError:
            return
        assert json.loads(text) == value

    @pytest.mark.parametrize(
        "text",
        [
            *("NaN", "[NaN]", "Infinity", "-Infinity", "[-Infinity]"),
            *("[0x1]", "[01]", "[.5]", "[5.]", "[+1]", "[1e]", "[1_0]", "[1e400]"),
            *("['a']", "[1,]", "[,1]", '{"a":1,}', "{a:1}", "[1]//", "/**/[1]", "[1]x", "[1] [2]"),
            *(
                '["\x1e"]',
                '["\n"]',
                '["\\x41"]',
                '["\\u00g0"]',
            ),
            *("\ufeff[1]", "\u00a0[1]", "[1", '["a', '["a\\', "tru", "[" + "9" * 5000 + "]"),
        ],
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(PacketError, match="invalid payload"):
            telex_json.loads(text)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            (' [1]\n\t\r "'.strip(' "'), [1]),
            ('{"a":1,"a":2}', {"a": 2}),
            ('["\\u0000\\u001e\\u2028\u2028\x7f"]', ["\x00\x1e\u2028\u2028\x7f"]),
            ('["\\ud83d\\ude00"]', ["😀"]),
            # Half of a pair is legal JSON; it goes out as it came in.
            ('["\\ud800",{"\\udc00":1.5}]', ["\ud800", {"\udc00": 1.5}]),
            ('["\\udc00\\ud800"]', ["\udc00\ud800"]),
            ("[9007199254740993]", [9007199254740993]),
            ("[18446744073709551616,-9223372036854775809]", [2**64, -(2**63) - 1]),
            (
                '{"__proto__":1,"constructor":2,"__class__":3}',
                {"__proto__": 1, "constructor": 2, "__class__": 3},
            ),
        ],
    )
    def test_accepted(self, text: str, value: object) -> None:
        assert telex_json.loads(text) == value

    def test_numbers_keep_their_kind(self) -> None:
        kinds: list[type] = [type(item) for item in telex_json.loads("[1,1.0,1e0,true,-0,-0.0]")]
        assert kinds == [int, float, float, bool, int, float]

    @pytest.mark.parametrize(
        "rest",
        ["NaN", "-Infinity", "1e400", "01", "", "[", '"\n"', pytest.param("9" * 5000, id="9s")],
    )
    def test_half_of_a_pair_excuses_nothing_else(self, rest: str) -> None:
        with pytest.raises(PacketError, match="invalid payload"):
            telex_json.loads(f'["\\ud800",{rest}]')


class TestDepth:
    """A peer's data may nest 128 levels: whatever walks through it stays shallow."""

    @pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    def test_limit(self, brackets: tuple[str, str]) -> None:
        opening, closing = brackets
        levels = opening.count("[") + opening.count("{")
        most = telex_json.MAX_DEPTH // levels
        text = opening * most + "1" + closing * most
        assert telex_json.loads(text) is not None
        with pytest.raises(PacketError, match="nested deeper"):
            telex_json.loads(opening + text + closing)

    def test_brackets_beside_each_other_do_not_count(self) -> None:
        text = "[" + ",".join(["[[{}]]"] * 1000) + "]"
        assert len(telex_json.loads(text)) == 1000

    def test_brackets_in_text_do_not_count(self) -> None:
        value = ["[" * 1000, '"[' * 500, "\\[" * 500, "\\", "]" * 1000, {"{[\\": '"'}]
        assert telex_json.loads(json.dumps(value)) == value

    @given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", "a", ","]), max_size=300))
    def test_check_agrees_with_counting(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        deepest = depth = 0
        inside = escaped = False
        for char in text:
            if escaped:
                escaped = False
            elif inside:
                inside, escaped = char != '"', char == "\\"
            elif char == '"':
                inside = True
            elif char in "[{":
                depth += 1
                deepest = max(deepest, depth)
            elif char in "]}":
                depth -= 1
        if deepest > telex_json.MAX_DEPTH:
            with pytest.raises(PacketError, match="nested deeper"):
                telex_json.loads(text)

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("[" * 1_000_000, id="arrays"),
            pytest.param('{"a":' * 200_000, id="objects"),
            pytest.param("[" * 200 + '"' + '\\"' * 499_000, id="a string that does not end"),
            pytest.param("[" * 200 + '"\\' * 499_000, id="escaped quotes"),
            pytest.param("[" * 200 + '"' * 999_000, id="quotes"),
            pytest.param("[" * 200 + "\\" * 999_000, id="backslashes"),
        ],
    )
    def test_work_is_linear(self, text: str) -> None:
        # Were it quadratic, a megabyte would take half an hour.
        with pytest.raises(PacketError):
            telex_json.loads(text)


class TestDumps:
    @given(json_values)
    def test_is_read_back(self, value: Any) -> None:
        assert json.loads(telex_json.dumps(value)) == value

    @given(values)
    def test_takes_binary_data_out(self, value: Any) -> None:
        found: list[bytes] = []
        text = telex_json.dumps_with(value, found)
        assert found == binary_in(value)
        assert text.count(b'"_placeholder":true') >= len(found)

    @given(values)
    def test_leaves_its_input_alone_and_repeats_itself(self, value: Any) -> None:
        before = repr(value)
        first: list[bytes] = []
        second: list[bytes] = []
        assert telex_json.dumps_with(value, first) == telex_json.dumps_with(value, second)
        assert first == second
        assert repr(value) == before

    @given(texts)
    def test_polling_separator_never_appears(self, text: str) -> None:
        assert b"\x1e" not in telex_json.dumps([text, {text: text}])

    def test_no_spaces(self) -> None:
        assert dumps({"a": [1, {"b": None}]}) == '{"a":[1,{"b":null}]}'

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "null"),
            (True, "true"),
            (1, "1"),
            ("1", '"1"'),
            (-0.0, "-0.0"),
            (float("nan"), "null"),
            (float("inf"), "null"),
            ([float("-inf")], "[null]"),
            ((1, 2), "[1,2]"),
            (2**53 + 1, "9007199254740993"),
            (2**64, "18446744073709551616"),
            (-(2**63) - 1, "-9223372036854775809"),
            (10**400, "1" + "0" * 400),
            ("\ud800", '"\\ud800"'),
            (["\udc00x", {"\ud800": 1}], '["\\udc00x",{"\\ud800":1}]'),
            ({1: "a", None: "b", 2.5: "d"}, '{"1":"a","null":"b","2.5":"d"}'),
            ({True: "a", False: "b"}, '{"true":"a","false":"b"}'),
            (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
            (MappingProxyType({"a": (1,)}), '{"a":[1]}'),
            (OrderedDict[str, int](b=1, a=2), '{"b":1,"a":2}'),
        ],
    )
    def test_values(self, value: object, text: str) -> None:
        assert dumps(value) == text

    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (datetime(2024, 2, 29, 12, 30, 5, 123456, UTC), "2024-02-29T12:30:05.123Z"),
            (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2023-12-31T22:00:00.000Z"),
            (date(2024, 2, 29), "2024-02-29"),
            (time_of_day(12, 30), "12:30:00"),
        ],
    )
    def test_moments_look_like_those_of_javascript(self, moment: object, text: str) -> None:
        assert dumps([moment, {"at": moment}]) == f'["{text}",{{"at":"{text}"}}]'
        # The same on the slow road, which a key that is no text leads to.
        assert dumps({1: moment}) == f'{{"1":"{text}"}}'

    def test_naive_moments_are_local_time(self) -> None:
        moment = datetime(2024, 6, 1, 12)
        assert dumps(moment) == dumps(moment.astimezone())

    def test_structured_types(self) -> None:
        @dataclass
        class Point:
            x: int
            data: bytes

        class Colour(enum.Enum):
            RED = "red"

        class Level(enum.IntEnum):
            HIGH = 3

        class Item(msgspec.Struct):
            name: str
            point: Point

        class Pair(NamedTuple):
            a: int
            b: bytes

        value = [Point(1, b"p"), Colour.RED, Level.HIGH, Item("i", Point(2, b"q")), Pair(3, b"r")]
        slow = [*value, {Colour.RED: 1, Level.HIGH: 2}, 2**64]
        for tried, rest in ((value, []), (slow, [{"red": 1, "3": 2}, 2**64])):
            found: list[bytes] = []
            assert json.loads(telex_json.dumps_with(tried, found)) == [
                {"x": 1, "data": {"_placeholder": True, "num": 0}},
                "red",
                3,
                {"name": "i", "point": {"x": 2, "data": {"_placeholder": True, "num": 1}}},
                [3, {"_placeholder": True, "num": 2}],
                *rest,
            ]
            assert found == [b"p", b"q", b"r"]

    def test_models_with_model_dump(self) -> None:
        class Model:
            def model_dump(self) -> dict[str, object]:
                return {"at": datetime(2024, 1, 1, tzinfo=UTC), "data": b"x"}

        found: list[bytes] = []
        text = telex_json.dumps_with([Model()], found)
        assert json.loads(text)[0]["at"] == "2024-01-01T00:00:00.000Z"
        assert found == [b"x"]


class TestBinaryData:
    @pytest.mark.parametrize(
        "buffer",
        [
            b"ab",
            bytearray(b"ab"),
            memoryview(b"ab"),
            memoryview(b"a-b-")[::2],
            array.array("B", b"ab"),
        ],
    )
    def test_every_type(self, buffer: object) -> None:
        found: list[bytes] = []
        text = telex_json.dumps_with(["x", buffer], found)
        assert text == b'["x",{"_placeholder":true,"num":0}]'
        assert found == [b"ab"]
        assert type(found[0]) is bytes

    def test_is_copied_at_once(self) -> None:
        buffer = bytearray(b"ab")
        found: list[bytes] = []
        telex_json.dumps_with([buffer], found)
        buffer[0] = 0
        assert found == [b"ab"]

    def test_is_found_once_although_the_value_is_encoded_slowly(self) -> None:
        found: list[bytes] = []
        text = telex_json.dumps_with([b"a", {1: b"b"}, 2**64], found)
        assert found == [b"a", b"b"]
        assert [item["num"] for item in (json.loads(text)[0], json.loads(text)[1]["1"])] == [0, 1]

    def test_is_impossible_where_there_are_no_attachments(self) -> None:
        with pytest.raises(EncodeError, match="binary"):
            telex_json.dumps({"token": b"x"})


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "hint"),
        [
            ({1, 2}, "set.*list"),
            (frozenset([1]), "frozenset.*list"),
            (Decimal(1), "Decimal"),
            (object(), "object"),
            (int, "type"),
            (timedelta(1), "timedelta"),
            pytest.param(10**5000, "JSON", id="5000 digits"),
            ({b"a": 1}, "bytes.*key"),
            ({(1, 2): 1}, "tuple.*key"),
            (datetime.min, "datetime"),
        ],
    )
    def test_what_json_cannot_say(self, value: object, hint: str) -> None:
        for wrapped in (value, [value], {"a": [value]}, {1: value}):
            with pytest.raises(EncodeError, match=hint):
                telex_json.dumps(wrapped)

    def test_values_that_contain_themselves(self) -> None:
        row: list[object] = []
        row.append(row)
        table: dict[object, object] = {1: 2}
        table["self"] = table
        for value in (row, table):
            with pytest.raises(EncodeError, match="nested too deeply, or contains itself"):
                telex_json.dumps(value)

    @pytest.mark.parametrize("depth", [300, 100_000])
    def test_too_deep(self, depth: int) -> None:
        value: list[object] = []
        for _ in range(depth):
            value = [value]
        with pytest.raises(EncodeError, match="nested too deeply"):
            telex_json.dumps(value)


LATTICE: list[object] = [
    *(True, False, None, 1, 0, -1, 1.0, 1e0, 0.5, -0.0, 1e300, "1", "true", "", "\ud800"),
    *(2**53 - 1, 2**53, 2**53 + 1, 2**63, 2**64, -(2**64), 10**400),
    *(float("nan"), float("inf"), [[]], [{}], {"": {"": []}}, {"__proto__": {"x": 1}}),
]


class TestJavaScript:
    """Node reads every text that is written here, and the kinds of the values survive."""

    def test_lattice(self, javascript: JavaScriptParsers) -> None:
        texts = [dumps(value) for value in LATTICE]
        for value, read in zip(LATTICE, javascript.parse_json(texts), strict=True):
            if value is None or value != value or value == float("inf"):
                assert read is None
            else:
                assert as_javascript(read) == as_javascript(value)

    @given(value=json_values)
    def test_both_ways(self, javascript: JavaScriptParsers, value: Any) -> None:
        expected = as_javascript(value)
        assert as_javascript(javascript.parse_json([dumps(value)])[0]) == expected
        (text,) = javascript.stringify([value])
        assert as_javascript(telex_json.loads(text)) == expected
