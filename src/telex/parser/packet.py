"""Packet types of Socket.IO and the rules that hold for every parser.

Revision 5 belongs to Socket.IO 3 and 4 (Engine.IO 4), revision 4 to 1.x and 2.x
(Engine.IO 3). Type 4 is CONNECT_ERROR in revision 5 and ERROR in revision 4.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..errors import PacketError
from ..wire import EncodedPacket

CONNECT = 0
DISCONNECT = 1
EVENT = 2
ACK = 3
CONNECT_ERROR = 4
BINARY_EVENT = 5
BINARY_ACK = 6

RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that belong to the life cycle: no peer may send them, no user may emit them."""

MAX_NAMESPACE = 255
"""Longest accepted namespace name, in characters."""


Packet = tuple[int, str, int | None, str | None, Any]
"""A decoded packet: type, namespace, ack id, text, data.

``text`` is JSON that has not been decoded yet: whoever wants the payload decodes it
once, where it is needed. If ``text`` is ``None``, ``data`` is the payload. BINARY_EVENT
and BINARY_ACK arrive as EVENT and ACK. (A plain tuple: one is made for every message.)
"""


class Decoder(Protocol):
    """One connection's decoder: it remembers a packet whose attachments are missing."""

    waiting_for: str | None
    """The namespace of a packet that waits for attachments, if there is one."""

    def receive(self, data: str | bytes, pos: int) -> Packet | None:
        """Take one message, from ``pos`` on; the packet it completes, if it does."""
        ...

    def drop(self) -> None:
        """Forget a packet that waits for attachments."""
        ...


class Parser(Protocol):
    """A wire format: both ends of a connection must use the same."""

    def decoder(self, *, max_attachments: int, max_bytes: int) -> Decoder:
        """A decoder for a new connection."""
        ...

    def loads(self, text: str) -> Any:
        """Decode the ``text`` of a packet."""
        ...

    def encode(
        self, kind: int, nsp: str, data: Any = None, ack_id: int | None = None
    ) -> EncodedPacket:
        """Encode a packet; ``data`` of an event or acknowledgement is a list."""
        ...


def event_arguments(data: Any) -> list[Any]:
    """Check the payload of an EVENT: a list that begins with a name a peer may send.

    Numbers are allowed as names, as in the reference (``True`` is not a number here).
    """
    kind = data.__class__
    if kind is not list or not data:
        raise PacketError("invalid payload: an event is a list that begins with its name")
    event: list[Any] = data
    name = event[0]
    if type(name) is str:
        if name in RESERVED_EVENTS:
            raise PacketError(f"invalid payload: {name!r} is a reserved event name")
    elif type(name) not in (int, float):
        raise PacketError("invalid payload: the name of an event must be text")
    return event


def ack_arguments(data: Any) -> list[Any]:
    """Check the payload of an ACK: a list."""
    kind = data.__class__
    if kind is not list:
        raise PacketError("invalid payload: an acknowledgement is a list")
    args: list[Any] = data
    return args


def connect_payload(data: Any) -> dict[str, Any]:
    """Check the payload of a CONNECT from a client: an object, or nothing."""
    if data is None:
        return {}
    kind = data.__class__
    if kind is not dict:
        raise PacketError("invalid payload: CONNECT carries an object or nothing")
    auth: dict[str, Any] = data
    return auth
