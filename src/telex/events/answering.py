"""Acknowledging events of the peer: what both ends send for what a handler has returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .._log import logger, shown
from ..parser.packet import ACK
from ..wire import EncodedPacket
from .dispatch import Dispatch
from .failures import HANDLER_FAILED


class Deliver(Protocol):
    """Queues a packet for the peer."""

    def __call__(self, packet: EncodedPacket, /) -> object: ...


class Answering:
    """Answers events for a socket, which has these attributes."""

    __slots__ = ()

    if TYPE_CHECKING:
        dispatch: Dispatch
        _nsp_name: str
        _encode: Callable[..., EncodedPacket]
        deliver: Deliver

    def answer(self, ack_id: int, result: Any) -> None:
        """Acknowledge an event: with nothing, one value, or a tuple of several."""
        if result is None:
            args: list[Any] = []
        else:
            args = list(result) if result.__class__ is tuple else [result]
        try:
            packet = self._encode(ACK, self._nsp_name, args, ack_id)
        except Exception as error:  # from the user's own `model_dump`, say
            logger.error(
                "what a handler of %s has returned cannot be sent as the acknowledgement",
                shown(self),
                exc_info=error,
            )
            self.dispatch.fire("error", error)
            packet = self._encode(ACK, self._nsp_name, [HANDLER_FAILED], ack_id)
        self.deliver(packet)
