"""A Socket.IO server without network: clients that speak through recording transports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from telex.config import ServerOptions, read
from telex.engine.session import Session
from telex.server.core import Core
from telex.server.socket import Socket
from tests.support.doubles import RecordingTransport, VirtualClock, request


async def settle() -> None:
    """Let everything happen that needs neither time nor input."""
    for _ in range(20):
        await asyncio.sleep(0)


def note(log: list[Any], mark: object) -> Callable[..., None]:
    """A handler that notes that it was called."""

    def handler(*args: Any) -> None:
        log.append(mark)

    return handler


def note_args(log: list[Any]) -> Callable[..., None]:
    """A handler that notes its arguments."""

    def handler(*args: Any) -> None:
        log.append(args)

    return handler


def returns(result: Any) -> Callable[..., Any]:
    """A handler with this answer."""

    def handler(*args: Any) -> Any:
        return result

    return handler


def echo(value: Any) -> Any:
    """A handler that answers with what it was sent."""
    return value


class Client:
    """One client over WebSocket. What is said and heard has no Engine.IO type digit."""

    def __init__(self, core: Core, sid: str, revision: int, headers: dict[str, str]) -> None:
        self.transport = RecordingTransport()
        self.reasons: list[str] = []
        self.revision = revision
        asked = request(
            f"EIO={4 if revision == 5 else 3}&transport=websocket",
            path="/socket.io/",
            headers=headers,
        )
        self.session: Session = core.engine.open(asked, self.transport, sid)
        told = self.session.on_close

        def on_close(session: Session, reason: str) -> None:
            self.reasons.append(reason)
            told(session, reason)

        self.session.on_close = on_close
        opening, *self._early = self.transport.take()
        assert str(opening).startswith("0{")

    def say(self, *messages: str | bytes) -> None:
        """Send Socket.IO messages, as a client does."""
        for message in messages:
            if isinstance(message, str):
                self.session.receive("4" + message)
            else:
                self.session.receive((b"\x04" if self.revision == 4 else b"") + message)

    def heard(self) -> list[str | bytes]:
        """The Socket.IO messages that have come since it was last asked."""
        self.session.flush()
        early, self._early = self._early, []
        return [
            message[1:] if isinstance(message, str) else message
            for message in [*early, *self.transport.take()]
            if not isinstance(message, str) or message[0] == "4"
        ]

    def join(self, namespace: str = "/", auth: object = None) -> str:
        """Join a namespace that lets everybody in; the id of the socket."""
        prefix = "" if namespace == "/" else f"{namespace},"
        self.say(f"0{prefix}{'' if auth is None else json.dumps(auth)}")
        first, *_ = self.heard()
        assert isinstance(first, str)
        assert first.startswith(f"0{prefix}"), first
        return str(json.loads(first.removeprefix(f"0{prefix}"))["sid"])

    @property
    def connected(self) -> bool:
        return not self.transport.closes


class Scene:
    """A server on the running loop; its deadlines follow a virtual clock."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock()
        self.core = Core(read(ServerOptions, options), self.clock)
        self.core.start(asyncio.get_running_loop())
        self.root = self.core.of("/")
        self.log: list[Any] = []
        self._count = 0

    def client(self, *, revision: int = 5, headers: dict[str, str] | None = None) -> Client:
        """A client that has joined nothing yet (revision 4: `/`, without asking)."""
        self._count += 1
        return Client(self.core, f"engine{self._count}", revision, headers or {})

    def joined(self, namespace: str = "/") -> tuple[Client, Socket]:
        """A client with a socket in a namespace."""
        client = self.client()
        sid = client.join(namespace)
        return client, self.core.of(namespace).sockets[sid]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, ticking at every deadline as the owner of the timer does."""
        end = self.clock.now + seconds
        schedule = self.core.engine.schedule
        while (deadline := schedule.next_deadline()) <= end:
            self.clock.now = max(self.clock.now, deadline)
            schedule.tick(self.clock.now)
        self.clock.now = end
