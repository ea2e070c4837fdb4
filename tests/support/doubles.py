"""Small real objects that stand where the network, the clock or a socket would be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

from telex.adapter.base import AdapterHost, Peer, SessionLog
from telex.adapter.base import Answers as AnswersOfBroadcast
from telex.deadlines import Schedule
from telex.engine.polling import PollingTransport, Respond
from telex.engine.session import Session
from telex.engine.transport import Transport
from telex.events.pending_acks import AckCallback
from telex.parser.default import DEFAULT_PARSER
from telex.parser.packet import EVENT
from telex.types import Request, Response
from telex.wire import EncodedPacket

CLIENT = ("192.0.2.1", 50000)


class VirtualClock:
    """Time that passes when a test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; the new time."""
        self.now += seconds
        return self.now


class RecordingTransport:
    """A transport that keeps the batches it was given.

    It stays writable until `writable` is set to false, as a WebSocket whose client reads.
    """

    def __init__(self, name: str = "websocket", *, writable: bool = True) -> None:
        self.name = name
        self.writable = writable
        self.batches: list[list[EncodedPacket]] = []
        self.closes = 0
        self.paused = False

    def send(self, packets: list[EncodedPacket]) -> None:
        assert self.writable, "send is only called while writable"
        assert packets, "an empty batch is not worth a write"
        assert not self.closes, "nothing is sent after close"
        self.batches.append(packets)

    def close(self) -> None:
        self.closes += 1

    def pause(self) -> None:
        assert not self.paused, "paused twice"
        self.paused = True

    def resume(self) -> None:
        assert self.paused, "resumed without a pause"
        self.paused = False

    @property
    def messages(self) -> list[str | bytes]:
        """What a client has received so far, as WebSocket messages."""
        return [data for batch in self.batches for packet in batch for data in packet.messages()]

    def take(self) -> list[str | bytes]:
        """What a client has received since it was last asked."""
        messages = self.messages
        self.batches.clear()
        return messages


class Answers:
    """Takes the answers to one or more requests; it is what a front calls `respond`."""

    def __init__(self) -> None:
        self.all: list[Response] = []

    def __call__(self, response: Response) -> None:
        self.all.append(response)

    @property
    def only(self) -> Response:
        assert len(self.all) == 1, f"expected one answer, got {self.all}"
        return self.all[0]


class RecordingPeer:
    """A recipient of broadcasts, as an adapter sees it.

    `on_delivery` is called with every packet, as user code would be that a packet reaches.
    """

    def __init__(self, sid: str, *, writable: bool = True) -> None:
        self.id = sid
        self.writable = writable
        self.received: list[EncodedPacket] = []
        self.expected: dict[int, AckCallback] = {}
        self.silent = False
        self.disconnects: list[bool] = []
        self.on_delivery: Callable[[], None] = lambda: None

    @property
    def deliver(self) -> Callable[[EncodedPacket], object]:
        return self._deliver

    @property
    def deliver_volatile(self) -> Callable[[EncodedPacket], object]:
        return self._deliver if self.writable else self._drop

    def _deliver(self, packet: EncodedPacket) -> None:
        assert not self.silent, "nothing is sent to who is going"
        self.received.append(packet)
        self.on_delivery()

    def _drop(self, packet: EncodedPacket) -> None:
        """A client that cannot take it now misses it."""

    def expect(self, ack_id: int, settle: AckCallback) -> None:
        self.expected[ack_id] = settle

    def forget(self, ack_id: int) -> None:
        self.expected.pop(ack_id, None)

    def describe(self) -> dict[str, Any]:
        return {"id": self.id}

    def silence(self) -> None:
        self.silent = True

    def disconnect(self, close: bool = False) -> object:
        self.disconnects.append(close)
        return self

    def __repr__(self) -> str:
        return f"<RecordingPeer {self.id}>"


class RecordingHost:
    """What a namespace gives its adapter; `asked` holds the events of other servers."""

    def __init__(
        self, name: str = "/", recovery: SessionLog | None = None, server_id: str = "0" * 16
    ) -> None:
        self.name = name
        self.server_id = server_id
        self.recovery = recovery
        self.clock = VirtualClock()
        self.schedule = Schedule(self.clock)
        self.encode = partial(DEFAULT_PARSER.encode, EVENT, name)
        self.ack_ids = count(7)
        self.asked: list[tuple[list[Any], Callable[[Any], object] | None]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def server_event(self, event: list[Any], reply: Callable[[Any], object] | None) -> None:
        self.asked.append((event, reply))


class RecordingAnswers:
    """Collects the answers to a broadcast: how many servers were asked, their counts, answers."""

    def __init__(self) -> None:
        self.servers = 0
        self.counts: list[int] = []
        self.settled: list[tuple[list[Any] | None, Exception | None]] = []

    def asked(self, servers: int) -> None:
        self.servers += servers

    def counted(self, recipients: int) -> None:
        assert len(self.counts) < self.servers, "counted before it was asked"
        self.counts.append(recipients)

    def settle(self, args: list[Any] | None, error: Exception | None) -> None:
        self.settled.append((args, error))


def request(
    query: str = "EIO=4&transport=polling",
    *,
    method: str = "GET",
    path: str = "/engine.io/",
    headers: Mapping[str, str] | None = None,
    scheme: str = "http",
    client: tuple[str, int] | None = CLIENT,
) -> Request:
    """A request as an ASGI host describes it."""
    return Request(
        {
            "type": "http",
            "method": method,
            "scheme": scheme,
            "path": path,
            "query_string": query.encode("latin-1"),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in (headers or {}).items()
            ],
            "client": client,
        }
    )


def poll(session: Session, jsonp: str | None = None) -> Answers:
    """A GET of the session."""
    answers = Answers()
    polling(session).poll(session, answers, jsonp)
    return answers


def post(
    session: Session, body: bytes, *, binary: bool = False, jsonp: bool = False
) -> Response | None:
    """A POST of the session, read in one go; `None` if another one was running."""
    transport = polling(session)
    if not transport.start_post(session):
        return None
    steps = transport.post(session, body, binary=binary, jsonp=jsonp)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            response: Response = done.value
            return response


def polling(session: Session) -> PollingTransport:
    """The polling transport of a session that has one."""
    assert isinstance(session.transport, PollingTransport)
    return session.transport


# Type checkers make sure that the doubles are what they stand for.
_respond: Respond = Answers()
_transport: Transport = RecordingTransport()
_peer: Peer = RecordingPeer("")
_host: AdapterHost = RecordingHost()
_answers: AnswersOfBroadcast = RecordingAnswers()
