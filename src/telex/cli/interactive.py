"""`telex connect`: events as they come, and emitting by typing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from threading import Thread
from typing import Any

from telex import AckTimeout, ClientSocket, ConnectError, Disconnected, TelexError

from ..client.inbox import ReceivedEvent
from .client import Wanted
from .display import Display
from .emit import as_arguments
from .lines import HELP, Typed, read
from .values import ValueProblem, show_value

FINE, FAILED = 0, 1


class Talk:
    """A conversation with a server: one namespace at a time, over one connection.

    ``events`` are the names seen so far, ``failed`` whether anything went wrong.
    """

    def __init__(self, wanted: Wanted, display: Display, ack_timeout: float) -> None:
        self.display = display
        self.events: dict[str, None] = {}
        self.failed = False
        self.ended = asyncio.Event()
        self._wanted = wanted
        self._timeout = ack_timeout
        self.socket: ClientSocket = wanted.connect()
        self._known: set[str] = set()
        self._asked: ReceivedEvent | None = None
        self._closing = False
        self._answers: set[asyncio.Task[None]] = set()
        self._readers: dict[str, asyncio.Task[None]] = {}
        self.socket.io.on("open", self._engine_opened)
        display.when_gone(self._unread)

    def _unread(self) -> None:
        self.failed = True
        self.ended.set()

    @property
    def namespaces(self) -> list[str]:
        """Those that were joined so far."""
        return sorted(self._known)

    @property
    def transport(self) -> str:
        """The transport of this moment; empty without a connection."""
        engine = self.socket.io.engine
        transport = None if engine is None else engine.transport
        return "" if transport is None else str(transport.name)

    def note(self, text: str) -> None:
        """Show something about the connection."""
        self.display.note(self.transport, text)

    def trouble(self, text: str) -> None:
        """Show something that failed."""
        self.failed = True
        self.display.trouble(self.transport, text)

    # -- the connection ---------------------------------------------------------------------

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            ConnectError: that was not possible.
        """
        await self._join(self.socket)

    async def close(self) -> None:
        """Disconnect; nothing is left."""
        self._closing = True
        await self.socket.io.close()
        for task in (*self._answers, *self._readers.values()):
            task.cancel()
        await asyncio.gather(*self._answers, *self._readers.values(), return_exceptions=True)

    async def settled(self) -> None:
        """Wait for the acknowledgements that are still expected."""
        while self._answers:
            await asyncio.wait(self._answers)

    async def _join(self, socket: ClientSocket) -> None:
        if socket.nsp not in self._known:
            self._known.add(socket.nsp)
            self._listen(socket)
        self.ended.clear()
        await socket
        reader = self._readers.get(socket.nsp)
        if reader is None or reader.done():
            self._readers[socket.nsp] = asyncio.create_task(self._read(socket))

    def _engine_opened(self) -> None:
        engine = self.socket.io.engine
        if engine is not None:
            engine.on("upgrade", lambda: self.note("upgraded"))

    def _listen(self, socket: ClientSocket) -> None:
        @socket.on("connect")
        def connected() -> None:
            recovered = ", recovered: nothing was missed" if socket.recovered else ""
            self.note(f"connected to {socket.nsp} as {socket.id}{recovered}")

        @socket.on("disconnect")
        def disconnected(reason: str) -> None:
            if not self._closing:
                self.note(f"disconnected from {socket.nsp}: {reason}")
            self._may_end(socket)

        @socket.on("reconnect_attempt")
        def attempt(number: int) -> None:
            if socket is self.socket:
                self.note(f"connecting again, attempt {number}")

    def _may_end(self, socket: ClientSocket) -> None:
        if socket is self.socket and not socket.active:
            self.ended.set()

    # -- what comes -------------------------------------------------------------------------

    async def _read(self, socket: ClientSocket) -> None:
        while True:
            try:
                event = await socket.receive()
            except Disconnected:
                self._may_end(socket)
                return
            name, *args = event
            self.events[name] = None
            if event.asked:
                self._asked = event
            tail = "(asks for an acknowledgement: /answer ARGS…)" if event.asked else ""
            self.display.event("in", self.transport, name, args, tail)

    # -- what is typed ----------------------------------------------------------------------

    async def type(self, line: str) -> bool:
        """Do what a line says; whether the conversation goes on."""
        try:
            typed = read(line)
            if typed is None:
                return True
            if typed.command == "/quit":
                return False
            await self._do(typed)
        except ValueProblem as problem:
            self.failed = True
            self.display.trouble(self.transport, str(problem))
        except (TelexError, ValueError, TypeError) as error:
            self.trouble(str(error))
        return True

    async def _do(self, typed: Typed) -> None:
        command, values = typed.command, typed.values
        if command in ("", "/volatile"):
            self._emit(*values, volatile=command == "/volatile")
        elif command == "/ack":
            self._ask(*values)
        elif command == "/answer":
            self._answer(values)
        elif command == "/namespace":
            await self._change(*values)
        elif command == "/timeout":
            self._timeout = float(values[0])
            self.note(f"acknowledgements are waited for {self._timeout:g} s")
        elif command == "/status":
            self._status()
        elif command == "/disconnect":
            await self.socket.disconnect()
        elif command == "/connect":
            await self._reconnect()
        else:
            self.display.plain(HELP)

    def _emit(self, name: str, *args: Any, volatile: bool) -> None:
        waits = self._waits()
        if volatile:
            self.socket.volatile.emit(name, *args)
        else:
            self.socket.emit(name, *args)
        self.events[name] = None
        tail = ("(dropped)" if volatile else "(when connected again)") if waits else ""
        self.display.event("out", self.transport, name, args, tail)

    def _waits(self) -> bool:
        """Whether what is emitted now has to wait.

        Raises:
            ValueProblem: for ever, as nothing will connect by itself.
        """
        if not self.socket.connected and not self.socket.active:
            raise ValueProblem("There is no connection: /connect makes one.")
        return not self.socket.connected

    def _ask(self, name: str, *args: Any) -> None:
        waits = self._waits()
        self.events[name] = None
        task = asyncio.create_task(self._wait_answer(name, args))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        tail = "(when connected again)" if waits else ""
        self.display.event("out", self.transport, name, args, tail)

    async def _wait_answer(self, name: str, args: tuple[Any, ...]) -> None:
        started = time.monotonic()
        timeout = self._timeout
        try:
            answer = await self.socket.emit_with_ack(name, *args, timeout=timeout)
        except AckTimeout:
            self.trouble(f"{name!r} was not acknowledged within {timeout:g} s")
        except Disconnected as error:
            self.trouble(f"{name!r} was not acknowledged: {error.reason}")
        except (TelexError, ValueError, TypeError) as error:
            self.trouble(f"{name!r} was not sent: {error}")
        else:
            took = f"{1000 * (time.monotonic() - started):.1f} ms"
            self.display.event("ack", self.transport, name, as_arguments(answer), took)

    def _answer(self, values: tuple[Any, ...]) -> None:
        event, self._asked = self._asked, None
        if event is None:
            raise ValueProblem("No event waits for an acknowledgement.")
        event.ack(*values)
        self.display.event("ack", self.transport, event[0], values, "answered")

    async def _change(self, name: str, auth: Any = None) -> None:
        before = self.socket
        socket: ClientSocket = before.io.socket(name)
        if auth is not None:
            socket.auth = auth
        if socket is before:
            self.note(f"this is {socket.nsp}")
            return
        try:
            await self._join(socket)
        except ConnectError as error:
            self.trouble(f"{socket.nsp}: {_refusal(error)}")
            return
        self.socket = socket
        await before.disconnect()

    async def _reconnect(self) -> None:
        if self.socket.connected:
            self.note("there is a connection")
            return
        try:
            await self._join(self.socket)
        except ConnectError as error:
            self.trouble(_refusal(error))

    def _status(self) -> None:
        socket = self.socket
        engine = socket.io.engine
        if socket.connected and engine is not None:
            self.note(
                f"connected to {self._wanted.place.origin}{self._wanted.place.path} namespace "
                f"{socket.nsp} as {socket.id}, Engine.IO {engine.protocol} session {engine.id}"
            )
        else:
            self.note("connecting again" if socket.active else "disconnected; /connect comes back")


