"""Bad packets of msgpack over raw sockets; an honest client is served after each of them."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from telex import Server, Socket
from telex.errors import PacketError
from telex.parser.msgpack import MSGPACK_PARSER, MsgpackDecoder
from tests.rules.clients import WebSocketClient
from tests.support.strategies import ack_ids, events, namespaces

pack = msgspec.msgpack.encode


def event(*data: Any, **more: Any) -> bytes:
    """An EVENT for `/`."""
    return pack({"type": 2, "nsp": "/", "data": list(data), **more})


def spliced(data: bytes) -> bytes:
    """An EVENT whose only argument is these bytes."""
    return event("x", 0)[:-1] + data


def date(milliseconds: int) -> bytes:
    return b"\xd7\x00" + milliseconds.to_bytes(8, "big", signed=True)


DEEP = b"\x91" * 100_000 + b"\xc0"

CLOSED: dict[str, bytes | str] = {
    "M-02 type as text": pack({"type": "2", "nsp": "/", "data": ["x"]}),
    "M-02 type with a fraction": pack({"type": 2.5, "nsp": "/", "data": ["x"]}),
    "M-02 type as a float": pack({"type": 2.0, "nsp": "/", "data": ["x"]}),
    "M-02 type as a boolean": pack({"type": True, "nsp": "/"}),
    "M-02 type 5": pack({"type": 5, "nsp": "/", "data": ["x"]}),
    "M-02 type 7": pack({"type": 7, "nsp": "/", "data": ["x"]}),
    "M-02 type -1": pack({"type": -1, "nsp": "/", "data": ["x"]}),
    "M-02 no type": pack({"nsp": "/", "data": ["x"]}),
    "M-03 no namespace": pack({"type": 2, "data": ["x"]}),
    "M-03 namespace as a number": pack({"type": 2, "nsp": 1, "data": ["x"]}),
    "M-03 namespace as bytes": pack({"type": 2, "nsp": b"/", "data": ["x"]}),
    "M-04 namespace without a slash": pack({"type": 0, "nsp": "admin"}),
    "M-04 namespace of 300 characters": pack({"type": 0, "nsp": "/" + "x" * 300}),
    "M-05 data as an object": pack({"type": 2, "nsp": "/", "data": {}}),
    "M-05 no data": pack({"type": 2, "nsp": "/"}),
    "M-05 data as text": pack({"type": 2, "nsp": "/", "data": "x"}),
    "M-05 empty data": event(),
    "M-05 no name": event(None),
    "M-05 bytes as name": event(b"x"),
    "M-05 a reserved name": event("disconnect"),
    "M-06 id as text": event("x", id="1"),
    "M-06 id with a fraction": event("x", id=1.5),
    "M-06 a negative id": event("x", id=-1),
    "M-06 a huge id": event("x", id=2**64 - 1),
    "M-06 id as a boolean": event("x", id=True),
    "M-07 an array": pack([2, "/", ["x"]]),
    "M-07 nil": pack(None),
    "M-07 a number": pack(1),
    "M-07 text": pack("x"),
    "M-07 an extension": b"\xd4\x00\x00",
    "M-08 nothing": b"",
    "M-08 an unused byte": b"\xc1",
    "M-08 a trailing byte": event("x") + b"\xc0",
    "M-08 cut off": event("x")[:-1],
    "M-09 array of 4 G": b"\xdd\xff\xff\xff\xff",
    "M-09 map of 4 G": b"\xdf\xff\xff\xff\xff",
    "M-09 text of 4 G": b"\xdb\xff\xff\xff\xff",
    "M-09 bytes of 2 G": b"\xc6\x7f\xff\xff\xff",
    "M-09 inside of an event": spliced(b"\xdd\xff\xff\xff\xff"),
    "M-10 nested deeply": DEEP,
    "M-10 an argument nested deeply": spliced(DEEP),
    "M-11 extension of 4 G": spliced(b"\xc9\xff\xff\xff\xff\x01"),
    "M-12 text that is not UTF-8": spliced(b"\xa2\xff\xfe"),
    "M-14 a text frame": '42["x"]',
    "M-16 CONNECT with text": pack({"type": 0, "nsp": "/other", "data": "x"}),
    "M-16 DISCONNECT with an object": pack({"type": 1, "nsp": "/", "data": {}}),
    "M-16 ACK with an object": pack({"type": 3, "nsp": "/", "data": {}, "id": 0}),
}

SERVED: dict[str, tuple[bytes, Any]] = {
    "M-01 an event": (event("echo", 1, b"\x00", {"a": [None]}), [1, b"\x00", {"a": [None]}]),
    "M-01 unknown keys": (event("echo", 1, options={"compress": True}), [1]),
    "M-04 an empty namespace": (pack({"type": 2, "nsp": "", "data": ["echo", 1]}), [1]),
    "M-11 another extension": (spliced(b"\xd4\x01\x00"), None),
    "M-11 a timestamp": (spliced(b"\xd6\xff\x00\x00\x00\x01"), None),
    "M-11 a date beyond all": (spliced(date(2**63 - 1)), None),
    "M-13 a key twice": (spliced(b"\x82\xa1a\x01\xa1a\x02"), None),
    "M-13 __proto__": (event("echo", {"__proto__": {"a": 1}}), [{"__proto__": {"a": 1}}]),
    "M-13 a number as key": (spliced(b"\x81\x01\x02"), None),
    "M-13 an array as key": (spliced(b"\x81\x90\x01"), None),
    "M-13 bytes as key": (spliced(b"\x81\xc4\x01a\x02"), None),
    "M-15 an infinity": (spliced(b"\xcb" + struct.pack(">d", float("inf"))), None),
}


def receive(client: WebSocketClient) -> Any:
    message = client.message()
    assert isinstance(message, bytes)
    return msgspec.msgpack.decode(message)


def join(port: int) -> WebSocketClient:
    client = WebSocketClient(port)
    client.websocket.send_binary(pack({"type": 0, "nsp": "/"}))
    assert receive(client)["type"] == 0
    return client


def echo(client: WebSocketClient, sent: bytes, expected: Any) -> None:
    client.websocket.send_binary(sent)
    assert receive(client) == {"type": 2, "nsp": "/", "data": ["echo", *expected]}


def server() -> tuple[Server, list[str]]:
    io = Server(parser="msgpack")
    reasons: list[str] = []

    @io.event("echo")
    def answer(socket: Socket, *args: Any) -> None:
        socket.emit("echo", *args)

    @io.event
    def disconnect(_: Socket, reason: str) -> None:
        reasons.append(reason)

    return io, reasons


async def test_packets_that_end_the_connection() -> None:
    """Each costs its sender the connection, and nobody else anything."""
    io, reasons = server()
    await io.listen(port=0)
    assert io.port is not None

    def attack(port: int) -> None:
        with join(port) as honest:
            for name, sent in CLOSED.items():
                with join(port) as client:
                    if isinstance(sent, str):
                        client.send(sent)
                    else:
                        client.websocket.send_binary(sent)
                    assert client.websocket.close_code() == 1000, name
                echo(honest, event("echo", name), [name])

    await asyncio.to_thread(attack, io.port)
    await io.close()
    # The last one is the honest client's.
    assert reasons[:-1] == ["forced close"] * len(CLOSED)


async def test_packets_that_are_served() -> None:
    io, _ = server()
    await io.listen(port=0)
    assert io.port is not None

    def talk(port: int) -> None:
        with join(port) as client:
            for sent, expected in SERVED.values():
                if expected is None:  # nothing listens: it has only to do no harm
                    client.websocket.send_binary(sent)
                    echo(client, event("echo", "still"), ["still"])
                else:
                    echo(client, sent, expected)

    await asyncio.to_thread(talk, io.port)
    await io.close()


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_a_packet_error(data: bytes) -> None:
    decode(data)


@given(data=events, at=st.integers(0, 200), byte=st.integers(0, 255))
def test_any_damage_is_a_packet_or_a_packet_error(data: list[Any], at: int, byte: int) -> None:
    damaged = bytearray(event(*data))
    damaged[at % len(damaged)] = byte
    decode(bytes(damaged))


def decode(data: bytes) -> None:
    try:
        packet = MsgpackDecoder().receive(data, 0)
    except PacketError:
        return
    assert packet is not None
    kind, nsp, ack_id, text, _ = packet
    assert kind in range(5)
    assert nsp.startswith("/")
    assert ack_id is None or ack_id >= 0
    assert text is None


@given(data=events, nsp=namespaces, ack_id=ack_ids)
def test_what_is_encoded_is_decoded(data: list[Any], nsp: str, ack_id: int | None) -> None:
    [message] = MSGPACK_PARSER.encode(2, nsp, data, ack_id).attachments
    assert MsgpackDecoder().receive(message, 0) == (2, nsp, ack_id, None, data)
