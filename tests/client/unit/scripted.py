"""An Engine.IO server that says what a test tells it to, packet by packet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

import telex
from telex import EngineServer

BRISK: dict[str, Any] = {"reconnection_delay": 0.02, "reconnection_delay_max": 0.05}
"""Options of a client that comes back soon."""

Answer = Callable[["Talk", str], None]


class Talk:
    """One connection: what has been heard, and a way to say something."""

    def __init__(self, number: int, socket: Any) -> None:
        self.number = number
        self.heard: list[str] = []
        self._socket = socket

    def say(self, *packets: str) -> None:
        """Send Socket.IO packets."""
        for packet in packets:
            self._socket.send(packet)

    def end(self) -> None:
        """Close the connection."""
        self._socket.close()

    def joins(self) -> int:
        """How many CONNECT packets have come."""
        return sum(packet[:1] == "0" for packet in self.heard)


class Scripted:
    """The server. Without an ``answer`` of the test's own it lets everybody in."""

    def __init__(self, answer: Answer | None = None, **options: Any) -> None:
        self.talks: list[Talk] = []
        self._answer = answer or let_in
        self._server = EngineServer(path="/socket.io", **options)
        self._server.on("connection", self._connected)

    def _connected(self, socket: Any) -> None:
        talk = Talk(len(self.talks), socket)
        self.talks.append(talk)

        def message(data: str) -> None:
            talk.heard.append(data)
            self._answer(talk, data)

        socket.on("message", message)

    async def __aenter__(self) -> Self:
        await self._server.listen(0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def connect(self, **options: Any) -> telex.ClientSocket:
        """A client of its own."""
        given: Any = {"force_new": True, **BRISK, **options}
        return telex.connect(self.url, **given)


def let_in(talk: Talk, packet: str) -> None:
    """Accept who wants to join ``/``."""
    if packet[:1] == "0":
        talk.say(f'0{{"sid":"{talk.number}"}}')


def offset(number: int) -> str:
    """An offset of now, as a server makes it."""
    return f"{time.time_ns() // 1_000_000}-{number}"
