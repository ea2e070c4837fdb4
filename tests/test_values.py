"""What every type becomes: the same in both formats, in emits and in acknowledgements."""

from __future__ import annotations

import asyncio
import ctypes
import json
import mmap
from array import array
from collections import ChainMap, Counter, OrderedDict, UserDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import pydantic
import pytest

from telex.codec import json as telex_json
from telex.errors import EncodeError
from telex.parser.msgpack import MSGPACK_PARSER
from telex.parser.packet import EVENT
from tests.server.scenes import Scene, returns, settle

MOMENT = datetime(2024, 2, 29, 12, 30, 5, 123000, UTC)


@dataclass
class Point:
    x: int
    _secret: int = 0


class Item(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    name: str


class Pair(NamedTuple):
    a: int
    b: str


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Number(int):
    pass


class Real(float):
    pass


class Text(str):
    __slots__ = ()


class Row(list[Any]):
    pass


class Table(dict[str, Any]):
    pass


class Raw(bytes):
    pass


class Missing(datetime):
    """A moment that is none, as that of pandas is, which equals nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


def with_more() -> Point:
    """A dataclass with an attribute that is no field."""
    point = Point(1)
    point.__dict__["more"] = 2
    return point


SENT: list[tuple[Any, Any]] = [
    *((None, None), (True, True), (2**53 + 1, 2**53 + 1), (2**64 - 1, 2**64 - 1), (0.5, 0.5)),
    *(("x", "x"), ([1], [1]), ((1, 2), [1, 2]), ({"a": 1}, {"a": 1})),
    *((b"x", b"x"), (bytearray(b"x"), b"x"), (memoryview(b"x-y-")[::2], b"xy"), (Raw(b"x"), b"x")),
    (array("H", [1, 2]), array("H", [1, 2]).tobytes()),
    *((date(2024, 2, 29), "2024-02-29"), (time(12, 30), "12:30:00")),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    *((Colour.RED, "red"), (Level.HIGH, 3), (Word.YES, "yes"), (Rights.READ | Rights.WRITE, 3)),
    *((Point(1, 2), {"x": 1}), (with_more(), {"x": 1}), (Pair(1, "b"), [1, "b"])),
    *((Item("a"), {"name": "a"}), (Model(name="a"), {"name": "a"})),
    *((Number(1), 1), (Real(0.5), 0.5), (Text("x"), "x"), (Row([1]), [1]), (Table(a=1), {"a": 1})),
    *((OrderedDict(a=1), {"a": 1}), (Counter("a"), {"a": 1}), (ChainMap({"a": 1}), {"a": 1})),
    *((UserDict(a=1), {"a": 1}), (MappingProxyType({"a": 1}), {"a": 1})),
    ({3: 1, True: 2, None: 4, 0.5: 5}, {"3": 1, "true": 2, "null": 4, "0.5": 5}),
    ({Colour.RED: 1, Level.HIGH: 2}, {"red": 1, "3": 2}),
    *(
        (np.int64(-1), -1),
        (np.uint8(255), 255),
        (np.array([1, 3]).mean(), 2.0),
        (np.bool_(1), True),
    ),
    *((np.float16(0.5), 0.5), (np.float32(0.5), 0.5), (np.longdouble(0.5), 0.5)),
    *((np.str_("x"), "x"), (np.bytes_(b"x"), b"x"), (np.array([1, 2]).tolist(), [1, 2])),
    ({np.int64(1): np.int64(2), np.float64(0.5): 3}, {"1": 2, "0.5": 3}),
]

REFUSED: list[tuple[Any, str]] = [
    *(({1}, "list"), (frozenset([1]), "list"), (deque([1]), "list"), (range(2), "list")),
    *(({}.keys(), "list"), (iter([1]), "list"), (timedelta(1), "total_seconds")),
    *((Decimal(1), r"str\(\)"), (Fraction(1, 2), "Fraction"), (1j, "complex")),
    *((object(), "object"), (int, "type"), (Point, "type"), (len, "function"), (..., "ellipsis")),
    *(
        (PurePosixPath("x"), "Path"),
        (SimpleNamespace(a=1), "SimpleNamespace"),
        (OSError(), "OSError"),
    ),
    *((mmap.mmap(-1, 1), "mmap"), (ctypes.c_int(1), "c_int"), (Missing(2024, 1, 1), "no moment")),
    *(({b"a": 1}, "bytes.*key"), ({(1,): 1}, "tuple.*key"), ({float("nan"): 1}, "float.*key")),
    *(
        (np.array([1]), r"tolist\(\)"),
        (np.array(1.5), r"tolist\(\)"),
        (np.complex64(1), "complex64"),
    ),
    *((np.datetime64("2024-01-01"), "datetime64"), (np.timedelta64(1, "s"), "timedelta64")),
    (np.void(b"x"), "void"),
]


def as_json(value: Any) -> Any:
    found: list[bytes] = []
    read: Any
    (read,) = json.loads(telex_json.dumps_with([value], found))
    return found[0] if found else read


def as_msgpack(value: Any) -> Any:
    (message,) = MSGPACK_PARSER.encode(EVENT, "/", ["x", value]).attachments
    return msgspec.msgpack.decode(message)["data"][1]


ASK = {"type": 2, "nsp": "/", "id": 1, "data": ["ask"]}

FORMATS = pytest.mark.parametrize("send", [as_json, as_msgpack])
Send = Callable[[Any], Any]


def name_of(value: object) -> str:
    return type(value).__name__ if not isinstance(value, (tuple, list)) else ""


class TestSent:
    @FORMATS
    @pytest.mark.parametrize(("value", "read"), SENT, ids=name_of)
    def test_becomes(self, send: Send, value: Any, read: Any) -> None:
        for wrapped, expected in ((value, read), ([value], [read]), ({"a": value}, {"a": read})):
            if not isinstance(read, bytes) or wrapped is value:
                got = send(wrapped)
                assert got == expected
                assert type(got) is type(expected)

    @pytest.mark.parametrize(("value", "read"), SENT, ids=name_of)
    def test_on_the_slow_road(self, value: Any, read: Any) -> None:
        """Which a number that orjson does not write leads to."""
        found: list[bytes] = []
        _, got = json.loads(telex_json.dumps_with([2**64, value], found))
        assert got == read or found == [read]

    @FORMATS
    @pytest.mark.parametrize(("value", "cure"), REFUSED, ids=name_of)
    def test_refused(self, send: Send, value: Any, cure: str) -> None:
        for wrapped in (value, [value], {"a": value}, {1: [value]}):
            with pytest.raises(EncodeError, match=cure):
                send(wrapped)

    @FORMATS
    async def test_what_has_not_been_awaited(self, send: Send) -> None:
        task = asyncio.ensure_future(settle())
        with pytest.raises(EncodeError, match="await it first"):
            send(task)
        await task

    def test_where_the_formats_differ(self) -> None:
        assert (as_json(float("inf")), as_msgpack(float("inf"))) == (None, float("inf"))
        assert (as_json(np.float64("nan")), as_json(Real("nan"))) == (None, None)
        assert as_json(2**64) == 2**64
        with pytest.raises(EncodeError, match="ints"):
            as_msgpack(2**64)
        assert as_json(MOMENT) == "2024-02-29T12:30:05.123Z"
        assert as_msgpack(MOMENT).code == 0


class TestEmitsAndAcknowledgements:
    """But for None and tuples, which say how many arguments there are."""

    @pytest.mark.parametrize(("value", "read"), SENT, ids=name_of)
    async def test_json(self, value: Any, read: Any) -> None:
        scene = Scene()
        scene.root.event("ask")(returns([value]))
        client, socket = scene.joined()
        client.say('21["ask"]')
        (answer, *attachments) = client.heard()
        socket.emit("told", [value])
        (event, *same) = client.heard()
        assert str(event).partition('"told",')[2] == str(answer).partition("1[")[2]
        assert attachments == same == ([read] if isinstance(read, bytes) else [])

    @pytest.mark.parametrize(("value", "read"), SENT, ids=name_of)
    async def test_msgpack(self, value: Any, read: Any) -> None:
        scene = Scene(parser="msgpack")
        scene.root.event("ask")(returns([value]))
        client = scene.client()
        client.say(*map(msgspec.msgpack.encode, ({"type": 0, "nsp": "/"}, ASK)))
        (socket,) = scene.root.sockets.values()
        socket.emit("told", [value])
        heard: Any = client.heard()
        _, answer, event = [msgspec.msgpack.decode(said) for said in heard]
        assert (answer["data"], event["data"]) == ([[read]], ["told", [read]])
