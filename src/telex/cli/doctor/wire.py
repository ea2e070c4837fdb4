"""Raw Engine.IO for the doctor: single requests and frames, nothing hidden, nothing repeated."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Self, cast

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ...engine import payload
from ...engine.handshake import MESSAGES
from ...errors import PacketError
from ..place import Place

LARGEST_BODY = 256 * 1024
"""No more of an answer is read."""


class NoAnswer(Exception):
    """A request that was not answered; the message says what happened instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whatever it says; ``seconds`` from the request to the last byte."""

    url: str
    status: int
    headers: CIMultiDict[str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_html(self) -> bool:
        """Whether this is a page rather than an answer of an engine."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        start = self.body[:200].lstrip().lower()
        return kind == "text/html" and self.body != b"ok" and start.startswith((b"<!doc", b"<html"))

    @property
    def excerpt(self) -> str:
        """The beginning of the body, on one line."""
        words = " ".join("".join(c if c.isprintable() else " " for c in self.text[:400]).split())
        return words[:117] + "…" if len(words) > 118 else words

    @property
    def refusal(self) -> Refusal | None:
        """What an engine says that refuses a request, or ``None`` if no engine speaks."""
        try:
            said: Any = json.loads(self.body)
        except (ValueError, RecursionError):
            if self.status in (400, 403) and self.text in MESSAGES:  # Node's, to a WebSocket
                return Refusal(MESSAGES.index(self.text), self.text)
            return None
        if isinstance(said, str) and self.status in (400, 401):  # python-engineio
            return Refusal.worded(said)
        known = as_object(said)
        code, message = known.get("code"), known.get("message")
        if isinstance(code, int) and isinstance(message, str):
            return Refusal(code, message)
        return None

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies it sets."""
        cookies = SimpleCookie()
        for line in self.headers.getall("set-cookie", []):
            try:
                cookies.load(line)
            except CookieError:  # browsers drop it, too
                pass
        return cookies


@dataclass(frozen=True, slots=True)
class Refusal:
    """Engine.IO's answer to a request that is not served. ``code`` is -1 if only words came."""

    code: int
    message: str

    @classmethod
    def worded(cls, message: str) -> Self:
        """From the words of python-engineio, which sends no codes."""
        for start, code in (
            ("Invalid transport", 0),
            ("Invalid session", 1),
            ("The client is using an unsupported version", 5),
            ("Not an accepted origin", 4),
            ("Invalid websocket upgrade", 3),
        ):
            if message.startswith(start):
                return cls(code, message)
        return cls(-1, message)


@dataclass(frozen=True, slots=True)
class Open:
    """The open packet of a session; durations in seconds. ``rest`` came in the same answer."""

    revision: int
    sid: str
    upgrades: list[str]
    ping_interval: float
    ping_timeout: float
    max_payload: int | None
    rest: list[str]


@dataclass(slots=True)
class Visitor:
    """A client of the doctor's own: its cookies and its connections.

    ``fresh`` opens a new connection for every request, as balancers may see many at a time.
    """

    place: Place
    headers: Mapping[str, str]
    tls: ssl.SSLContext | bool
    timeout: float
    fresh: bool = False
    cookies: bool = True
    revision: int = 4
    proxy: str | None = None
    _http: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        jar = aiohttp.CookieJar(unsafe=True) if self.cookies else aiohttp.DummyCookieJar()
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=self.fresh, ssl=self.tls),
            cookie_jar=jar,
            timeout=aiohttp.ClientTimeout(total=self.timeout),
            headers={"Accept": "*/*", "User-Agent": "telex doctor", **self.headers},
            max_line_size=32768,
            max_field_size=32768,
            proxy=self.proxy,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def engine(self, transport: str, sid: str | None = None, **more: str) -> str:
        """The address of a request of the engine, at this visitor's revision."""
        query = {"EIO": str(self.revision), "transport": transport}
        if self.revision == 3 and transport == "polling":
            query["b64"] = "1"
        if sid is not None:
            query["sid"] = sid
        return self.place.url({**query, **more})

    async def request(
        self,
        method: str,
        url: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Ask once; redirects are not followed.

        Raises:
            NoAnswer: nothing that is HTTP came.
        """
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "text/plain;charset=UTF-8"
        started = time.monotonic()
        with _reasons(timeout or self.timeout):
            async with self._http.request(
                method,
                URL(url, encoded=True),
                data=None if body is None else body.encode(),
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout or self.timeout),
            ) as response:
                data = bytearray()
                async for chunk in response.content.iter_chunked(16384):
                    data += chunk
                    if len(data) > LARGEST_BODY:
                        break
                seconds = time.monotonic() - started
                found = CIMultiDict(response.headers)
                return Answer(url, response.status, found, bytes(data), seconds)

    async def handshake(self, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for a new polling session."""
        return await self.request("GET", self.engine("polling"), headers=headers)

    async def post(self, sid: str, packet: str) -> Answer:
        """Send one packet over polling."""
        body = f"{len(packet)}:{packet}" if self.revision == 3 else packet
        return await self.request("POST", self.engine("polling", sid), body)

    async def poll(self, sid: str, timeout: float | None = None) -> Answer:
        """Wait for packets over polling."""
        return await self.request("GET", self.engine("polling", sid), timeout=timeout)

    def heartbeat(self) -> str:
        """A packet that a client may send at any time and that no application sees."""
        return "2" if self.revision == 3 else "3"

    async def leave(self, sid: str) -> None:
        """End a polling session; what comes of it does not matter."""
        try:
            await self.post(sid, "1")
        except NoAnswer:
            pass

    async def websocket(
        self, sid: str | None = None, headers: Mapping[str, str] | None = None
    ) -> WebSocket:
        """Open a WebSocket.

        Raises:
            NotOpened: it was answered otherwise.
            NoAnswer: it was not answered at all.
        """
        url = self.engine("websocket", sid)
        try:
            with _reasons(self.timeout):
                async with asyncio.timeout(self.timeout):
                    socket = await self._http.ws_connect(
                        URL(url, encoded=True),
                        headers=headers,
                        autoping=False,
                        compress=15,
                        max_msg_size=LARGEST_BODY * 8,
                    )
        except aiohttp.WSServerHandshakeError as error:
            answer = await self._asked_again(url, headers)
            if answer is None or answer.status != error.status:
                fields = CIMultiDict(error.headers or {})
                answer = Answer(url, error.status, fields, b"", 0.0)
            raise NotOpened(answer, error.message) from None
        return WebSocket(socket)

    async def _asked_again(self, url: str, headers: Mapping[str, str] | None) -> Answer | None:
        """The same request once more, for its body: aiohttp does not show it."""
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGVsZXggZG9jdG9yIGFza3M=",
        }
        try:
            return await self.request("GET", url, headers={**(headers or {}), **wanted})
        except NoAnswer:
            return None


