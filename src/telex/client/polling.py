"""Long-polling, the client's end: one GET waits, one POST at a time sends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .._log import logger
from ..engine import payload
from ..engine.client_session import ClientSession
from ..engine.packet import CLOSE_PACKET
from ..errors import PacketError, TransportError
from ..wire import EncodedPacket
from .network import MAX_MESSAGE, MAX_REDIRECTS, Answer, Network

if TYPE_CHECKING:
    import aiohttp

GOODBYE_TIMEOUT = 2.0
"""How long the server may take to answer our goodbye, in seconds."""

MAX_BODY = MAX_MESSAGE * 4 // 3 + 65536
"""Largest answer to a poll, in bytes: binary messages come in base64."""

STREAMED = 2**20
"""From this many bytes on a body is written in portions: aiohttp warns of longer bytes."""

_TEXT_TYPE = {"Content-Type": "text/plain;charset=UTF-8"}


class PollingTransport:
    """A session's polling transport."""

    name = "polling"

    def __init__(
        self, session: ClientSession, network: Network, keep: Callable[[asyncio.Task[None]], None]
    ) -> None:
        self.writable = False
        self._session = session
        self._network = network
        self._http: aiohttp.ClientSession | None = None
        self._url = ""
        self._paused: Callable[[], None] | None = None
        self._held: asyncio.Event | None = None
        self._polling = False
        self._ended = False
        self._closes_itself = False
        self._keep = keep
        self._post: asyncio.Task[None] | None = None
        self._poll = asyncio.get_running_loop().create_task(self._run())
        keep(self._poll)

    # -- from the server ----------------------------------------------------------------

    async def _run(self) -> None:
        await self._poll_on()
        if self._closes_itself:
            await self._finish()

    async def _poll_on(self) -> None:
        """Poll until the session pauses or ends."""
        try:
            http = self._http = self._network.http()
        except ValueError as error:
            self._fail("xhr poll error", str(error), error)
            return
        while not self._ended and self._paused is None:
            if self._held is not None:
                await self._held.wait()
                continue
            self._polling = True
            try:
                items = await self._fetch()
            except asyncio.CancelledError:
                await http.close()  # perhaps the loop itself ends
                raise
            finally:
                self._polling = False
            if items is None:
                return
            self._take(items)
        self._stopped()

    async def _fetch(self) -> Iterator[str | bytes] | None:
        """One GET; ``None`` if it failed."""
        sid = self._session.id
        url = self._network.url(self.name, sid)
        network = self._network
        try:
            for _ in range(MAX_REDIRECTS):
                answer = await self._get(url)
                moved = None if sid else network.follow(self.name, url, answer.status, answer.moved)
                if moved is None:
                    break
                url = moved
            else:
                answer = await self._get(url)
        except Exception as error:
            self._fail("xhr poll error", network.cause(error), error)
            return None
        if answer.status != 200:
            if not self._ended:
                self._session.failed(self, network.refusal("xhr poll error", url, answer))
            return None
        body = answer.body
        if self._session.protocol == 4:
            return payload.decode(body)
        if answer.kind == "application/octet-stream":
            return payload.decode3_binary(body)
        try:
            return payload.decode3(body.decode())
        except UnicodeDecodeError as error:
            self._fail("server error", "the payload is not UTF-8", error)
            return None

    async def _get(self, url: str) -> Answer:
        request: Any = self._client().get(
            _raw(url), allow_redirects=False, proxy=self._network.proxy()
        )
        async with request as response:
            return await _read(response)

    def _take(self, items: Iterator[str | bytes]) -> None:
        """Hand on what one answer contained."""
        session = self._session
        opening = session.id is None
        outer, session.corked = session.corked, True
        try:
            for item in items:
                if self._ended:
                    break
                if session.protocol == 3 and isinstance(item, bytes):
                    item = b"\x04" + item  # as over WebSocket
                session.receive(self, item)
        except PacketError as error:
            self._explain(error, opening)
        except Exception as error:
            logger.exception("a message could not be handled; its connection is closed")
            self._fail("server error", self._network.cause(error), error)
        finally:
            if opening and session.id is not None:
                self.writable = True
            if not outer:
                session.flush()
        if opening and session.id is None:
            self._fail("server error", "the first answer has no open packet", None)

    def _explain(self, error: PacketError, opening: bool) -> None:
        hint = ""
        if opening:
            hint = (
                "; a server of Socket.IO 2 wants protocol=4"
                if self._session.protocol == 4
                else "; a server of Socket.IO 3 or 4 wants protocol=5"
            )
        self._fail("server error", f"{error}{hint}", error)

    def _fail(self, message: str, description: Any, context: Any) -> None:
        if not self._ended:
            self._session.failed(self, TransportError(message, description, context))

    def hold(self) -> None:
        """Poll no more until ``release``."""
        if self._held is None:
            self._held = asyncio.Event()

    def release(self) -> None:
        """Poll again."""
        if self._held is not None:
            held, self._held = self._held, None
            held.set()

    # -- to the server --------------------------------------------------------------------

    def send(self, packets: list[EncodedPacket]) -> None:
        """Send a batch in one POST."""
        self.writable = False
        self._post = asyncio.get_running_loop().create_task(self._send(packets))
        self._keep(self._post)

    async def _send(self, packets: list[EncodedPacket]) -> None:
        failure = await self._post_now(packets)
        self._post = None
        if self._ended:
            return
        if failure is not None:
            self._session.failed(self, failure)
            return
        self.writable = True
        if self._paused is None:
            self._session.drained(self)
        self._stopped()

    async def _post_now(self, packets: list[EncodedPacket]) -> TransportError | None:
        """One POST; why it has failed, if it has."""
        if self._session.protocol == 4:
            body = payload.encode(packets)
        else:
            body = payload.encode3(packets, str)
        network = self._network
        url = self._url or network.url(self.name, self._session.id)
        try:
            request: Any = self._client().post(
                _raw(url),
                data=body if len(body) < STREAMED else io.BytesIO(body),
                headers=_TEXT_TYPE,
                allow_redirects=False,
                proxy=network.proxy(),
            )
            async with request as response:
                answer = await _read(response)
            if answer.status != 200:
                return network.refusal("xhr post error", url, answer)
        except Exception as error:
            return TransportError("xhr post error", network.cause(error), error)
        return None

    # -- the end --------------------------------------------------------------------------

    def pause(self, paused: Callable[[], None]) -> None:
        """Stop polling; call back when nothing is under way any more."""
        self._paused = paused
        self.release()
        self._stopped()

    def _stopped(self) -> None:
        if self._paused is not None and not self._polling and self._post is None:
            paused, self._paused = self._paused, _ignore
            paused()

    def unpause(self) -> None:
        """Poll again: the upgrade has failed."""
        self._paused = None
        if not self._ended:
            if self._post is None:
                self.writable = True
            if self._poll.done():
                self._poll = asyncio.get_running_loop().create_task(self._run_again())
                self._keep(self._poll)

    async def _run_again(self) -> None:
        if self._http is not None:
            await self._http.close()
        await self._run()

    def close(self) -> None:
        """Say goodbye, then let go."""
        if not self._ended:
            self._url = self._network.url(self.name, self._session.id)
            self._end(self._goodbye())

    def abandon(self) -> None:
        """Let go without a word."""
        if self._ended:
            return
        if asyncio.current_task() is self._poll:
            self._closes_itself = True  # the loop may be ending: it takes no new tasks then
            self._stop()
        else:
            self._end(self._finish())

    def _stop(self) -> None:
        self._ended = True
        self.writable = False
        self._paused = None
        self.release()

    def _end(self, last: Any) -> None:
        self._stop()
        self._keep(asyncio.get_running_loop().create_task(last))

    async def _goodbye(self) -> None:
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                if self._post is not None:
                    await asyncio.wait([self._post])
                await self._post_now([CLOSE_PACKET])
        except TimeoutError:
            pass
        finally:
            await self._finish()

    async def _finish(self) -> None:
        """Cancel what is under way, and close the connections."""
        me = asyncio.current_task()
        for task in (self._poll, self._post):
            if task is not None and task is not me and not task.done():
                task.cancel()
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("the transport has ended")
        return self._http


async def _read(response: Any) -> Answer:
    """An answer with its body. Raises ``ValueError`` if it is larger than a message may be."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_BODY:
            response.close()
            raise ValueError(f"the answer is larger than {MAX_BODY} bytes")
        parts.append(part)
    moved = response.headers.get("Location", "")
    return Answer(response.status, moved, b"".join(parts), response.content_type)


def _raw(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)


def _ignore() -> None:
    """The pause has been announced."""
