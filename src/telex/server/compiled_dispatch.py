"""The lane of a session: where the compiled part of telex takes the usual events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..codec import json
from ..native import core
from ..parser.default import DEFAULT_PARSER
from ..parser.packet import RESERVED_EVENTS, Parser

if TYPE_CHECKING:
    from .socket import Socket

if core is not None:
    core.configure(
        json.decode, json.encode, json.take_apart, json.OPTIONS, RESERVED_EVENTS, json.STRUCT
    )


def fast_dispatch_of(parser: Parser, socket: Socket | None) -> object:
    """What handles the usual events of a client's socket; ``None``: nothing does.

    Only as long as the socket is connected, and no packet waits for its attachments.
    """
    if core is None or parser is not DEFAULT_PARSER or socket is None or not socket.connected:
        return None
    return socket.dispatch
