"""Plays random clients, handlers, interruptions and shortages of memory to the compiled part.

Everything in a round follows from its seed: `python -m tests.native.sanitize --seed N` plays it
again. What is looked for are wrong memory accesses, which the sanitizers see, and a server that
does not come to rest.
"""

from __future__ import annotations

import faulthandler
import gc
import socket as sockets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from telex import Ack
from telex.engine.packet import message
from telex.events.handlers import Handler
from telex.fronts.websocket.native import NativeWebSocket
from telex.native import _telex
from telex.server.socket import Socket
from telex.wire import EncodedPacket
from tests.native.scenes import Client, Server, logged
from tests.support.doubles import RecordingTransport
from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

_testcapi: Any = import_module("_testcapi")

CLIENTS = 5
STEPS = 40


class Interrupt(BaseException):
    """What is no Exception."""


class Order(msgspec.Struct):
    """A typed argument."""

    number: int
    name: str = "unnamed"


class Meddling(EncodedPacket):
    """A packet that does something when its frames are made."""

    __slots__ = ("_act",)

    def __init__(self, text: bytes, act: Callable[[], object]) -> None:
        super().__init__(text)
        self._act = act

    def frames(self) -> bytes:
        self._act()
        return super().frames()


class Generous(Handler):
    """A handler that makes many arguments out of few."""

    __slots__ = ()

    def fit(self, args: list[Any]) -> list[Any]:
        return [*args, *range(40)]


class Mean(Handler):
    """A handler that makes no arguments."""

    __slots__ = ()

    def fit(self, args: list[Any]) -> list[Any]:
        return []


class Wrong(Handler):
    """A handler that makes something else."""

    __slots__ = ()

    def fit(self, args: list[Any]) -> Any:
        return args[0]


class Peers(type):
    """A class that empties the list of peers when its slots are asked for."""

    peers: list[Any]

    def __getattribute__(cls, name: str) -> Any:
        if name == "deliver":
            super().__getattribute__("peers").clear()
        return super().__getattribute__(name)


