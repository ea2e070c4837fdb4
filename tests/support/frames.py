"""WebSocket frames, read by the `websockets` library as a client would."""

from __future__ import annotations

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri


def read_frames(data: bytes) -> list[str | bytes]:
    """The messages in what a server has written: whole, unmasked, final frames.

    Raises:
        AssertionError: something else is in the data, or the last frame is cut off.
    """
    protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    protocol.receive_data(data)
    messages: list[str | bytes] = []
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        assert event.fin
        assert (event.rsv1, event.rsv2, event.rsv3) == (False, False, False)
        assert event.opcode in (Opcode.TEXT, Opcode.BINARY), event
        messages.append(
            bytes(event.data).decode() if event.opcode is Opcode.TEXT else bytes(event.data)
        )
    assert protocol.parser_exc is None, protocol.parser_exc
    assert not protocol.reader.buffer, "the last frame is cut off"
    return messages
