"""Which sessions hand their events to the compiled form of a dispatch, where that is there."""

from __future__ import annotations

from ..codec import json
from ..events.dispatch import LONG, LONGEST_NAME, Dispatch
from ..events.handlers import Handler, Handlers
from ..native import core
from ..parser.default import DEFAULT_PARSER, MAX_ACK_DIGITS
from ..parser.packet import RESERVED_EVENTS, Parser
from .socket import Socket

if core is not None:
    core.configure(
        "dispatch",
        loads=json.decode,
        dumps=json.encode,
        dumps_hook=json.take_apart,
        dumps_options=json.OPTIONS,
        struct_type=json.STRUCT,
        reserved=RESERVED_EVENTS,
        max_depth=json.MAX_DEPTH,
        max_ack_digits=MAX_ACK_DIGITS,
        long_text=LONG,
        longest_name=LONGEST_NAME,
        Dispatch=Dispatch,
        Handlers=Handlers,
        Handler=Handler,
        Socket=Socket,
    )


def fast_dispatch_of(parser: Parser, socket: Socket | None) -> object:
    """What handles events of a client's socket without leaving C; ``None``: nothing does.

    Only as long as the socket is connected, and no packet waits for its attachments.
    """
    if core is None or parser is not DEFAULT_PARSER or socket is None or not socket.connected:
        return None
    return socket.dispatch
