"""A server without network: clients that speak through transports which keep nothing."""

from collections.abc import Sequence

from telex.config import ServerOptions
from telex.engine.session import Session
from telex.server.core import Core
from telex.server.namespace import Namespace
from telex.types import Request
from telex.wire import EncodedPacket


class Sink:
    """A transport whose client reads everything at once; it builds frames, as a real one does."""

    name = "websocket"
    writable = True

    def send(self, packets: list[EncodedPacket]) -> None:
        """Build the frames of what is sent."""
        for packet in packets:
            packet.frames()

    def close(self) -> None:
        """Nothing to end."""

    def pause(self) -> None:
        """Nothing to hold."""

    def resume(self) -> None:
        """Nothing was held."""


class World:
    """A server without a loop, which plain handlers do not need, and its clients."""

    def __init__(self, options: ServerOptions | None = None) -> None:
        self.core = Core(options or ServerOptions())
        self._corked: list[Session] = []
        self.core.engine.cork = self._corked.append

    @property
    def root(self) -> Namespace:
        """The namespace `/`."""
        return self.core.of("/")

    def flush(self) -> None:
        """What the end of a loop's turn does."""
        corked = self._corked[:]
        self._corked.clear()
        for session in corked:
            session.flush()

    def session(self) -> Session:
        """A client that has joined nothing."""
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/socket.io/",
            "query_string": b"EIO=4&transport=websocket",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
        }
        sid = f"session{len(self.core.engine.sessions)}"
        session = self.core.engine.open(Request(scope), Sink(), sid)
        self.flush()
        return session

    def client(self, rooms: Sequence[str] = ()) -> Session:
        """A client that has joined `/` and rooms."""
        session = self.session()
        before = set(self.root.sockets)
        session.receive("40")
        self.flush()
        (sid,) = set(self.root.sockets) - before
        if rooms:
            self.root.sockets[sid].join(list(rooms))
        return session
