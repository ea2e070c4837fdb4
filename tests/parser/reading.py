"""What the server reads in the messages of a client: header, payload, and their rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telex.errors import PacketError
from telex.parser.default import DEFAULT_PARSER
from telex.parser.packet import (
    ACK,
    CONNECT,
    DISCONNECT,
    EVENT,
    Packet,
    ack_arguments,
    connect_payload,
    event_arguments,
)
from tests.support.parsers import SocketIoPacket, Verdict

LIMITS = {"max_attachments": 10, "max_bytes": 1_000_000}


def read(packet: Packet) -> SocketIoPacket:
    """A packet with its payload decoded and checked, as a connection does it."""
    kind, nsp, ack_id, text, data = packet
    payload: Any = data if text is None else DEFAULT_PARSER.loads(text)
    if kind == EVENT:
        event_arguments(payload)
    elif kind == ACK:
        ack_arguments([] if payload is None and text is None else payload)
    elif kind == CONNECT and text is not None:
        connect_payload([] if payload is None else payload)
    elif kind == DISCONNECT and text is not None:
        raise PacketError("invalid payload")
    return kind, nsp, ack_id, payload


def decode(messages: Sequence[str | bytes]) -> Verdict:
    """Decode messages with a new decoder; the first mistake ends it."""
    decoder = DEFAULT_PARSER.decoder(**LIMITS)
    packets: list[SocketIoPacket] = []
    try:
        for message in messages:
            packet = decoder.receive(message, 0)
            if packet is not None:
                packets.append(read(packet))
    except PacketError as error:
        return Verdict(packets, str(error))
    return Verdict(packets, None)


def encode(packet: SocketIoPacket) -> list[str | bytes]:
    """The Socket.IO messages of a packet, without the type of the Engine.IO packet."""
    kind, nsp, ack_id, data = packet
    encoded = DEFAULT_PARSER.encode(kind, nsp, data, ack_id)
    head, *rest = encoded.messages()
    assert isinstance(head, str)
    assert head.startswith("4")
    return [head[1:], *rest]
