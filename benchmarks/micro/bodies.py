"""`python -m benchmarks.micro.bodies`: how long one body of a POST may hold the loop.

Every body is as large as the server accepts, and made to cost as much as it can. What is
reported is the longest time between two turns of the loop, in milliseconds.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from benchmarks.micro.world import World
from telex.config import ServerOptions
from telex.engine.polling import PollingTransport
from telex.types import Request

SIZE = 1_000_000
GOAL = 50.0
"""What no body may hold the loop for, in milliseconds."""


class Body(NamedTuple):
    """One body: who sends it, and what its end costs."""

    title: str
    revision: int
    body: bytes
    binary: bool = False
    jsonp: bool = False
    parser: str = "json"


def _many(piece: str, around: str = "{}") -> bytes:
    whole = around.encode()
    room = SIZE - len(whole) + 2
    one = piece.encode()
    return whole.replace(b"{}", one * (room // len(one)))


def _one3(text: str) -> bytes:
    units = len(text.encode("utf-16-le")) // 2
    return f"{units}:{text}".encode()


def _packed(arguments: list[Any]) -> bytes:
    return msgspec.msgpack.encode({"type": 2, "nsp": "/", "data": arguments})


def bodies() -> Iterator[Body]:
    """All of them."""
    wide = "\U0001f600"
    for piece in (
        "6\x1e",
        "2\x1e",
        "4\x1e",
        "42[0]\x1e",
        "3\x1e",
        "b\x1e",
        '42["a"]\x1e',
        "42\x1e",
    ):
        yield Body(f"many {piece[:-1]!r}", 4, _many(piece, "{}6"))
    yield Body("many '6', one emoji", 4, _many("6\x1e", "4" + wide + "\x1e{}6"))
    yield Body("base64 without meaning", 4, _many("!", "b{}"))
    yield Body("base64 of two alphabets", 4, _many("-_", "b{}"))
    yield Body("base64 beyond ASCII", 4, _many("é", "b{}"))
    yield Body(
        "many placeholders", 4, _many('{"_placeholder":true,"num":0},', '451-["a",{}0]\x1ebAA==')
    )
    yield Body("attachment, many lists", 4, _many("[],", '451-["a",{}0]\x1ebAA=='))
    for piece in ("[],", "{},", "0,", '"",', "[[[]]],", '"\\ud800",', "1e9,"):
        yield Body(f"event with many {piece[:-1]}", 4, _many(piece, '42["a",{}0]'))
    yield Body("connect with many []", 4, _many("[],", '40{"a":[{}0]}'))
    yield Body("answer with many []", 4, _many("[],", '431["a",{}0]'))
    yield Body("event with half a pair and many []", 4, _many("[],", '42["a","\\ud800",{}0]'))
    yield Body("long string of brackets", 4, _many("[", '42["a","{}"]'))
    yield Body("long string of escapes", 4, _many("\\u00e9", '42["a","{}"]'))
    yield Body(
        "many keys",
        4,
        (
            '42["a",'
            + json.dumps(dict.fromkeys(map(str, range(80_000)), 0), separators=(",", ":"))
            + "]"
        ).encode()[:SIZE],
    )
    yield Body("connects", 4, _many("40/x,\x1e", "{}6"))
    yield Body("long names", 4, _many("40/" + "x" * 250 + ",\x1e", "{}6"))
    for piece in ("1:6", "0:", "1:2", "1:4", "2:b4", "5:42[0]", "00000000000001:6"):
        yield Body(f"many {piece!r}", 3, _many(piece))
        yield Body(f"many {piece!r}, one emoji", 3, _many(piece, "3:4" + wide + "{}"))
        yield Body(f"many {piece!r}, one é", 3, _many(piece, "2:4é{}"))
    yield Body("many '5:4😀é'", 3, _many("4:4" + wide + "é"))
    yield Body("one long text of emoji", 3, _one3("4" + wide * (SIZE // 4 - 10)))
    yield Body("one long text encoded twice", 3, _one3("4" + "Ã©" * (SIZE // 4 - 10)))
    yield Body("encoded twice, many", 3, _many("3:4Ã©"))
    yield Body("digits without an end", 3, _many("1"))
    yield Body("binary, many '6'", 3, b"\x00\x01\xff6" * (SIZE // 4), binary=True)
    yield Body("binary, many messages", 3, b"\x01\x01\xff\x04" * (SIZE // 4), binary=True)
    for title, form in {
        "fields": _many("%&", "d=1&{}"),
        "fields without value": _many("&", "d=1%3A6{}"),
        "escapes": _many("%31", "d={}"),
        "escapes without meaning": _many("%", "d={}"),
        "newlines": _many("\\n", "d={}"),
        "packets": _many("1:6", "d={}"),
        "packets, one emoji": _many("1:6", "d=3:4%F0%9F%98%80{}"),
        "spaces": _many("+", "d={}"),
    }.items():
        yield Body(f"form, {title}", 3, form, jsonp=True)
    many = SIZE - 100
    crowds: dict[str, list[Any]] = {
        "empty lists": [[]] * many,
        "numbers": [0] * many,
        "empty maps": [{}] * many,
        "maps of numbers": [{0: 0}] * (many // 3),
        "text": [""] * many,
    }
    for title, arguments in crowds.items():
        packed = _packed(["a", arguments])
        yield Body(f"msgpack, {title}", 3, _binary3(packed), binary=True, parser="msgpack")


def _binary3(data: bytes) -> bytes:
    digits = bytes(int(digit) for digit in str(len(data) + 1))
    return b"\x01" + digits + b"\xff\x04" + data


def longest(body: Body) -> tuple[float, int]:
    """The longest step of a body in milliseconds, and how many steps it took."""
    world = World(ServerOptions(parser=body.parser, id_source="random_for_all"))
    world.root.on("b", _nothing)
    query = f"EIO={body.revision}&transport=polling{'&j=0' if body.jsonp else ''}"
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/socket.io/",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
    }
    session, _ = world.core.engine.open_polling(Request(scope), "sid")
    transport: Any = session.transport
    if not isinstance(transport, PollingTransport):
        raise TypeError("a session over polling has its transport")
    if body.revision == 4:
        session.receive("40")
    transport.start_post(session)
    worst, count = 0.0, 0
    steps = transport.post(session, body.body, binary=body.binary, jsonp=body.jsonp)
    while True:
        begun = time.thread_time()
        more = next(steps, _END)
        worst = max(worst, time.thread_time() - begun)
        count += 1
        if more is _END or count > 100_000:
            return worst * 1000, count
        session.flush()


_END = object()


def _nothing(*_: object) -> None:
    """A handler that has nothing to do."""


def main() -> None:
    """Measure all bodies, or those whose titles contain a word."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro.bodies", description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only titles with this in them")
    word = parser.parse_args().word
    late = 0
    for body in bodies():
        if word not in body.title:
            continue
        gc.collect()
        milliseconds, steps = min(longest(body) for _ in range(3))
        late += milliseconds > GOAL
        mark = "  more than the goal" if milliseconds > GOAL else ""
        print(
            f"revision {body.revision}, {body.title:40} {milliseconds:8.1f} ms"
            f" {steps:6} steps{mark}"
        )
    sys.exit(bool(late))


if __name__ == "__main__":
    main()
