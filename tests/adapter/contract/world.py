"""Three clients: of one server, or of three that a broker joins."""

from __future__ import annotations

import json
import re
from typing import Any

from telex.adapter.base import AdapterHost
from telex.adapter.cluster import ClusterAdapter
from telex.server.socket import Socket
from tests.adapter.contract.loopback import Loopback
from tests.server.scenes import Client, Scene, settle

_ASKED = re.compile(r"2(?:/[^,]*,)?(\d+)\[")


class World:
    """`scenes` are servers, `clients` and `sockets` three of one namespace."""

    def __init__(self, servers: int, request_timeout: float = 5.0, **options: Any) -> None:
        self.broker = Loopback()
        self._request_timeout = request_timeout
        if servers > 1:
            options["adapter"] = self.adapter_for
        self.scenes = [Scene(**options) for _ in range(servers)]
        self.clients: list[Client] = []
        self.sockets: list[Socket] = []

    def adapter_for(self, host: AdapterHost) -> ClusterAdapter:
        """An adapter of one of several servers."""
        return ClusterAdapter(host, self.broker, request_timeout=self._request_timeout)

    async def open(self, nsp: str = "/") -> World:
        for scene in self.scenes:
            scene.core.of(nsp)
        await self.calm()
        for index in range(3):
            client, socket = self.scenes[index % len(self.scenes)].joined(nsp)
            self.clients.append(client)
            self.sockets.append(socket)
        return self

    async def close(self) -> None:
        self.broker.failure = None
        for scene in self.scenes:
            await scene.core.close()

    # -- servers ------------------------------------------------------------------------------

    @property
    def nsp(self) -> Any:
        """The clients' namespace on the first server."""
        return self.sockets[0].nsp

    def nsp_of(self, index: int) -> Any:
        """The clients' namespace on the server of a client."""
        return self.sockets[index].nsp

    @property
    def clustered(self) -> bool:
        return len(self.scenes) > 1

    @property
    def neighbours(self) -> list[int]:
        """The clients of the first server."""
        return [index for index in range(3) if index % len(self.scenes) == 0]

    def node(self, index: int) -> str:
        """The id of a server."""
        [first, *_] = self.adapter(index).nodes
        return str(first)

    def adapter(self, index: int) -> Any:
        """The adapter of the namespace on a server."""
        return self.nsp_of(index).adapter

    async def calm(self) -> None:
        """Let every message arrive, and every answer to it."""
        for _ in range(3):
            await settle()

    async def pass_time(self, seconds: int) -> None:
        """Let time pass on all servers together, and messages arrive meanwhile."""
        for _ in range(seconds):
            for scene in self.scenes:
                scene.pass_time(1)
            await self.calm()

    # -- clients ------------------------------------------------------------------------------

    async def heard(self) -> list[list[Any]]:
        """The events that each client has got, without acknowledgement ids."""
        await self.calm()
        return [[_event(message) for message in client.heard()] for client in self.clients]

    async def answer(self, *answers: Any) -> None:
        """Each client answers what it was asked; `...` keeps silent."""
        await self.calm()
        for client, answer in zip(self.clients, answers, strict=True):
            for message in client.heard():
                asked = _ASKED.match(message) if isinstance(message, str) else None
                if asked and answer is not ...:
                    client.say(f"3{asked[1]}{json.dumps(answer)}")
        await self.calm()


def _event(message: str | bytes) -> Any:
    if isinstance(message, bytes):
        return message
    start = message.find("[")
    return message if start < 0 else json.loads(message[start:])
