"""A broker in this process: messages become bytes, and arrive in a later turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from telex.adapter.broker import Broker
from telex.adapter.messages import ClusterMessage, MessageType, from_values, to_values

OnMessage = Callable[[ClusterMessage], object]


class Loopback:
    """Joins the servers that it is given to. Each receives its own messages, too.

    `cut` holds the ids of servers whose messages get lost, in both directions. While `failure` is
    set, nothing is taken; while `open` is not, everything waits. `log` keeps what was published.
    """

    def __init__(self) -> None:
        self.cut: set[str] = set()
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.log: list[ClusterMessage] = []
        self._receivers: dict[tuple[str, str], OnMessage] = {}

    async def start(self, nsp: str, node: str, on_message: OnMessage) -> None:
        if self.failure is not None:
            raise self.failure
        self._receivers[nsp, node] = on_message

    async def publish(self, message: ClusterMessage) -> None:
        await self._take(message)
        for nsp, node in list(self._receivers):
            if nsp == message.nsp:
                self._carry(message, node)

    async def publish_response(self, node: str, message: ClusterMessage) -> None:
        await self._take(message)
        self._carry(message, node)

    async def _take(self, message: ClusterMessage) -> None:
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.log.append(message)

    def _carry(self, message: ClusterMessage, node: str) -> None:
        data = msgspec.msgpack.encode(to_values(message))
        if self.cut.isdisjoint((message.uid, node)):
            asyncio.get_running_loop().call_soon(self._arrive, message.nsp, node, data)

    def _arrive(self, nsp: str, node: str, data: bytes) -> None:
        receive = self._receivers.get((nsp, node))
        if receive is not None:
            receive(from_values(msgspec.msgpack.decode(data)))

    async def close(self, nsp: str, node: str) -> None:
        self._receivers.pop((nsp, node), None)

    def inject(self, message: ClusterMessage) -> None:
        """A message of a process that is not in the test."""
        for nsp, node in list(self._receivers):
            if nsp == message.nsp:
                self._carry(message, node)

    def kinds(self) -> list[MessageType]:
        """The types of what was published since it was last asked."""
        log, self.log = self.log, []
        return [message.type for message in log]


_broker: Broker = Loopback()