def _refusal(error: ConnectError) -> str:
    return str(error) if error.data is None else f"{error} {show_value(error.data)}"


async def converse(
    wanted: Wanted,
    display: Display,
    *,
    lines: Callable[[Talk], AsyncIterator[str]],
    complain: Callable[[str], object],
    ack_timeout: float,
    linger: float | None,
) -> int:
    """Talk until the lines end or somebody quits; the exit status.

    ``linger`` are seconds to wait for events after the last line; with ``None`` (somebody
    types), failures on the way are shown but are no failure of the command.
    """
    talk = Talk(wanted, display, ack_timeout)
    try:
        try:
            await talk.open()
        except ConnectError as error:
            sentence, status = wanted.explain(error)
            complain(sentence)
            return status
        typing = asyncio.create_task(_type(talk, lines))
        if linger is None:
            await typing
            return FINE
        ended = asyncio.create_task(talk.ended.wait())
        await asyncio.wait({typing, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not typing.done():
            talk.trouble("the connection has ended before the input")
        elif await typing and not ended.done():
            await talk.settled()
            await asyncio.wait({ended}, timeout=linger)
        for task in (typing, ended):
            task.cancel()
        await asyncio.gather(typing, ended, return_exceptions=True)
        return FAILED if talk.failed else FINE
    finally:
        await talk.close()


async def _type(talk: Talk, lines: Callable[[Talk], AsyncIterator[str]]) -> bool:
    """Whether the input came to its end; somebody may quit before."""
    async for line in lines(talk):
        if not await talk.type(line):
            return False
    return True


async def piped(_: Talk) -> AsyncIterator[str]:
    """The lines of standard input, whatever it is."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    def pump() -> None:
        # Not sys.stdin: its lock would be held at the end of the process.
        try:
            while chunk := os.read(0, 65536):
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            loop.call_soon_threadsafe(chunks.put_nowait, b"")
        except (OSError, RuntimeError):  # closed, or nobody listens any more
            pass

    Thread(target=pump, name="standard input", daemon=True).start()
    rest = b""
    while chunk := await chunks.get():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")
