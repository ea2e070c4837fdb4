"""A client's session whose transports, clock and server are played by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from telex.engine.client_host import ClientTransport, Details
from telex.engine.client_session import ClientSession
from telex.engine.packet import message
from telex.errors import TransportError
from telex.wire import EncodedPacket
from tests.support.doubles import VirtualClock

Item = str | bytes

INTERVAL, TIMEOUT = 25.0, 20.0
"""The heartbeat of the servers, in seconds."""


def open_packet(**changes: Any) -> str:
    """What a server says first."""
    opened = {
        "sid": "the id",
        "upgrades": ["websocket"],
        "pingInterval": INTERVAL * 1000,
        "pingTimeout": TIMEOUT * 1000,
        "maxPayload": 1_000_000,
        **changes,
    }
    return "0" + json.dumps(opened)


class Wire:
    """A transport that sends nothing: the test says what the network does with it.

    Over `polling` it behaves as the transport for long-polling does: one request at a time
    sends, one asks. A `slow` WebSocket takes one batch at a time, too.
    """

    def __init__(self, session: ClientSession, name: str, sid: str | None) -> None:
        self.name = name
        self.sid = sid
        self.writable = False
        self.slow = name == "polling"
        self.asking = name == "polling"
        self.held = False
        self.batches: list[list[EncodedPacket]] = []
        self.sending = False
        self.ended: Literal["closed", "abandoned"] | None = None
        self.pauses = 0
        self._session = session
        self._paused: Callable[[], None] | None = None

    # -- what the session does ------------------------------------------------------------

    def send(self, packets: list[EncodedPacket]) -> None:
        assert self.writable, "send is only called while writable"
        assert packets, "an empty batch is not worth a request"
        assert self.ended is None, "nothing is sent after the end"
        self.batches.append(packets)
        if self.slow:
            self.writable = False
            self.sending = True

    def pause(self, paused: Callable[[], None]) -> None:
        assert self._paused is None, "paused twice"
        self.pauses += 1
        self._paused = paused
        self.held = False
        self._look_around()

    def unpause(self) -> None:
        assert self._paused is not None, "not paused"
        self._paused = None
        if self.ended is None:
            self.asking = True
            self.writable = not self.sending

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False
        if self.name == "polling" and self._paused is None and self.ended is None:
            self.asking = True

    def close(self) -> None:
        self._end("closed")

    def abandon(self) -> None:
        self._end("abandoned")

    def _end(self, how: Literal["closed", "abandoned"]) -> None:
        if self.ended is None:
            self.ended = how
        self.writable = self.asking = False
        self._paused = None

    def _look_around(self) -> None:
        if self._paused is not None and not self.asking and not self.sending:
            paused, self._paused = self._paused, _nothing
            paused()

    # -- what the network does ------------------------------------------------------------

    def opens(self) -> None:
        """A WebSocket is open."""
        self.writable = True
        self._session.opened(self)

    def gives(self, *items: Item) -> None:
        """The server has sent something; over polling that ends a request."""
        session = self._session
        if self.name == "polling":
            self._answer(items)
        else:
            for item in items:
                if self.ended is None:
                    session.receive(self, item)

    def _answer(self, items: tuple[Item, ...]) -> None:
        session = self._session
        opening = session.id is None
        outer, session.corked = session.corked, True
        for item in items:
            if self.ended is None:
                session.receive(self, item)
        if opening and session.id is not None:
            self.writable = True
        if not outer:
            session.flush()
        self.asking = self.asking and not self.held and self._paused is None
        self._look_around()

    def takes(self) -> list[Item]:
        """The server has received what was sent; the messages of it that are ours."""
        taken = self.messages
        self.batches.clear()
        if self.sending:
            self.sending = False
            if self.ended is None:
                self.writable = True
                if self._paused is None:
                    self._session.drained(self)
                self._look_around()
        return taken

    def fails(self, message: str = "xhr poll error", description: Any = None) -> None:
        """The transport cannot connect, or breaks."""
        self._session.failed(self, TransportError(message, description))

    def closes(self) -> None:
        """The server closes a WebSocket."""
        self._session.closed(self, Details("closed by the server"))

    @property
    def messages(self) -> list[Item]:
        """What is on its way to the server, as WebSocket messages."""
        return [data for batch in self.batches for packet in batch for data in packet.messages()]


class Stage:
    """A session with all that it asks for."""

    def __init__(
        self,
        *transports: str,
        protocol: int = 4,
        watched: bool = False,
        **options: Any,
    ) -> None:
        self.clock = VirtualClock(1000.0)
        self.wires: list[Wire] = []
        self.events: list[tuple[Any, ...]] = []
        self.came: list[Item] = []
        self.wakes = 0
        self.corks = 0
        self.reacting: dict[str, Callable[[], object]] = {}
        self.session = ClientSession(
            self,
            self,
            self.clock,
            protocol=protocol,
            transports=transports,
            cork=self._cork,
            **options,
        )
        self.session.watcher = self if watched else None
        self.session.on_message = lambda data, pos: self.came.append(data[pos:])

    # -- the host -------------------------------------------------------------------------

    def connect(self, name: str, sid: str | None) -> Wire:
        wire = Wire(self.session, name, sid)
        self.wires.append(wire)
        return wire

    def _note(self, event: str, *args: Any) -> None:
        self.events.append((event, *args))
        if event in self.reacting:
            self.reacting[event]()

    def opened(self, handshake: dict[str, Any]) -> None:
        self._note("open", handshake)

    def drained(self) -> None:
        self._note("drain")

    def failed(self, error: TransportError) -> None:
        self._note("error", error)

    def ended(self, reason: str, details: Any) -> None:
        self._note("close", reason, details)

    def pinged(self) -> None:
        self._note("ping")

    def ponged(self, latency: float) -> None:
        self._note("pong", latency)

    def upgrading(self, transport: ClientTransport) -> None:
        self._note("upgrading", transport)

    def upgraded(self, transport: ClientTransport) -> None:
        self._note("upgrade", transport)

    def upgrade_failed(self, error: TransportError) -> None:
        self._note("upgrade_error", error)

    def received(self, data: Item) -> None:
        self._note("packet", data)

    def created(self, packet: EncodedPacket) -> None:
        self._note("packet_create", packet)

    def flushed(self) -> None:
        self._note("flush")

    def wake(self) -> None:
        self.wakes += 1

    def _cork(self) -> None:
        self.corks += 1

    # -- what a test does -----------------------------------------------------------------

    @property
    def wire(self) -> Wire:
        """The newest transport."""
        return self.wires[-1]

    def named(self, *names: str) -> list[tuple[Any, ...]]:
        """The events of these names."""
        return [event for event in self.events if event[0] in names]

    @property
    def ends(self) -> list[str]:
        """Why it has ended."""
        return [event[1] for event in self.named("close")]

    def say(self, *texts: str | bytes) -> None:
        """Send messages, and let the turn of the loop end."""
        for text in texts:
            self.session.send(message(text))
        self.session.flush()

    def connected(self, **changes: Any) -> Wire:
        """Connect over the first transport."""
        self.session.open()
        wire = self.wire
        if wire.name == "websocket":
            wire.opens()
        wire.gives(open_packet(**changes))
        return wire

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due meanwhile happens when it is due."""
        end = self.clock.now + seconds
        while (due := self.session.deadline()) <= end:
            self.clock.now = max(self.clock.now, due)
            self.session.tick()
            assert self.session.deadline() > due, "the same deadline again"
        self.clock.now = end


def _nothing() -> None:
    """Told already."""
