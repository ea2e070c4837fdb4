"""Typed parameters: what a client sends is checked, and a mistake has a place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest

from telex.errors import ConfigurationError
from telex.server.params import MISTAKES, converter, explain


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
    @pytest.mark.parametrize("annotation", [Any, object, "Unknown"])
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
