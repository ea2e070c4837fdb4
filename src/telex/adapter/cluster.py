"""The rooms of a namespace on several servers: a local adapter, and a broker between servers.

A call takes effect on this server at once, and is published; every other server does the same
with its own sockets, in the order of publication. Messages are those of Node's
``ClusterAdapterWithHeartbeat`` (``messages``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from secrets import token_hex
from typing import Any

from .._log import logger, shown
from ..errors import EncodeError, PacketError
from ..loop.results import DONE, all_of
from . import messages
from .base import AdapterHost, Answers, BroadcastTarget, Peer
from .broker import Broker
from .members import HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, Members
from .memory import InMemoryAdapter
from .messages import EMITTER, ClusterMessage, MessageType
from .publications import Publications
from .requests import Collection, RemoteAnswers, Request

REQUEST_TIMEOUT = 5.0
"""How long other servers may take to describe their sockets, in seconds."""


class ClusterAdapter:
    """The adapter of a namespace that has sockets on several servers.

    ::

        io = Server(adapter=lambda host: ClusterAdapter(host, broker))

    Durations are seconds. Sessions for recovery are those of the local adapter: a client finds its
    session on the server where it was.
    """

    def __init__(
        self,
        host: AdapterHost,
        broker: Broker,
        *,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
        request_timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        self._local = InMemoryAdapter(host)
        self.sessions = self._local.sessions
        self._host = host
        self._broker = broker
        self._intervals = heartbeat_interval, heartbeat_timeout
        self._publications = Publications(self._send)
        self._members: Members | None = None
        self._requests: dict[str, Request] = {}
        self._collections: dict[str, Collection] = {}
        self._answering: set[RemoteAnswers] = set()
        self._request_timeout = request_timeout

    # -- rooms: each server has those of its own sockets -------------------------------------

    def add(self, peer: Peer) -> None:
        """A socket has been accepted."""
        self._local.add(peer)

    def remove(self, sid: str) -> None:
        """A socket has gone: it leaves all its rooms."""
        self._local.remove(sid)

    def join(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Add a socket of this server to rooms."""
        return self._local.join(sid, rooms)

    def leave(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Take a socket of this server out of rooms."""
        return self._local.leave(sid, rooms)

    def rooms_of(self, sid: str) -> AbstractSet[str]:
        """The rooms of a socket of this server."""
        return self._local.rooms_of(sid)

    def rooms(self) -> dict[str, set[str]]:
        """Every room with those of its members that are on this server."""
        return self._local.rooms()

    # -- broadcasts ------------------------------------------------------------------------------

    def broadcast(self, event: list[Any], target: BroadcastTarget) -> Awaitable[None]:
        """Emit an event to every socket that the target reaches, on all servers."""
        if not _is_published(target):
            return self._local.broadcast(event, target)
        data = messages.broadcast(self._host.name, messages.snapshot(event), target)
        self._local.broadcast(event, target)
        return self._publish(MessageType.BROADCAST, data)

    def broadcast_with_ack(
        self, event: list[Any], target: BroadcastTarget, timeout: float, answers: Answers
    ) -> Callable[[], None]:
        """As ``broadcast``; answers come from the sockets of all servers.

        A server that leaves meanwhile is not waited for.
        """
        if not _is_published(target):
            return self._local.broadcast_with_ack(event, target, timeout, answers)
        request_id, nodes, nsp = token_hex(8), self.nodes[1:], self._host.name
        copy = messages.snapshot(event)
        collection = Collection(answers, nodes)
        stop_local = self._local.broadcast_with_ack(event, target, timeout, answers)
        if nodes:
            self._collections[request_id] = collection
        data = messages.broadcast(nsp, copy, target, request_id, timeout)
        self._publish(MessageType.BROADCAST, data)

        def stop() -> None:
            stop_local()
            self._collections.pop(request_id, None)

        return stop

    async def fetch(self, target: BroadcastTarget) -> list[dict[str, Any]]:
        """Descriptions of the sockets that the target reaches, on all servers.

        Raises ``ClusterTimeout``, whose ``responses`` are the descriptions that came.
        """
        found = await self._local.fetch(target)
        if not _is_published(target) or not self.nodes[1:]:
            return found
        data = {"opts": messages.options(target)}
        return await self._ask(MessageType.FETCH_SOCKETS, data, self._request_timeout, found)

    async def count(self, target: BroadcastTarget) -> int:
        """How many sockets the target reaches, on all servers."""
        return len(await self.fetch(target))

    def join_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Add the sockets that the target reaches to rooms, on all servers."""
        names = list(rooms)
        published = self._publish_for(MessageType.SOCKETS_JOIN, target, {"rooms": names})
        self._local.join_all(target, names)
        return published

    def leave_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Take the sockets that the target reaches out of rooms, on all servers."""
        names = list(rooms)
        published = self._publish_for(MessageType.SOCKETS_LEAVE, target, {"rooms": names})
        self._local.leave_all(target, names)
        return published

    def disconnect_all(self, target: BroadcastTarget, *, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the target reaches, on all servers."""
        published = self._publish_for(MessageType.DISCONNECT_SOCKETS, target, {"close": close})
        return all_of([self._local.disconnect_all(target, close=close), published])

    def _publish_for(
        self, kind: MessageType, target: BroadcastTarget, data: dict[str, Any]
    ) -> Awaitable[None]:
        if not _is_published(target):
            return DONE
        return self._publish(kind, {"opts": messages.options(target), **data})

    # -- servers -----------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[str]:
        """The ids of the servers that have the namespace, as far as they are known; ours first."""
        return [self._host.server_id, *(self._members or ())]

    @property
    def pending(self) -> int:
        """How many messages wait for the broker."""
        return self._publications.pending

    @property
    def lost(self) -> int:
        """How many messages the broker has not taken."""
        return self._publications.lost

    async def server_count(self) -> int:
        """How many servers have the namespace, this one included."""
        return len(self.nodes)

    def server_side_emit(self, event: list[Any]) -> Awaitable[None]:
        """Emit an event to the other servers."""
        return self._publish(MessageType.SERVER_SIDE_EMIT, {"packet": messages.snapshot(event)})

    async def server_side_emit_with_ack(self, event: list[Any], timeout: float) -> list[Any]:
        """Emit an event to the other servers and collect one answer of each.

        A server that leaves meanwhile is not waited for. Raises ``ClusterTimeout``.
        """
        data = {"packet": messages.snapshot(event)}
        return await self._ask(MessageType.SERVER_SIDE_EMIT, data, timeout, [])

    # -- requests -------------------------------------------------------------------------------

    async def _ask(
        self, kind: MessageType, data: dict[str, Any], timeout: float, found: list[Any]
    ) -> list[Any]:
        """Ask the other servers; their responses are added to what this one has ``found``."""
        loop, request_id = self._host.loop, token_hex(8)
        request = self._requests[request_id] = Request(self.nodes[1:], found, loop)
        self._publish(kind, {**data, "requestId": request_id})
        expiry = loop.call_later(timeout, request.expire)
        try:
            return await request.answered
        finally:
            expiry.cancel()
            del self._requests[request_id]

    def _left(self, uid: str) -> None:
        """A server has gone: it is not waited for, and its requests need no answer."""
        for request in list(self._requests.values()):
            request.leave(uid)
        for request_id, collection in list(self._collections.items()):
            collection.leave(uid)
            self._forget_collected(request_id, collection)
        for answers in [each for each in self._answering if each.node == uid]:
            answers.stop()

    # -- publishing -----------------------------------------------------------------------------

    def _message(self, kind: MessageType, data: dict[str, Any] | None = None) -> ClusterMessage:
        return ClusterMessage(self._host.server_id, self._host.name, kind, data or {})

    def _publish(self, kind: MessageType, data: dict[str, Any] | None = None) -> Awaitable[None]:
        if self._members is not None:
            self._members.published()
        return self._publications.publish(self._message(kind, data))

    def _respond(self, node: str, kind: MessageType, data: dict[str, Any]) -> None:
        self._publications.publish(self._message(kind, data), node)

    async def _send(self, message: ClusterMessage, node: str | None) -> None:
        if node is None:
            await self._broker.publish(message)
        else:
            await self._broker.publish_response(node, message)

    # -- life --------------------------------------------------------------------------------------

    def start(self) -> Awaitable[None]:
        """Receive from the broker, and say that this server is there."""
        self._publications.hold()  # from now on, not from the coroutine's first step
        return self._begin()

    async def _begin(self) -> None:
        host, (interval, timeout) = self._host, self._intervals
        self._members = Members(
            host.schedule,
            lambda: self._publish(MessageType.HEARTBEAT),
            self._left,
            interval=interval,
            timeout=timeout,
        )
        try:
            await self._broker.start(host.name, host.server_id, self._receive)
        except Exception as error:
            self._publications.fail(error)
            raise
        self._publications.begin(host.loop, self._message(MessageType.INITIAL_HEARTBEAT))
        self._members.published()

    async def close(self) -> None:
        """Publish what waits, tell the other servers, and receive nothing any more."""
        members, self._members = self._members, None
        if members is None:
            return
        members.close()
        for request in list(self._requests.values()):
            request.close()
        for answers in list(self._answering):
            answers.stop()
        self._publications.publish(self._message(MessageType.ADAPTER_CLOSE))
        await self._publications.close()
        await self._broker.close(self._host.name, self._host.server_id)

    # -- what other servers say -----------------------------------------------------------------

    def _receive(self, message: ClusterMessage) -> None:
        if message.uid == self._host.server_id or message.nsp != self._host.name:
            return
        members = self._members
        if members is None:
            return
        if message.uid != EMITTER and message.type is not MessageType.ADAPTER_CLOSE:
            members.heard(message.uid)
        try:
            _HANDLERS[message.type](self, message)
        except (PacketError, EncodeError) as error:
            logger.warning("a message of another server has no effect: %s", shown(error))
        except Exception as error:
            logger.error("a message of another server could not be handled", exc_info=error)

    def on_initial_heartbeat(self, message: ClusterMessage) -> None:
        """A server has begun: show it that this one is there."""
        self._publish(MessageType.HEARTBEAT)

    def on_heartbeat(self, message: ClusterMessage) -> None:
        """A server is there; every message of a server says so."""

    def on_close(self, message: ClusterMessage) -> None:
        """A server ends."""
        if self._members is not None:
            self._members.leave(message.uid)

    def on_broadcast(self, message: ClusterMessage) -> None:
        """Emit an event to the sockets of this server."""
        event = messages.broadcast_event(message.data)
        target, timeout = messages.target_of(message.data)
        if "requestId" not in message.data:
            self._local.broadcast(event, target)
            return
        answers = RemoteAnswers(
            message.uid,
            messages.text(message.data, "requestId"),
            self._respond,
            tells_departures=message.data.get("settles") is True,
        )
        timeout = REQUEST_TIMEOUT if timeout is None else timeout
        stop = self._local.broadcast_with_ack(event, target, timeout, answers)
        self._answering.add(answers)
        answers.begin(stop, self._host.loop, timeout, self._answering.discard)

    def on_join(self, message: ClusterMessage) -> None:
        """Add sockets of this server to rooms."""
        target, _ = messages.target_of(message.data)
        self._local.join_all(target, messages.texts(message.data, "rooms"))

    def on_leave(self, message: ClusterMessage) -> None:
        """Take sockets of this server out of rooms."""
        target, _ = messages.target_of(message.data)
        self._local.leave_all(target, messages.texts(message.data, "rooms"))

    def on_disconnect(self, message: ClusterMessage) -> None:
        """Disconnect sockets of this server."""
        target, _ = messages.target_of(message.data)
        self._local.disconnect_all(target, close=message.data.get("close") is True)

    def on_fetch(self, message: ClusterMessage) -> None:
        """Describe sockets of this server."""
        request_id = messages.text(message.data, "requestId")
        target, _ = messages.target_of(message.data)
        sockets = [_described(peer) for peer in self._local.peers(target)]
        data = {"requestId": request_id, "sockets": sockets}
        self._respond(message.uid, MessageType.FETCH_SOCKETS_RESPONSE, data)

    def on_fetch_response(self, message: ClusterMessage) -> None:
        """A server has described its sockets."""
        sockets: list[dict[str, Any]] = [
            {
                "id": messages.text(each, "id"),
                "handshake": each.get("handshake") or {},
                "rooms": messages.texts(each, "rooms"),
                "data": each.get("data"),
            }
            for each in messages.dicts(message.data, "sockets")
        ]
        self._answered(message, sockets)

    def on_server_event(self, message: ClusterMessage) -> None:
        """A server has emitted an event to servers."""
        event = messages.event_of(message.data, "packet")
        if "requestId" not in message.data:
            self._host.server_event(event, None)
            return
        request_id, node = messages.text(message.data, "requestId"), message.uid

        def reply(answer: Any) -> None:
            data = {"requestId": request_id, "packet": messages.snapshot(answer)}
            self._respond(node, MessageType.SERVER_SIDE_EMIT_RESPONSE, data)

        self._host.server_event(event, reply)

    def on_server_response(self, message: ClusterMessage) -> None:
        """A server has answered an event."""
        self._answered(message, [message.data.get("packet")])

    def _answered(self, message: ClusterMessage, responses: list[Any]) -> None:
        request = self._requests.get(messages.text(message.data, "requestId"))
        if request is not None:
            request.answer(message.uid, responses)

    def on_count(self, message: ClusterMessage) -> None:
        """A server has counted the recipients of a broadcast."""
        request_id = messages.text(message.data, "requestId")
        recipients = messages.number(message.data, "clientCount")
        collection = self._collections.get(request_id)
        if collection is not None:
            collection.counted(message.uid, recipients)
            self._forget_collected(request_id, collection)

    def on_acknowledgement(self, message: ClusterMessage) -> None:
        """A socket of another server has answered a broadcast, or has left."""
        request_id = messages.text(message.data, "requestId")
        collection = self._collections.get(request_id)
        if collection is not None:
            collection.settle(message.uid, messages.acknowledged(message.data))
            self._forget_collected(request_id, collection)

    def _forget_collected(self, request_id: str, collection: Collection) -> None:
        if collection.complete:
            self._collections.pop(request_id, None)


_HANDLERS: dict[MessageType, Callable[[ClusterAdapter, ClusterMessage], object]] = {
    MessageType.INITIAL_HEARTBEAT: ClusterAdapter.on_initial_heartbeat,
    MessageType.HEARTBEAT: ClusterAdapter.on_heartbeat,
    MessageType.BROADCAST: ClusterAdapter.on_broadcast,
    MessageType.SOCKETS_JOIN: ClusterAdapter.on_join,
    MessageType.SOCKETS_LEAVE: ClusterAdapter.on_leave,
    MessageType.DISCONNECT_SOCKETS: ClusterAdapter.on_disconnect,
    MessageType.FETCH_SOCKETS: ClusterAdapter.on_fetch,
    MessageType.FETCH_SOCKETS_RESPONSE: ClusterAdapter.on_fetch_response,
    MessageType.SERVER_SIDE_EMIT: ClusterAdapter.on_server_event,
    MessageType.SERVER_SIDE_EMIT_RESPONSE: ClusterAdapter.on_server_response,
    MessageType.BROADCAST_CLIENT_COUNT: ClusterAdapter.on_count,
    MessageType.BROADCAST_ACK: ClusterAdapter.on_acknowledgement,
    MessageType.ADAPTER_CLOSE: ClusterAdapter.on_close,
}


def _is_published(target: BroadcastTarget) -> bool:
    return not target.local and (target.rooms is None or bool(target.rooms))


def _described(peer: Peer) -> dict[str, Any]:
    """A socket for another server; without its data, if that cannot be sent."""
    described = peer.describe()
    try:
        copy: dict[str, Any] = messages.snapshot(described)
    except EncodeError as error:
        logger.warning(
            "the data of %s is not shown to other servers: %s", shown(peer), shown(error)
        )
        copy = messages.snapshot({**described, "data": None})
    return copy
