"""Engine.IO and Socket.IO by hand, over the raw client."""

from __future__ import annotations

import json
from typing import Any, Literal, Self, TypeAlias

from tests.support.raw import (
    Answer,
    Connection,
    HeaderLines,
    WebSocket,
    exchange,
    request,
)

Revision: TypeAlias = Literal[3, 4]

SOCKET_IO = "/socket.io/"
ENGINE_IO = "/engine.io/"
SEPARATOR = "\x1e"


def target(transport: str, revision: int = 4, *, path: str = SOCKET_IO, **query: object) -> str:
    """The request target of an Engine.IO request."""
    parts = [f"EIO={revision}", f"transport={transport}"]
    parts += [f"{name}={value}" for name, value in query.items()]
    return f"{path}?{'&'.join(parts)}"


def units(text: str) -> int:
    """JavaScript's `length`."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def payload3(*packets: str) -> str:
    """A string payload of revision 3."""
    return "".join(f"{units(packet)}:{packet}" for packet in packets)


def packets3(payload: str) -> list[str]:
    """The packets of a string payload of revision 3, without characters beyond U+FFFF."""
    packets: list[str] = []
    while payload:
        length, _, rest = payload.partition(":")
        packets.append(rest[: int(length)])
        payload = rest[int(length) :]
    return packets


class Client:
    """What both transports have in common: the open packet."""

    def __init__(self, port: int, revision: Revision, path: str) -> None:
        self.port = port
        self.revision: Revision = revision
        self.path = path
        self.open: dict[str, Any] = {}

    def opened(self, packet: str) -> None:
        assert packet.startswith("0{"), packet
        self.open = json.loads(packet[1:])

    @property
    def sid(self) -> str:
        sid: str = self.open["sid"]
        return sid

    def target(self, transport: str, **query: object) -> str:
        """The target of a further request of this session."""
        return target(transport, self.revision, path=self.path, sid=self.sid, **query)


class PollingClient(Client):
    """A session over polling; every request has a connection of its own."""

    def __init__(
        self,
        port: int,
        revision: Revision = 4,
        *,
        path: str = SOCKET_IO,
        headers: HeaderLines = (),
        **query: object,
    ) -> None:
        super().__init__(port, revision, path)
        self._query = query
        first = target("polling", revision, path=path, **query)
        self.handshake = exchange(port, request("GET", first, headers))
        assert self.handshake.status == 200, self.handshake
        packets = self._packets(self.handshake)
        self.opened(packets.pop(0))
        # Revision 3: the CONNECT of "/" may come with the handshake.
        self._early = packets

    def _packets(self, answer: Answer) -> list[str]:
        assert answer.status == 200, answer
        return answer.text.split(SEPARATOR) if self.revision == 4 else packets3(answer.text)

    def get_request(self, **query: object) -> bytes:
        """The bytes of a poll."""
        return request("GET", self.target("polling", **self._query, **query))

    def post_request(self, body: str | bytes, headers: HeaderLines = ()) -> bytes:
        """The bytes of a POST."""
        data = body.encode() if isinstance(body, str) else body
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers = [("Content-Type", "text/plain;charset=UTF-8"), *headers]
        return request("POST", self.target("polling", **self._query), headers, data)

    def get(self) -> Answer:
        """Poll."""
        return exchange(self.port, self.get_request())

    def post(self, body: str | bytes, headers: HeaderLines = ()) -> Answer:
        """Send a payload as it is."""
        return exchange(self.port, self.post_request(body, headers))

    def say(self, *packets: str) -> None:
        """Send packets in one payload, which the server must accept."""
        body = SEPARATOR.join(packets) if self.revision == 4 else payload3(*packets)
        answer = self.post(body)
        assert (answer.status, answer.body) == (200, b"ok"), answer

    def packets(self) -> list[str]:
        """Poll; the packets that came, of which there must be one at least."""
        if self._early:
            early, self._early = self._early, []
            return early
        return self._packets(self.get())

    def several(self, count: int) -> list[str]:
        """Poll until so many packets have come."""
        packets: list[str] = []
        while len(packets) < count:
            packets += self.packets()
        assert len(packets) == count, packets
        return packets

    def waiting(self) -> Connection:
        """A connection with a poll on it that waits for its answer."""
        connection = Connection(self.port)
        connection.send(self.get_request())
        assert connection.silent()
        return connection

    def connect(self, nsp: str = "/", auth: str = "") -> str:
        """Join a namespace; the socket's id. In revision 3 the client is in `/` by itself."""
        if self.revision == 3 and nsp == "/":
            assert self.packets() == ["40"]
            return self.sid
        name = "" if nsp == "/" else nsp + ","
        self.say(f"40{name}{auth}")
        return socket_id(self.packets()[0], nsp)

    def gone(self) -> bool:
        """Whether the session is not known any more."""
        return is_unknown_sid(self.get())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the session, if it has not ended."""
        exchange(self.port, self.post_request("1" if self.revision == 4 else "1:1"))


class MessageClient(Client):
    """A session over an open WebSocket."""

    def __init__(self, port: int, revision: Revision, path: str, websocket: WebSocket) -> None:
        super().__init__(port, revision, path)
        self.websocket = websocket

    def send(self, *texts: str) -> None:
        """Send text messages, all in one segment."""
        self.websocket.send_text(*texts)

    def message(self) -> str | bytes:
        """The next message."""
        return self.websocket.message()

    def text(self) -> str:
        """The next message, which must be text."""
        return self.websocket.texts(1)[0]

    def connect(self, nsp: str = "/", auth: str = "") -> str:
        """Join a namespace; the socket's id. In revision 3 the client is in `/` by itself."""
        if self.revision == 3 and nsp == "/":
            assert self.text() == "40"
            return self.sid
        name = "" if nsp == "/" else nsp + ","
        self.send(f"40{name}{auth}")
        return socket_id(self.text(), nsp)

    def echoes(self) -> bool:
        """Whether the session still does its work."""
        self.send('42["echo","still here"]')
        return self.message() == '42["echo","still here"]'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.websocket.connection.close()