class Round:
    """One server, and what happens to it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.depth = 0
        self.server = Server(
            max_http_buffer_size=100_000, send_buffer_limit=self.random.choice([1000, 1_000_000])
        )
        self.raws: list[sockets.socket] = []

    # -- what happens in the midst of something else ------------------------------------

    def act(self) -> None:
        """Something that a handler, a finalizer or a packet may do."""
        if self.depth > 3:
            return
        self.depth += 1
        try:
            self.random.choice(self.acts)(self)
        finally:
            self.depth -= 1

    # Nothing here holds a connection or a session: they go when telex lets go of them.

    def websocket(self) -> Any:
        """A connection that is open, or one that never was."""
        found = list(self.server.watch._open)
        if found:
            return self.random.choice(found)
        return NativeWebSocket(self.server.driver, self.server.watch, b"")

    def session(self) -> Any:
        """A session that has not ended, or the session of a connection."""
        found: list[Any] = list(self.server.core.engine.sessions.values())
        return self.random.choice(found) if found else Interrupt()

    def collect(self) -> None:
        gc.collect()

    def emit(self) -> None:
        size = self.random.choice([1, 100, 300, 20_000, 70_000])
        self.server.root.emit("news", "x" * size)

    def disconnect(self) -> None:
        for socket in list(self.server.root.sockets.values()):
            if self.random.random() < 0.3:
                socket.disconnect(self.random.random() < 0.5)

    def poll(self) -> None:
        self.server.watch.reactor.poll()

    def pause(self) -> None:
        self.websocket().pause()

    def resume(self) -> None:
        self.websocket().resume()

    def flush(self) -> None:
        self.session().flush()

    def feed(self) -> None:
        self.websocket().feed(self.stream())

    def write(self) -> None:
        self.websocket().write(b"\x81\x01x" * self.random.choice([1, 100, 30_000]))

    def send(self) -> None:
        packets: list[EncodedPacket] = []
        for _ in range(self.random.randint(0, 4)):
            packets.append(self.packet(packets))
        self.websocket().send(packets)

    def queue(self) -> None:
        self.session().send(self.packet([]))

    def finish(self) -> None:
        self.websocket().finish(drop=self.random.random() < 0.5)

    def vanish(self) -> None:
        """Close a connection, and let go of everything that holds it."""
        websocket = self.websocket()
        websocket.finish(drop=True)
        websocket.session = websocket.receiver = None
        self.server.watch.closed(websocket)
        for session in self.server.core.engine.sessions.values():
            if session.transport is websocket:
                session.transport = RecordingTransport()

    def hang_up(self) -> None:
        self.websocket().hang_up()

    def end_session(self) -> None:
        self.session().end("fuzz")

    def forget_session(self) -> None:
        self.websocket().session = self.random.choice([None, self.session()])

    def change_handlers(self) -> None:
        by_event: Any = self.server.root.events
        by_event.clear()
        register(self)
        for handlers in by_event.values():
            for handler in handlers:
                if self.random.random() < 0.3:
                    handler.__class__ = self.random.choice([Generous, Mean, Wrong, Handler])

    def deliver(self) -> None:
        peers: list[Any] = []
        peers += [self.peer(peers) for _ in range(self.random.randint(0, 20))]
        with suppress(TypeError, AttributeError):
            vars(_telex)["deliver_all"](peers, self.packet([]))

    def interrupt(self) -> None:
        if self.random.random() < 0.1:
            raise Interrupt

    def fail(self) -> None:
        raise ValueError("fuzz")

    acts = (
        collect, emit, disconnect, poll, pause, resume, flush, feed, write, send, queue, finish,
        vanish, hang_up, end_session, forget_session, change_handlers, deliver, interrupt, fail,
    )  # fmt: skip

    def packet(self, packets: list[EncodedPacket]) -> EncodedPacket:
        text = b"42" + b"x" * self.random.choice([1, 200, 5000, 20_000])
        kind = self.random.randrange(4)
        if kind == 0:
            return Meddling(text, self.act)
        if kind == 1:
            return Meddling(text, packets.clear)
        return message(text.decode()) if kind == 2 else EncodedPacket(text)

    def peer(self, peers: list[Any]) -> object:
        """Something to deliver to: a socket, or an object of a class made on the spot."""
        sockets = list(self.server.root.sockets.values())
        kind = self.random.randrange(5)
        if kind == 0 and sockets:
            return self.random.choice(sockets)

        def deliver(*_: object) -> None:
            self.act()

        slots = {"__slots__": ("deliver", "more")}
        base: Any = type("Base", (), slots)
        if kind == 1:
            base = type("Foreign", (), {"deliver": base.deliver, "__slots__": ()})
        elif kind == 2:
            base = type("Plain", (), {"deliver": deliver})
        elif kind == 3:
            base = Peers("Emptying", (), {**slots, "peers": peers})
        peer = base()
        if kind >= 3:
            peer.deliver = deliver
        return peer

    # -- what clients send ----------------------------------------------------------------

    def text(self) -> str:
        random = self.random
        ack = random.choice(["", "", "1", "77", "9" * 16, "9" * 17, "-1"])
        nsp = random.choice(["", "", "", "/chat,", "/nope,", "/" + "x" * 300 + ","])
        name = random.choice(NAMES)
        data = random.choice(
            [
                "", ",1", ",[]", ",1,2,3", ",1" * 20, "," + "[" * 200 + "]" * 200,
                ',{"number":1}', ',{"number":1,"name":"' + "x" * 300 + '"}',
                ',"é\\ud83d"', ',{"_placeholder":true,"num":0}',
            ]
        )  # fmt: skip
        text = f'42{nsp}{ack}["{name}"{data}]'
        kind = random.randrange(12)
        if kind == 0:
            at = random.randrange(len(text))
            text = text[:at] + random.choice(["", '"', "\\", "]", "\x00", "é"]) + text[at + 1 :]
        elif kind == 1:
            text = random.choice(
                ["", "1", "2", "3", "40", "41", "40/chat,", "41/chat,", "43", "431[1]", "4", "42",
                 "42[", "420", '42["",1]', "6", '451-["a",{"_placeholder":true,"num":0}]']
            )  # fmt: skip
        return text

    def piece(self) -> bytes:
        random = self.random
        kind = random.randrange(60)
        if kind == 0:
            return random.randbytes(random.choice([1, 2, 10, 200]))
        if kind == 1:
            opcode = random.choice([CONTINUATION, TEXT, BINARY, 3, CLOSE, PING, PONG, 11])
            payload = random.randbytes(random.choice([0, 1, 2, 125, 126, 300]))
            return frame(opcode, payload, fin=random.random() < 0.5)
        if kind in (2, 6):
            return frame(BINARY, random.randbytes(random.choice([0, 1, 70_000])))
        if kind in range(10, 15):
            whole = self.text().encode()
            at = random.randint(0, len(whole))
            middle = frame(PING, b"x") if random.random() < 0.5 else b""
            return frame(TEXT, whole[:at], fin=False) + middle + frame(CONTINUATION, whole[at:])
        if kind == 4:
            size = random.choice([126, 65_536, 200_000, 2**62, 2**63, 2**64 - 1])
            return b"\x81\xff" + size.to_bytes(8, "big") + b"mask" + b"x" * random.choice([0, 10])
        if kind == 5:
            return frame(TEXT, random.randbytes(20))
        return frame(TEXT, self.text())

    def stream(self) -> bytes:
        random = self.random
        data = b"".join(self.piece() for _ in range(random.choice([1, 1, 2, 5])))
        if random.random() < 0.1:
            data *= random.choice([2, 50])
        return data[: random.randint(0, len(data))] if random.random() < 0.05 else data

    # -- a round ----------------------------------------------------------------------------

    def step(self) -> None:
        random = self.random
        if len(self.server.watch._open) < CLIENTS:
            self.guarded(partial(self.join, random.choice([3, 4, 4])))
        for _ in range(random.randint(1, 3)):
            with suppress(OSError, IndexError):
                self.random.choice(self.raws[-CLIENTS:]).sendall(self.stream()[:60_000])
        if random.random() < 0.3:
            with suppress(OSError, IndexError):
                self.random.choice(self.raws[-CLIENTS:]).recv(
                    1 << 20
                )  # most of the time clients do not read
        if self.raws and random.random() < 0.03:
            self.random.choice(self.raws).close()
        kind = random.randrange(6)
        if kind == 0:
            start = random.choice([0, 1, 2, 5, 10, 30, 100])
            stop = start + random.choice([1, 1, 3, 20])
            self.guarded(partial(starved, self.poll, start, stop))
        elif kind == 1:
            self.guarded(self.act)
        else:
            self.guarded(self.poll)
        if kind < 4:
            self.guarded(partial(self.server.settle, 3))

    def guarded(self, call: Callable[[], object]) -> None:
        """Call something that may fail, and be interrupted, but not more than that."""
        with suppress(Interrupt, Exception):
            call()

    def join(self, revision: int) -> None:
        """A client that nothing holds but its end of the socket."""
        client = Client(self.server, revision)
        client.say("40")
        self.raws.append(client.raw)
        self.server.clients.append(client)  # its number makes the next id
        del client.websocket, client.session

    def play(self) -> None:
        with logged():
            register(self)
            for _ in range(STEPS):
                self.step()
            self.end()

    def end(self) -> None:
        """Whatever has happened, nothing stays open."""
        for raw in self.raws:
            raw.close()
        for websocket in list(self.server.watch._open):
            self.guarded(websocket.resume)
            self.guarded(partial(self.server.settle, 3))
            self.guarded(websocket.hang_up)
            self.guarded(partial(self.server.settle, 3))
        for task in list(self.server.core.runtime.tasks):
            task.cancel()
        for _ in range(20):
            self.guarded(self.server.settle)
        assert self.server.watch.reactor.count == 0, "a connection stays open"
        self.server.driver.stop()
        self.server.loop.close()


NAMES = (
    "echo", "act", "later", "typed", "many", "asks", "many values", "bytes", "secret", "twice",
    "connect", "socket", "nothing", "wait",
)  # fmt: skip


def register(rounds: Round) -> None:
    """Handlers of every kind, each of which may do something else before it returns."""
    root, act = rounds.server.root, rounds.act

    def echo(socket: Socket, *values: Any) -> Any:
        return values[0] if values else None

    def acting(socket: Socket, *values: Any) -> Any:
        act()
        return values

    async def later(socket: Socket, *values: Any) -> Any:
        act()
        return list(values)

    def typed(socket: Socket, order: Order) -> Any:
        act()
        return order

    def asks(socket: Socket, ack: Ack) -> None:
        act()
        ack(1)

    def values(socket: Socket, *values: Any) -> Any:
        return 1, "x" * 1000, None

    def octets(socket: Socket, *values: Any) -> Any:
        return b"bytes"

    def much(socket: Socket, *values: Any) -> Any:
        return "x" * 100_000

    handlers: dict[str, Any] = {
        "echo": echo, "act": acting, "later": later, "typed": typed, "asks": asks,
        "many values": values, "bytes": octets, "many": much,
    }  # fmt: skip
    for name, handler in handlers.items():
        root.event(name)(handler)
    root.event("twice")(echo)
    root.event("twice")(acting)


def starved(call: Callable[[], object], start: int, stop: int) -> None:
    """Call something; of its allocations those from `start` to `stop` fail.

    Some have to succeed in the end: CPython tries for ever to enter an `except` block.
    """
    _testcapi.set_nomemory(start, stop)
    try:
        call()
    finally:
        _testcapi.remove_mem_hooks()


def play(seed: int) -> None:
    """Play one round; the process ends, with a traceback, if that takes a minute."""
    faulthandler.dump_traceback_later(60, exit=True)
    Round(seed).play()
    gc.collect()
    faulthandler.cancel_dump_traceback_later()


def fuzz(seconds: float, current: Path) -> int:
    """Play rounds for so many seconds: how many. `current` names the seed that is being played."""
    end = time.monotonic() + seconds
    gc.collect()
    gc.freeze()  # what is here by now is not looked at again
    first = seed = time.time_ns() % 1_000_000_000
    while time.monotonic() < end:
        current.write_text(str(seed))
        play(seed)
        seed += 1
    current.unlink()
    return seed - first
