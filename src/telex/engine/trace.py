"""Packets in the log (``telex.packets``, level DEBUG), without what is secret in them."""

from __future__ import annotations

import re

from .._log import packets, shown
from ..wire import EncodedPacket

# Session ids, recovery ids, and what clients prove themselves with.
_OPEN = re.compile(r'("sid":")[^"]*')
_CONNECT = re.compile(r"(40(?:/[^,?{]*)?).*", re.DOTALL)


def told(data: str | bytes) -> str:
    """A packet as it is logged: bounded, escaped; of an open or CONNECT packet only the kind."""
    if not isinstance(data, str):
        return f"binary, {len(data)} bytes"
    if data[:1] == "0":
        data = _OPEN.sub(r"\1…", data)
    elif data[:2] == "40" and len(data) > 2:
        data = _CONNECT.sub(r"\1 …", data)
    return shown(data)


def contents(packet: EncodedPacket) -> list[str | bytes]:
    """The messages of a packet that is about to be sent."""
    text = [] if packet.text is None else [packet.text.decode()]
    return [*text, *packet.attachments]


class PacketLog:
    """Logs every packet of a session."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def received(self, data: str | bytes, binary_prefix: int) -> None:
        """A packet has come."""
        packets.debug("%s: received %s", shown(self._name), shown(told(data)))

    def created(self, packet: EncodedPacket) -> None:
        """A packet is about to be sent."""
        for data in contents(packet):
            packets.debug("%s: sending %s", shown(self._name), shown(told(data)))