class NotOpened(Exception):
    """A WebSocket handshake that was answered with ``answer``; ``detail`` says what is wrong."""

    def __init__(self, answer: Answer, detail: str) -> None:
        super().__init__(detail)
        self.answer = answer
        self.detail = detail


class Closed(Exception):
    """A WebSocket that was closed by the other side."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"closed with code {code}" + (f" ({reason})" if reason else ""))
        self.code = code


class WebSocket:
    """A WebSocket that was opened; ``compressed`` if messages may be."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.compressed = bool(socket.compress)
        response: aiohttp.ClientResponse = socket._response  # pyright: ignore[reportPrivateUsage]
        self.headers = CIMultiDict(response.headers)

    async def send(self, text: str) -> None:
        """Send a text frame.

        Raises:
            Closed: the other side has closed.
        """
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError):
            raise Closed(self._socket.close_code, "") from None

    async def send_binary(self, data: bytes) -> None:
        """Send a binary frame."""
        try:
            await self._socket.send_bytes(data)
        except (aiohttp.ClientError, OSError):
            raise Closed(self._socket.close_code, "") from None

    async def receive(self, timeout: float) -> str | bytes:
        """The next message.

        Raises:
            TimeoutError: none came.
            Closed: the other side has closed.
        """
        async with asyncio.timeout(timeout):
            while True:
                message: Any = await self._socket.receive()
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    data: str | bytes = message.data
                    return data
                if message.type == aiohttp.WSMsgType.PING:
                    await self._socket.pong(message.data)
                elif message.type != aiohttp.WSMsgType.PONG:
                    reason = message.extra if isinstance(message.extra, str) else ""
                    raise Closed(self._socket.close_code, reason)

    async def ping(self, timeout: float) -> float:
        """The seconds that a WebSocket ping takes to come back."""
        started = time.monotonic()
        await self._socket.ping(b"telex")
        async with asyncio.timeout(timeout):
            while True:
                message: Any = await self._socket.receive()
                if message.type == aiohttp.WSMsgType.PONG:
                    return time.monotonic() - started
                if message.type == aiohttp.WSMsgType.PING:
                    await self._socket.pong(message.data)
                elif message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    raise Closed(self._socket.close_code, "")

    async def close(self) -> None:
        """Close it; what comes of it does not matter."""
        try:
            async with asyncio.timeout(2):
                await self._socket.close()
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass


def read_packets(answer: Answer, revision: int) -> list[str]:
    """The text packets of a polling answer; none if it is no payload."""
    try:
        if revision == 4:
            found = list(payload.decode(answer.body))
        elif answer.headers.get("content-type", "").startswith("application/octet-stream"):
            found = list(payload.decode3_binary(answer.body))
        else:
            found = list(payload.decode3(answer.body.decode()))
    except (PacketError, UnicodeDecodeError):
        return []
    return [packet for packet in found if isinstance(packet, str)]


def read_open(answer: Answer) -> Open | None:
    """The open packet in the answer to a handshake, in the form of either revision."""
    if answer.status != 200:
        return None
    for revision in (4, 3):
        packets = read_packets(answer, revision)
        opened = parse_open(packets[0], revision, packets[1:]) if packets else None
        if opened is not None:
            return opened
    return None


def parse_open(packet: str | bytes, revision: int, rest: list[str]) -> Open | None:
    """An open packet, or ``None`` if it is none."""
    if not isinstance(packet, str) or packet[:1] != "0":
        return None
    try:
        data: Any = json.loads(packet[1:])
        known = as_object(data)
        size = known.get("maxPayload")
        return Open(
            revision,
            str(known["sid"]),
            [str(name) for name in known.get("upgrades", [])],
            float(known["pingInterval"]) / 1000,
            float(known["pingTimeout"]) / 1000,
            int(size) if isinstance(size, int) else None,
            rest,
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one if it is something else."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


@contextmanager
def _reasons(seconds: float) -> Generator[None]:
    """Say in words why nothing was answered."""
    try:
        yield
    except TimeoutError:
        raise NoAnswer(f"no answer within {seconds:g} s") from None
    except aiohttp.WSServerHandshakeError:
        raise
    except aiohttp.ServerDisconnectedError:
        raise NoAnswer("the connection was closed without an answer") from None
    except aiohttp.ClientResponseError as error:
        raise NoAnswer(f"what came is not HTTP ({error.message.splitlines()[0]})") from None
    except (aiohttp.ClientError, OSError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from None
