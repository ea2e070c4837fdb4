"""Structs as they are sent: by msgspec's names, with JavaScript's reading of what is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.codec import json as telex_json
from telex.codec import structs, values
from telex.errors import EncodeError
from tests.support.values import is_a

T = TypeVar("T")
PLACEHOLDER = {"_placeholder": True, "num": 0}
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


class Colour(Enum):
    RED = "red"


class Member(TypedDict):
    data: bytes


class Pair(NamedTuple):
    a: int
    b: bytes


class Leaf(msgspec.Struct):
    name: str
    data: bytes = b""


class Tree(msgspec.Struct):
    leaves: list[Leaf]
    trees: dict[str, Tree] = {}
    parent: Tree | None = None


class Everything(msgspec.Struct):
    nothing: None
    flag: bool
    whole: int
    number: float
    text: Annotated[str, msgspec.Meta(max_length=100)]
    buffers: tuple[bytes, bytearray, memoryview]
    moment: datetime
    id: UUID
    colour: Colour
    choice: Literal["a", 1]
    many: tuple[int, ...]
    by_number: dict[int, str]
    member: Member
    pair: Pair


class Renamed(msgspec.Struct, rename="camel", tag="r", omit_defaults=True):
    first_name: str
    how_many: int = 3
    some_tags: list[str] = []
    not_set: int | msgspec.UnsetType = msgspec.UNSET


class Anything(msgspec.Struct, rename="camel", tag="r", omit_defaults=True):
    """The same, with a field that may hold what msgspec does not know."""

    first_name: Any
    how_many: int = 3
    some_tags: list[str] = []
    not_set: int | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, array_like=True):
    a: int
    b: str


class AnyRow(msgspec.Struct, array_like=True, tag=True):
    a: Any
    b: int = 3


class Box(msgspec.Struct, Generic[T]):
    value: T


class OtherNames(msgspec.Struct, tag_field="kind", rename={"a": "A"}):
    a: Any


@dataclass
class WithSecret:
    shown: int
    _hidden: int = 1


class InModel(msgspec.Struct):
    model: WithSecret
    tags: set[str] = set()


def sent(value: object) -> Any:
    """What JavaScript would read, on both roads of the encoder: they must agree."""
    fast: list[bytes] = []
    slow: list[bytes] = []
    text = telex_json.dumps_with([value], fast)
    assert telex_json.dumps_with([value, {1: 1}], slow) == text[:-1] + b',{"1":1}]'
    assert fast == slow
    return json.loads(text)[0]


def as_asdict_would(value: Any) -> Any:
    """The same with every struct taken apart by hand."""
    if isinstance(value, msgspec.Struct):
        return as_asdict_would(msgspec.structs.asdict(value))
    if is_a(value, list):
        return [as_asdict_would(item) for item in value]
    if is_a(value, dict):
        return {key: as_asdict_would(item) for key, item in value.items()}
    return value


leaves = st.builds(Leaf, st.text(), st.binary(max_size=4))
trees = st.recursive(
    st.builds(Tree, st.lists(leaves, max_size=3)),
    lambda inner: st.builds(
        Tree, st.lists(leaves, max_size=2), st.dictionaries(st.text(), inner, max_size=2), inner
    ),
    max_leaves=5,
)


class TestParts:
    def test_everything_that_is_alike(self) -> None:
        value = Everything(
            nothing=None,
            flag=True,
            whole=2**64,
            number=float("inf"),
            text="é\ud800",
            buffers=(b"a", bytearray(b"b"), memoryview(b"c")),
            moment=MOMENT,
            id=UUID(int=1),
            colour=Colour.RED,
            choice=1,
            many=(1, 2),
            by_number={3: "x"},
            member={"data": b"d"},
            pair=Pair(1, b"e"),
        )
        assert sent(value) == {
            "nothing": None,
            "flag": True,
            "whole": 2**64,
            "number": None,
            "text": "é\ud800",
            "buffers": [{"_placeholder": True, "num": number} for number in range(3)],
            "moment": "2024-01-01T00:00:00.000Z",
            "id": "00000000-0000-0000-0000-000000000001",
            "colour": "red",
            "choice": 1,
            "many": [1, 2],
            "by_number": {"3": "x"},
            "member": {"data": {"_placeholder": True, "num": 3}},
            "pair": [1, {"_placeholder": True, "num": 4}],
        }

    @given(trees)
    def test_agrees_with_taking_structs_apart_one_by_one(self, tree: Tree) -> None:
        some: list[bytes] = []
        same: list[bytes] = []
        text = telex_json.dumps_with([tree, tree.leaves], some)
        plain = as_asdict_would([tree, tree.leaves])
        assert text == telex_json.dumps_with(plain, same)
        assert some == same

    @pytest.mark.parametrize(
        ("value", "parts"),
        [
            (Renamed("a"), {"type": "r", "firstName": "a"}),
            (
                Renamed("a", 4, ["b"], 5),
                {"type": "r", "firstName": "a", "howMany": 4, "someTags": ["b"], "notSet": 5},
            ),
            (Row(1, "b"), [1, "b"]),
            (Box("a"), {"value": "a"}),
            (OtherNames(1), {"kind": "OtherNames", "A": 1}),
        ],
    )
    def test_is_written_as_msgspec_reads_it(self, value: msgspec.Struct, parts: Any) -> None:
        assert sent(value) == parts == msgspec.to_builtins(value)
        assert msgspec.convert(parts, type(value)) == value

    @pytest.mark.parametrize(
        "value",
        [
            Anything("a"),
            Anything("a", 3, []),
            Anything("a", 4, ["b"], 5),
            AnyRow(1),
            AnyRow([1], 4),
            OtherNames([Row(1, "b"), Renamed("c")]),
            Box({"value": Renamed("a")}),
            Box(msgspec.UNSET),
        ],
    )
    def test_field_by_field_it_looks_the_same(self, value: msgspec.Struct) -> None:
        assert sent(value) == msgspec.to_builtins(value)

    @pytest.mark.parametrize(
        ("value", "parts"),
        [
            (MappingProxyType({"a": b"x"}), {"a": PLACEHOLDER}),
            (WithSecret(1), {"shown": 1}),
            ([MOMENT, b"x"], ["2024-01-01T00:00:00.000Z", PLACEHOLDER]),
        ],
    )
    def test_what_msgspec_does_not_know(self, value: object, parts: object) -> None:
        assert json.loads(telex_json.dumps_with(Anything(value), []))["firstName"] == parts

    def test_annotations_need_not_be_there(self) -> None:
        class Mystery(msgspec.Struct):
            at: Unknown  # type: ignore[name-defined]  # noqa: F821
            data: bytes

        assert sent(Mystery(MOMENT, b"x")) == {
            "at": "2024-01-01T00:00:00.000Z",
            "data": PLACEHOLDER,
        }

    def test_a_value_that_its_annotation_does_not_allow(self) -> None:
        class Text(str):
            __slots__ = ()

        leaf = Leaf(Text("a"), MappingProxyType({"b": b"c"}))  # type: ignore[arg-type]
        assert sent(leaf) == {"name": "a", "data": {"b": PLACEHOLDER}}
        assert sent(Tree([leaf]))["leaves"] == [sent(leaf)]

    @pytest.mark.parametrize(
        "value", [Anything({1}), InModel(WithSecret(1), {"a"}), Box(Decimal(1))]
    )
    def test_what_cannot_be_sent_in_a_list_cannot_be_sent_in_a_struct(self, value: object) -> None:
        with pytest.raises(EncodeError):
            telex_json.dumps_with([value], [])

    def test_that_contains_itself(self) -> None:
        tree = Tree([])
        tree.parent = tree
        box: Box[Any] = Box(None)
        box.value = [box]
        for value in (tree, box):
            with pytest.raises(EncodeError, match="nested too deeply"):
                telex_json.dumps_with([value], [])


class TestOneCall:
    def test_takes_a_whole_tree_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        taken: list[object] = []
        parts_of = structs.parts_of

        def count(value: msgspec.Struct) -> Any:
            taken.append(value)
            return parts_of(value)

        monkeypatch.setattr(values, "parts_of", count)
        tree = Tree([Leaf("a", b"b")] * 3, {"t": Tree([])})
        telex_json.dumps_with([tree], [])
        assert taken == [tree]
        telex_json.dumps_with([Anything(tree)], [])
        assert taken == [tree, Anything(tree), tree]

    def test_is_decided_once_for_each_type(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Fresh(msgspec.Struct):
            a: int

        assert structs.parts_of(Fresh(1)) == {"a": 1}
        monkeypatch.delattr(structs, "types_in")
        assert structs.parts_of(Fresh(2)) == {"a": 2}
