"""Blocking Engine.IO connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Self

from ..client.engine import ClientEngine as AsyncEngine
from ..errors import Disconnected
from ..types import Buffer, TransportView
from .events import BlockingEvents
from .loop import LoopLease
from .work import Work


class ClientEngine(BlockingEvents):
    """One Engine.IO connection, for programs that block (see ``telex.ClientEngine``)."""

    def __init__(self, home: LoopLease, engine: AsyncEngine) -> None:
        self._home = home
        self._engine = self._events = engine
        self._work = Work(home)
        self._kept: deque[str | bytes] = deque()
        self._staying: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<telex.sync.{repr(self._engine).removeprefix('<')[:-1]}>"

    # -- what it is -----------------------------------------------------------------------

    def is_face_of(self, engine: AsyncEngine) -> bool:
        """Whether this is the face of a connection."""
        return self._engine is engine

    @property
    def id(self) -> str | None:
        """The session id; ``None`` while there is no session."""
        return self._engine.id

    @property
    def protocol(self) -> int:
        """The revision of Engine.IO."""
        return self._engine.protocol

    @property
    def ready_state(self) -> str:
        """``opening``, ``open``, ``closing`` or ``closed``."""
        return self._engine.ready_state if self._home.is_here else "closed"

    @property
    def transport(self) -> TransportView | None:
        """The present transport; its ``name`` is ``polling`` or ``websocket``."""
        return self._engine.transport

    # -- life -----------------------------------------------------------------------------

    async def opened(self) -> None:
        """On the loop: wait until the connection is open."""
        try:
            await self._engine
        except BaseException:
            self._engine.close()
            raise

    def close(self) -> Self:
        """Close the connection, and wait until it has gone; what is queued is still sent."""
        if self._home.on_loop:
            self._engine.close()
        elif self._home.is_entered:
            self._home.call(self._leave)
        return self

    async def _leave(self) -> None:
        await self._engine.close()
        if self._staying is not None and not self._work.under_way:
            self._home.leave()

    def wait_closed(self) -> None:
        """Wait until the connection has gone, with all that belongs to it."""
        self._home.call(self._engine.wait_closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._home.is_here:  # and not in a child process that leaves the block, too
            self.close()

    def live_alone(self) -> None:
        """On the loop: no manager keeps this connection; its home is left when it ends."""
        self._home.close = self._farewell
        self._staying = asyncio.get_running_loop().create_task(self._stay())

    async def _stay(self) -> None:
        await self._engine.wait_closed()
        await asyncio.sleep(0)  # handlers that have been called may begin
        while self._work.under_way:
            await asyncio.wait(set(self._work.under_way))
        self._home.leave()

    async def _farewell(self) -> None:
        await self._engine.close()

    # -- messages -------------------------------------------------------------------------

    def send(self, data: str | Buffer) -> None:
        """Send a message, and wait while much is queued before it."""
        self._home.hand_over(lambda: self._engine.send(data))

    def receive(self, timeout: float | None = None) -> str | bytes:
        """The next message that no handler took.

        Raises ``Disconnected`` when the connection has ended, ``TimeoutError`` after
        ``timeout`` seconds.
        """
        return self._home.call(lambda: self._receive(timeout), keep=self._kept.append)

    async def _receive(self, timeout: float | None) -> str | bytes:
        return self._kept.popleft() if self._kept else await self._engine.receive(timeout)

    def __iter__(self) -> Iterator[str | bytes]:
        while True:
            try:
                data = self.receive()
            except Disconnected:
                return
            yield data
