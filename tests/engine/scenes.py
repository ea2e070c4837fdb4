"""Engines and sessions for tests: a virtual clock, no network, no loop."""

from __future__ import annotations

from typing import Any

from telex.config import EngineOptions
from telex.engine.engine import Engine
from telex.engine.session import Session
from tests.support.doubles import RecordingTransport, VirtualClock, request


class Scene:
    """An engine, and what its sessions have told the floor above."""

    def __init__(self, *, json_text: bool = True, **options: Any) -> None:
        self.clock = VirtualClock()
        self.engine = Engine(EngineOptions(**options), self.clock, json_text=json_text)
        self.engine.on_session = self._listen
        self.messages: list[str | bytes] = []
        self.closes: list[tuple[Session, str]] = []
        self.count = 0

    def _listen(self, session: Session) -> None:
        def on_message(data: str | bytes, pos: int) -> None:
            self.messages.append(data[pos:])

        session.on_message = on_message
        session.on_close = lambda ended, reason: self.closes.append((ended, reason))

    def _sid(self) -> str:
        self.count += 1
        return f"sid{self.count}"

    def open_polling(self, query: str = "EIO=4") -> Session:
        """A session whose client has not fetched the open packet yet."""
        asked = request(f"{query}&transport=polling")
        session, _ = self.engine.open_polling(asked, self._sid())
        return session

    def open_websocket(self, query: str = "EIO=4") -> tuple[Session, RecordingTransport]:
        """A session over WebSocket whose client has received the open packet."""
        transport = RecordingTransport()
        asked = request(f"{query}&transport=websocket")
        session = self.engine.open(asked, transport, self._sid())
        transport.take()
        return session, transport

    def pass_time(self, seconds: float) -> None:
        """Let time pass, ticking at every deadline as the owner of the timer does."""
        end = self.clock.now + seconds
        while (deadline := self.engine.schedule.next_deadline()) <= end:
            self.clock.now = max(self.clock.now, deadline)
            self.engine.schedule.tick(self.clock.now)
        self.clock.now = end

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason in self.closes]

    @property
    def deadlines(self) -> int:
        return self.engine.schedule.pending()
