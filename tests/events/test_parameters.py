"""Typed parameters: what a client sends is checked, and a mistake has a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telex.codec.json import read_into
from telex.errors import ConfigurationError
from telex.events.parameters import MISTAKES, converter, event_decoder, explain
from tests.support.strategies import json_values, values


@dataclass
class Point:
    x: int
    y: int = 0


class Person(TypedDict):
    name: str


class Item(msgspec.Struct):
    name: str
    tags: list[str] = []


class Colour(Enum):
    RED = "red"


class Pair(NamedTuple):
    a: int
    b: str


class Tree(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    own_value: Any
    sub_trees: list[Tree] = []


class Careful(msgspec.Struct):
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("less than nothing")


Age = Annotated[int, msgspec.Meta(ge=0)]


def convert(annotation: Any, value: Any) -> Any:
    function = converter(annotation, "here")
    return value if function is None else function(value)


def mistake(annotation: Any, value: Any) -> str:
    with pytest.raises(MISTAKES) as caught:
        convert(annotation, value)
    assert isinstance(caught.value, Exception)
    return str(explain(caught.value, "name"))


class TestConvert:
    @pytest.mark.parametrize("annotation", [Any, object])
    def test_anything_will_do(self, annotation: Any) -> None:
        assert converter(annotation, "here") is None

    @pytest.mark.parametrize(
        ("annotation", "value", "converted"),
        [
            (int, 1, 1),
            (float, 1, 1.0),
            (str, "x", "x"),
            (bool, True, True),
            (bytes, b"x", b"x"),
            (str | bytes, b"x", b"x"),
            (str | bytes, "x", "x"),
            (str | bytes | None, None, None),
            (int | None, None, None),
            (list[int], [1, 2], [1, 2]),
            (dict[str, Any], {"a": [1]}, {"a": [1]}),
            (dict[int, str], {"1": "x"}, {1: "x"}),
            (dict[str, bytes], {"a": b"x"}, {"a": b"x"}),
            (tuple[str, bytes], ["x", b"x"], ("x", b"x")),
            (tuple[int, str], [1, "x"], (1, "x")),
            (Literal["a", "b"], "a", "a"),
            (Colour, "red", Colour.RED),
            (Point, {"x": 1}, Point(1)),
            (Person, {"name": "x", "more": 1}, {"name": "x"}),
            (Item, {"name": "x"}, Item("x")),
            (list[Point], [{"x": 1, "y": 2}], [Point(1, 2)]),
            (datetime, "2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
            (Age, 3, 3),
        ],
    )
    def test_values(self, annotation: Any, value: Any, converted: Any) -> None:
        result = convert(annotation, value)
        assert result == converted
        assert type(result) is type(converted)

    @pytest.mark.parametrize(
        ("annotation", "value", "text"),
        [
            (int, "1", "name: Expected `int`, got `str`"),
            (int, True, "name: Expected `int`, got `bool`"),
            (int, 1.5, "name: Expected `int`, got `float`"),
            (str, None, "name: Expected `str`, got `null`"),
            (bytes, "x", "name: Expected `bytes`, got `str`"),
            (str | bytes, 1, "name: Expected `str | bytes`, got `int`"),
            (list[int], [1, "x"], "name[1]: Expected `int`, got `str`"),
            (Point, {"y": 1}, "name: Object missing required field `x`"),
            (list[Point], [{"x": "1"}], "name[0].x: Expected `int`, got `str`"),
            (dict[str, int], {"a": "1"}, "name[...]: Expected `int`, got `str`"),
            (dict[int, str], {"a": "1"}, "a key of name: Expected `int`, got `str`"),
            (list[dict[int, str]], [{"a": "1"}], "a key of name[0]: Expected `int`, got `str`"),
            (Literal["a"], "b", "name: Invalid enum value 'b'"),
            (Age, -1, "name: Expected `int` >= 0"),
        ],
    )
    def test_mistakes(self, annotation: Any, value: Any, text: str) -> None:
        assert mistake(annotation, value) == text

    def test_mistakes_do_not_repeat_what_was_sent(self) -> None:
        assert "secret" not in mistake(int, "secret")
        assert "secret" not in mistake(list[int], ["secret"])

    @pytest.mark.parametrize("annotation", [Callable, Callable[[], None]])
    def test_functions_cannot_be_sent(self, annotation: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"telex\.Ack is what answers"):
            converter(annotation, "here")

    def test_annotations_that_cannot_be_checked(self) -> None:
        with pytest.raises(ConfigurationError, match="here cannot be checked"):
            converter(dict[Point, int] | set[int] | list[int] | frozenset[str], "here")


USUAL: list[Any] = [
    *(int, float, str, bool, None, date, time, datetime, UUID, Colour, Age, Literal["a", 1]),
    *(int | None, int | str, float | str | None, list[int | str] | dict[str, int] | None),
    *(list[int], list[Any], tuple[int, ...], tuple[int, str], set[str], frozenset[int], dict, list),
    *(dict[str, Any], dict[str, list[int]], dict[Any, int]),
    *(Point, Person, Item, Pair, Tree, list[Point], dict[str, Item | None]),
]
OTHERS: list[Any] = [
    *(bytes, list[bytearray], dict[str, memoryview | None], Decimal),
    *(dict[int, str], dict[Age, str], dict[Colour, int], list[dict[int, int]]),
    *(Careful, list[Careful]),
]

FITTING: list[Any] = [
    *(None, True, 1, 1.0, "1", "a", "red", [], [1], [1, "b"]),
    *("2024-01-01", "12:00:00", "2024-01-01T00:00:00Z", str(UUID(int=1))),
    *({}, {"x": 1}, {"x": 1, "z": 2}, {"name": "a"}, {"name": "a", "tags": ["b"]}),
    {"ownValue": b"a", "subTrees": [{"ownValue": {}}]},
]
STRANGE: list[Any] = [
    *(2**70, b"a", bytes(16), bytearray(b"a"), memoryview(b"a"), {1: 2}, {"own_value": 1}),
    *(datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 1), UUID(int=1), Colour.RED),
]
samples = st.one_of(st.sampled_from(FITTING + STRANGE), values)


def ask_msgspec(annotation: Any, value: Any) -> Any:
    binary = (bytes, bytearray, memoryview)
    return msgspec.convert(value, annotation, builtin_types=binary, str_keys=True)


def outcome(function: Callable[[Any, Any], Any], annotation: Any, value: Any) -> tuple[bool, str]:
    """Whether a value fits, and what becomes of it or why not."""
    try:
        return True, repr(function(annotation, value))
    except msgspec.ValidationError as error:
        return False, str(error)


class TestQuickly:
    @given(st.sampled_from(USUAL), st.one_of(samples, st.lists(samples, max_size=3)))
    def test_agrees_with_asking_msgspec_each_time(self, annotation: Any, value: Any) -> None:
        assert outcome(convert, annotation, value) == outcome(ask_msgspec, annotation, value)

    @pytest.mark.parametrize("annotation", USUAL)
    def test_what_is_usual_needs_no_options(
        self, annotation: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = converter(annotation, "here")
        assert check is not None
        accepted = [value for value in FITTING if outcome(ask_msgspec, annotation, value)[0]]
        assert accepted
        monkeypatch.setattr(msgspec, "convert", None)
        for value in accepted:
            check(value)

    @pytest.mark.parametrize("annotation", OTHERS)
    def test_what_is_not_is_asked_for_with_options(
        self, annotation: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = converter(annotation, "here")
        assert check is not None
        monkeypatch.setattr(msgspec, "convert", None)
        with pytest.raises(TypeError, match="NoneType"):
            check({"value": 1})

    @pytest.mark.parametrize("value", ["a", 2**70, 1.5, True, b"a"])
    def test_what_has_the_very_type_stays_as_it_is(
        self, value: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = converter(type(value), "here")
        assert check is not None
        assert ask_msgspec(type(value), value) == value
        monkeypatch.setattr(msgspec, "convert", None)
        assert check(value) is value

    def test_is_made_once_for_an_annotation(self) -> None:
        assert converter(list[Item | None], "here") is converter(list[Item | None], "there")

    def test_annotations_without_a_hash(self) -> None:
        annotation = Annotated[int, msgspec.Meta(ge=0), ["a list"]]
        assert convert(annotation, 1) == 1
        assert mistake(annotation, -1) == "name: Expected `int` >= 0"

    def test_no_object_is_made_twice(self) -> None:
        made: list[int] = []

        class Counted(msgspec.Struct):
            value: int

            def __post_init__(self) -> None:
                made.append(self.value)
                raise ValueError("no")

        assert mistake(Counted, {"value": 1}) == "name: no"
        assert made == [1]


in_json = st.one_of(
    st.sampled_from(
        ["1", "1.0", "-0.0", "1e2", str(2**70), '"a"', '"1"', '{"x":1,"x":2}', '{"x":1,"z":1e999}']
    ),
    st.sampled_from(FITTING[:-1]).map(json.dumps),
    json_values.map(json.dumps),
)


class TestEventDecoder:
    @given(
        st.sampled_from(USUAL),
        st.one_of(in_json, st.lists(in_json, max_size=3).map(lambda texts: f"[{','.join(texts)}]")),
    )
    @example(int, "1.0")
    @example(float, "1")
    def test_agrees_with_converting_what_has_been_decoded(self, annotation: Any, text: str) -> None:
        decode = event_decoder((annotation,))
        assert decode is not None
        event = read_into(decode, f'["name",{text}]')
        if event is None:
            return
        name, value = event
        assert name == "name"
        assert outcome(ask_msgspec, annotation, json.loads(text)) == (True, repr(value))

    @pytest.mark.parametrize("annotation", OTHERS)
    def test_types_that_json_cannot_show(self, annotation: Any) -> None:
        assert event_decoder((annotation,)) is None
        assert event_decoder((str, annotation)) is None

    @pytest.mark.parametrize("annotations", [(), (Any, object), (str | bytes,)])
    def test_where_nothing_is_to_be_converted(self, annotations: tuple[Any, ...]) -> None:
        assert event_decoder(annotations) is None

    def test_an_annotation_without_a_hash(self) -> None:
        assert event_decoder((int, Annotated[int, ["a list"]])) is None

    @pytest.mark.parametrize(
        "text",
        [
            '["a"]',
            '["a",1,2]',
            '["a","1"]',
            "[1,1]",
            "{}",
            "",
            '["a",1',
            '["a",1]x',
            '["\\ud800",1]',
        ],
    )
    def test_what_is_not_just_so(self, text: str) -> None:
        decode = event_decoder((int,))
        assert decode is not None
        assert read_into(decode, text) is None
        assert read_into(decode, '["a",1]') == ("a", 1)