class WebSocketClient(MessageClient):
    """A session over WebSocket from the start; `glued` travels in the segment of its request."""

    def __init__(
        self,
        port: int,
        revision: Revision = 4,
        *,
        path: str = SOCKET_IO,
        headers: HeaderLines = (),
        glued: bytes = b"",
        **query: object,
    ) -> None:
        first = target("websocket", revision, path=path, **query)
        websocket = WebSocket(port, first, headers, glued=glued)
        super().__init__(port, revision, path, websocket)
        self.opened(self.text())


def start_upgrade(polling: PollingClient) -> MessageClient:
    """Open a WebSocket beside a polling session, which has not said anything yet."""
    websocket = WebSocket(polling.port, polling.target("websocket"))
    client = MessageClient(polling.port, polling.revision, polling.path, websocket)
    client.open = polling.open
    return client


def upgrade(polling: PollingClient) -> MessageClient:
    """Move a session to WebSocket, as a client does that has no poll pending."""
    client = start_upgrade(polling)
    client.send("2probe")
    assert client.text() == "3probe"
    client.send("5")
    return client


def socket_id(packet: str, nsp: str = "/") -> str:
    """The id in the answer to CONNECT."""
    name = "" if nsp == "/" else nsp + ","
    assert packet.startswith(f"40{name}{{"), packet
    data = json.loads(packet.removeprefix(f"40{name}"))
    assert list(data) == ["sid"], data
    sid: str = data["sid"]
    return sid


ERRORS = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)


def is_error(answer: Answer, code: int, message: str | None = None) -> bool:
    """Whether an answer is one of the engine's errors, exactly."""
    text = ERRORS[code] if message is None else message
    body = json.dumps({"code": code, "message": text}, separators=(",", ":")).encode()
    return (
        answer.status == (403 if code == 4 else 400)
        and answer.content_type == "application/json"
        and answer.body == body
    )


def is_unknown_sid(answer: Answer) -> bool:
    """Whether an answer says that there is no such session."""
    return is_error(answer, 1)
