"""What servers of a cluster say to each other: Node's ``ClusterMessage``, as plain values.

Every adapter of Node that stands on ``ClusterAdapter`` uses these types and fields; a broker
decides how the values are written. Fields of our own are marked; Node's adapters ignore them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from ..codec import json
from ..errors import EncodeError, PacketError
from ..parser.attachments import restore
from ..parser.packet import EVENT
from .base import BroadcastTarget

EMITTER = "emitter"
"""The ``uid`` of processes that emit to the cluster and belong to no server."""


MAX_TIMEOUT = 24 * 3600 * 1000
"""The longest limit for acknowledgements that another server may set, in milliseconds."""

_NAMES = {str, int, float}


class MessageType(IntEnum):
    """The type of a message."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


class ClusterMessage(NamedTuple):
    """A message of the server ``uid`` about the namespace ``nsp``."""

    uid: str
    nsp: str
    type: MessageType
    data: dict[str, Any]


def to_values(message: ClusterMessage) -> dict[str, Any]:
    """A message as a dict of plain values: text, numbers, bytes, lists and dicts."""
    values: dict[str, Any] = {"uid": message.uid, "nsp": message.nsp, "type": int(message.type)}
    if message.data:
        values["data"] = message.data
    return values


def from_values(values: Any) -> ClusterMessage:
    """The message that a dict of plain values says; ``PacketError`` if it says none."""
    uid, nsp = text(values, "uid"), text(values, "nsp")
    kind, data = _member(values, "type"), _member(values, "data")
    if kind.__class__ is not int or not 1 <= kind <= MessageType.ADAPTER_CLOSE:
        raise PacketError(f"unknown type of cluster message: {kind!r:.20}")
    if data is None:
        data = {}
    elif data.__class__ is not dict:
        raise _wrong("data")
    return ClusterMessage(uid, nsp, MessageType(kind), data)


def snapshot(value: Any) -> Any:
    """A copy of a value as other servers see it; ``EncodeError`` if it cannot be sent.

    It is what a client would see over JSON, with binary data as ``bytes``.
    """
    attachments: list[bytes] = []
    written = json.dumps_with(value, attachments)
    try:
        copy = json.loads(written.decode())
    except PacketError as error:
        raise EncodeError(f"cannot be sent to other servers: {error}") from None
    return restore(copy, attachments) if attachments else copy


def _member(values: Any, field: str) -> Any:
    return values.get(field) if values.__class__ is dict else None


def text(data: Any, field: str) -> str:
    """A field that holds text."""
    value = _member(data, field)
    if not isinstance(value, str):
        raise _wrong(field)
    return value


def texts(data: Any, field: str) -> list[str]:
    """A field that holds a list of text; numbers, which Node allows as rooms, become text."""
    value = _member(data, field)
    if value.__class__ is not list or not _NAMES.issuperset(map(type, value)):
        raise _wrong(field)
    return [item if isinstance(item, str) else f"{item:g}" for item in value]


def number(data: Any, field: str) -> int:
    """A field that holds a whole number from 0 on."""
    value = _member(data, field)
    if value.__class__ is float and value.is_integer():
        value = int(value)
    if value.__class__ is not int or value < 0:
        raise _wrong(field)
    whole: int = value
    return whole


def dicts(data: Any, field: str) -> list[dict[str, Any]]:
    """A field that holds a list of dicts."""
    value = _member(data, field)
    if value.__class__ is not list or not {dict}.issuperset(map(type, value)):
        raise _wrong(field)
    items: list[dict[str, Any]] = value
    return items


def event_of(data: Any, field: str) -> list[Any]:
    """A field that holds a list of an event's name and its arguments."""
    value = _member(data, field)
    if value.__class__ is not list or not value or not isinstance(value[0], str):
        raise _wrong(field)
    event: list[Any] = value
    return event


def options(target: BroadcastTarget, timeout: float | None = None) -> dict[str, Any]:
    """A target as Node's ``opts``; ``timeout`` is the limit for acknowledgements, in seconds."""
    flags: dict[str, Any] = {}
    if target.volatile:
        flags["volatile"] = True
    if not target.compress:
        flags["compress"] = False
    if timeout is not None:
        flags["timeout"] = round(timeout * 1000)
    return {"rooms": sorted(target.rooms or ()), "except": sorted(target.excluded), "flags": flags}


def target_of(data: dict[str, Any]) -> tuple[BroadcastTarget, float | None]:
    """The target in a message's ``opts``, for this server alone, and its limit in seconds."""
    opts = _member(data, "opts")
    rooms, excluded = texts(opts, "rooms"), texts(opts, "except")
    flags = _member(opts, "flags")
    target = BroadcastTarget(
        frozenset(rooms) if rooms else None,
        frozenset(excluded),
        volatile=_member(flags, "volatile") is True,
        local=True,
        compress=_member(flags, "compress") is not False,
    )
    limit = _member(flags, "timeout")
    valid = limit.__class__ in (int, float) and 0 <= limit <= MAX_TIMEOUT
    return target, limit / 1000 if valid else None


def broadcast(
    nsp: str,
    event: list[Any],
    target: BroadcastTarget,
    request_id: str | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """The data of ``BROADCAST``; with a request id, acknowledgements are wanted.

    ``settles`` is a field of ours: recipients that leave without an answer are reported.
    """
    data: dict[str, Any] = {
        "opts": options(target, timeout),
        "packet": {"type": EVENT, "data": event, "nsp": nsp},
    }
    if request_id is not None:
        data |= {"requestId": request_id, "settles": True}
    return data


def broadcast_event(data: dict[str, Any]) -> list[Any]:
    """The event in the data of ``BROADCAST``."""
    return event_of(_member(data, "packet"), "data")


def acknowledgement(request_id: str, args: list[Any] | None) -> dict[str, Any]:
    """The data of ``BROADCAST_ACK``; ``None`` for a recipient that left without an answer.

    Node's messages have room for one argument. ``args`` is a field of ours, for others, and so
    is ``left``.
    """
    data: dict[str, Any] = {"requestId": request_id, "packet": args[0] if args else None}
    if args is None:
        data["left"] = True
    elif len(args) != 1:
        data["args"] = args
    return data


def acknowledged(data: dict[str, Any]) -> list[Any] | None:
    """The arguments in the data of ``BROADCAST_ACK``; ``None`` if the recipient has left."""
    if data.get("left") is True:
        return None
    args = _member(data, "args")
    if args.__class__ is not list:
        return [data.get("packet")]
    several: list[Any] = args
    return several


def _wrong(field: str) -> PacketError:
    return PacketError(f"a cluster message has no valid {field!r}")
