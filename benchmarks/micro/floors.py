"""The steps of each floor, by name."""

from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.micro.world import World
from telex.engine import payload
from telex.parser.default import DEFAULT_PARSER
from telex.parser.msgpack import MSGPACK_PARSER
from telex.parser.packet import EVENT
from telex.server.socket import Socket
from telex.wire import EncodedPacket

Step = Callable[[], object]

EVENT_TEXT = '42["echo",{"n":123,"s":"hello world"}]'
ARGUMENTS: list[Any] = ["echo", {"n": 123, "s": "hello world"}]
RECIPIENTS = 100


class Argument(msgspec.Struct):
    """What the echo event carries, for a handler that says so."""

    n: int
    s: str


def codec() -> dict[str, Step]:
    """Packets to text and back."""
    decoder = DEFAULT_PARSER.decoder(max_attachments=10, max_bytes=1_000_000)
    packed = MSGPACK_PARSER.decoder(max_attachments=10, max_bytes=1_000_000)
    (message,) = MSGPACK_PARSER.encode(EVENT, "/", ARGUMENTS, 7).attachments
    blob = bytes(65536)
    attached = '451-7["binary",{"_placeholder":true,"num":0}]'
    packets = [EncodedPacket(EVENT_TEXT.encode()) for _ in range(8)]
    body = payload.encode(packets)

    def decode() -> object:
        packet = decoder.receive(EVENT_TEXT, 1)
        assert packet is not None
        assert packet[3] is not None
        return DEFAULT_PARSER.loads(packet[3])

    def decode_binary() -> object:
        decoder.receive(attached, 1)
        return decoder.receive(blob, 0)

    return {
        "header of an event": lambda: decoder.receive(EVENT_TEXT, 1),
        "decode an event": decode,
        "decode an event with an attachment": decode_binary,
        "decode an event of msgpack": lambda: packed.receive(message, 0),
        "encode an event": lambda: DEFAULT_PARSER.encode(EVENT, "/", ARGUMENTS).frames(),
        "encode an event with an attachment": lambda: DEFAULT_PARSER.encode(
            EVENT, "/", ["binary", blob]
        ).frames(),
        "encode an event of msgpack": lambda: MSGPACK_PARSER.encode(EVENT, "/", ARGUMENTS).frames(),
        "encode a polling payload of 8": lambda: payload.encode(packets),
        "decode a polling payload of 8": lambda: list(payload.decode(body)),
    }


def session() -> dict[str, Step]:
    """One client's connection, whatever is said over it."""
    world = World()
    one = world.session()
    one.on_message = _ignore
    packet = EncodedPacket(EVENT_TEXT.encode())

    def send() -> None:
        one.send(packet)
        world.flush()

    def send_8() -> None:
        for _ in range(8):
            one.send(packet)
        world.flush()

    def beat() -> None:
        world.core.engine.heartbeat.ping.start(one)
        one.receive("3")

    def come_and_go() -> None:
        world.session().end("transport close")

    return {
        "receive a message": lambda: one.receive(EVENT_TEXT),
        "send a packet and flush": send,
        "send 8 packets and flush": send_8,
        "start a deadline and hear a pong": beat,
        "open and end": come_and_go,
    }


def _ignore(data: str | bytes, position: int) -> None:
    pass


def dispatch() -> dict[str, Step]:
    """From a message to a handler and back."""
    world = World()

    @world.root.event
    def echo(socket: Socket, argument: Any) -> Any:
        return argument

    @world.root.event
    def typed(socket: Socket, argument: Argument) -> Argument:
        return argument

    @world.root.event
    def quiet(socket: Socket, argument: Any) -> None:
        pass

    client = world.client()

    def event(name: str, ack_id: str) -> Step:
        text = f'42{ack_id}["{name}",{{"n":123,"s":"hello world"}}]'

        def step() -> None:
            client.receive(text)
            world.flush()

        return step

    def join_and_leave() -> None:
        world.client().end("transport close")

    return {
        "an event": event("quiet", ""),
        "an event and its acknowledgement": event("echo", "7"),
        "a typed event and its acknowledgement": event("typed", "7"),
        "an event that nobody handles": event("unknown", ""),
        "open, join a namespace and end": join_and_leave,
    }


def broadcast() -> dict[str, Step]:
    """From an emit to the frames of all recipients."""
    world = World()
    for number in range(RECIPIENTS):
        world.client(["all", f"ten{number // 10}", *(["odd"] if number % 2 else [])])
    sockets = list(world.root.sockets.values())

    def emit(target: Any) -> Step:
        def step() -> None:
            target.emit("msg", "hello world")
            world.flush()

        return step

    def emit_8() -> None:
        for _ in range(8):
            world.root.emit("msg", "hello world")
        world.flush()

    def join_and_leave() -> None:
        sockets[0].join("elsewhere")
        sockets[0].leave("elsewhere")

    return {
        f"to all {RECIPIENTS}": emit(world.root),
        f"8 to all {RECIPIENTS}": emit_8,
        f"to a room of {RECIPIENTS}": emit(world.root.to("all")),
        "to a room of 10": emit(world.root.to("ten3")),
        "to two overlapping rooms": emit(world.root.to(["odd", "ten3"])),
        "to all but a room": emit(world.root.except_("odd")),
        "to one socket": emit(sockets[0]),
        "join and leave a room": join_and_leave,
    }


FLOORS: dict[str, Callable[[], dict[str, Step]]] = {
    "codec": codec,
    "session": session,
    "dispatch": dispatch,
    "broadcast": broadcast,
}
