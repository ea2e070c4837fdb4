"""Nothing of a client outlives `disconnect()`, whatever state it was in."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

import telex
from telex.client import polling, websocket
from telex.engine import client_session
from telex.options import TransportName
from tests.client.faults.census import census, settled
from tests.client.faults.elsewhere import Elsewhere
from tests.client.faults.scenes import QUICK, Listening, upgraded
from tests.features.scripts import Calls, until
from tests.support.proxy import Answer, Fault

POLLING: tuple[TransportName, ...] = ("polling",)
WEBSOCKET: tuple[TransportName, ...] = ("websocket",)
BOTH = POLLING + WEBSOCKET


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Farewells that nobody answers are not waited for as long as usual."""
    monkeypatch.setattr(client_session, "CLOSE_TIMEOUT", 0.3)
    monkeypatch.setattr(polling, "GOODBYE_TIMEOUT", 0.2)
    monkeypatch.setattr(websocket, "GOODBYE_TIMEOUT", 0.2)


Reach = Callable[[telex.ClientSocket, Elsewhere], Awaitable[object]]


async def _connected(socket: telex.ClientSocket, there: Elsewhere) -> None:
    await until(lambda: socket.connected)


async def _upgraded(socket: telex.ClientSocket, there: Elsewhere) -> None:
    await until(lambda: socket.connected and upgraded(socket))


async def _fired(socket: telex.ClientSocket, there: Elsewhere) -> None:
    for fault in list(there.proxy.faults):
        await there.fired(fault)


async def _pausing(socket: telex.ClientSocket, there: Elsewhere) -> None:
    """The probe has been answered, and the poll that is to end does not."""
    await _fired(socket, there)
    engine = socket.io.engine
    assert engine is not None
    await until(lambda: engine.session.upgrading)


async def _nearly(socket: telex.ClientSocket, there: Elsewhere) -> None:
    """A few turns of the loop after the connection has begun."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _failed(socket: telex.ClientSocket, there: Elsewhere) -> None:
    failures = Calls()
    socket.on("connect_error", failures)
    await failures.next()


async def _asking(socket: telex.ClientSocket, there: Elsewhere) -> None:
    """An answer is awaited, an event, and a big message is on its way."""
    await until(lambda: socket.connected)
    socket.emit("take", "x" * 500_000)


async def _refused(socket: telex.ClientSocket, there: Elsewhere) -> None:
    await until(lambda: socket.connected)
    await there.do(there.proxy.refuse())
    there.loop.call_soon_threadsafe(there.proxy.cut)
    await until(lambda: not socket.connected)


async def _black_hole(socket: telex.ClientSocket, there: Elsewhere) -> None:
    await until(lambda: socket.connected)
    await there.call(there.proxy.silence)
    socket.emit("take", "never heard")
    await asyncio.sleep(0.01)


@dataclass(frozen=True)
class State:
    """How a client gets into a state, in which it is then disconnected."""

    name: str
    transports: tuple[TransportName, ...]
    reach: Reach
    faults: Sequence[Fault] = ()
    slow: bool = False

    def __str__(self) -> str:
        return self.name


def _silent(name: str, transports: tuple[TransportName, ...], fault: Fault) -> State:
    return State(name, transports, _fired, [replace(fault, action="silence", times=math.inf)])


STATES = [
    State("just begun, polling", POLLING, _nearly),
    State("just begun, websocket", WEBSOCKET, _nearly),
    _silent("connecting, polling", POLLING, Fault("tcp", "silence")),
    _silent("connecting, websocket", WEBSOCKET, Fault("tcp", "silence")),
    _silent("handshake asked for, polling", POLLING, Fault("handshake", "silence")),
    _silent("handshake asked for, websocket", WEBSOCKET, Fault("open", "silence")),
    _silent("no open packet, websocket", WEBSOCKET, Fault("server frame", "silence")),
    _silent("namespace asked for, polling", POLLING, Fault("post", "silence")),
    _silent("namespace asked for, websocket", WEBSOCKET, Fault("client frame", "silence")),
    State("waiting to reconnect", POLLING, _failed, [Fault("tcp", "reset", times=math.inf)], True),
    State("waiting, after an answer", POLLING, _failed, [Fault("handshake", Answer(502))], True),
    State("waiting, after a connection", WEBSOCKET, _refused, (), True),
    _silent("probing, no connection", BOTH, Fault("probe", "silence")),
    _silent("probing, no answer", BOTH, Fault("probe answer", "silence")),
    _silent("probing, no reply", BOTH, Fault("server frame", "silence", match="3probe")),
    State("probing, polling does not pause", BOTH, _pausing, [Fault("poll answer", "silence")]),
    State("open, polling", POLLING, _connected),
    State("open, websocket", WEBSOCKET, _connected),
    State("open, upgrade under way", BOTH, _connected),
    State("open, upgraded", BOTH, _upgraded),
    State("open, sending, polling", POLLING, _asking),
    State("open, sending, websocket", WEBSOCKET, _asking),
    State("black hole, polling", POLLING, _black_hole),
    State("black hole, websocket", WEBSOCKET, _black_hole),
    State("half closed, polling", POLLING, _fired, [Fault("poll answer", "half", 0.5, match="40")]),
    State(
        "half closed, websocket",
        WEBSOCKET,
        _fired,
        [Fault("server frame", "half", 0.5, match="40")],
    ),
]


@pytest.mark.parametrize("state", STATES, ids=str)
async def test_nothing_is_left(there: Elsewhere, state: State) -> None:
    """No task, timer, thread or connection; nobody waits any more."""
    before = census(there.proxy.port)
    for fault in state.faults:
        await there.add(replace(fault, fired=asyncio.Event()))
    slow = {"reconnection_delay": 60, "reconnection_delay_max": 60}
    options: Any = {**QUICK, **slow} if state.slow else QUICK
    socket = telex.connect(there.url, force_new=True, transports=state.transports, **options)
    try:
        await asyncio.wait_for(_wait(socket, there, state), 20)
    finally:
        await asyncio.wait_for(_disconnect(socket), 20)
    after = census(there.proxy.port)
    assert after.tasks == before.tasks
    assert not socket.connected
    assert not socket.active
    await settled(there.proxy.port, before)


async def _wait(socket: telex.ClientSocket, there: Elsewhere, state: State) -> None:
    await state.reach(socket, there)


async def _disconnect(socket: telex.ClientSocket) -> None:
    await socket.disconnect()


@pytest.mark.parametrize("transports", [POLLING, WEBSOCKET, BOTH], ids=str)
async def test_disconnect_at_every_step_of_connecting(
    there: Elsewhere, transports: tuple[TransportName, ...]
) -> None:
    """After each turn of the loop that connecting takes, one is the last."""
    before = census(there.proxy.port)
    connected = steps = 0
    while connected < 3:
        socket = telex.connect(there.url, force_new=True, transports=transports, **QUICK)
        for _ in range(steps):
            await asyncio.sleep(0)
        connected += socket.connected
        await asyncio.wait_for(_disconnect(socket), 20)
        assert not socket.connected
        assert census(there.proxy.port).tasks == before.tasks
        steps += 1 + steps // 8
    await settled(there.proxy.port, before)


@pytest.mark.parametrize("transports", [POLLING, WEBSOCKET, BOTH], ids=str)
async def test_cancellation_at_every_step_of_connecting(
    there: Elsewhere, transports: tuple[TransportName, ...]
) -> None:
    """Who no longer waits for the verdict gets no half connection: it connects, or can be ended."""
    before = census(there.proxy.port)

    async def enter() -> None:
        async with telex.connect(there.url, force_new=True, transports=transports) as socket:
            await socket.emit_with_ack("echo", 1)

    steps, done = 0, False
    while not done:
        task = asyncio.create_task(enter())
        for _ in range(steps):
            await asyncio.sleep(0)
        done = task.done()
        task.cancel()
        await asyncio.wait([task])
        if done:
            await task
        # Who is cancelled while it waits for the end does not see the end.
        await settled(there.proxy.port, before)
        steps += 1 + steps // 8


async def test_a_refusal_leaves_nothing(there: Elsewhere) -> None:
    """The first failure is raised, and nothing goes on in the background."""
    before = census(there.proxy.port)
    await there.add(Fault("handshake", Answer(502, "out of order"), times=math.inf))
    with pytest.raises(telex.ConnectError, match="xhr poll error") as caught:
        await telex.connect(there.url, force_new=True)
    assert caught.value.description == 502
    assert "out of order" in str(caught.value.context)
    assert census(there.proxy.port).tasks == before.tasks
    await settled(there.proxy.port, before)


async def test_attempts_are_waited_for_if_they_are_asked_for(there: Elsewhere) -> None:
    """With `reconnection_attempts`, the verdict comes after the last one."""
    before = census(there.proxy.port)
    fault = await there.add(Fault("handshake", Answer(502), times=2))
    async with telex.connect(there.url, force_new=True, reconnection_attempts=2, **QUICK) as socket:
        assert socket.connected
    assert not fault.times
    await there.add(Fault("handshake", Answer(503), times=math.inf))
    with pytest.raises(telex.ConnectError) as caught:
        await telex.connect(there.url, force_new=True, reconnection_attempts=2, **QUICK)
    assert caught.value.description == 503
    await settled(there.proxy.port, before)


async def test_disconnect_from_handlers(there: Elsewhere) -> None:
    """In `connect`, `connect_error`, `reconnect_attempt` and `disconnect`: it is the end."""
    before = census(there.proxy.port)
    for event in ("connect", "connect_error", "reconnect_attempt", "reconnect_error", "disconnect"):
        times = 0 if event in ("connect", "disconnect") else math.inf
        await there.add(Fault("handshake", Answer(502), times=times))
        socket = telex.connect(there.url, force_new=True, **QUICK)
        calls = Calls()

        def leave(*args: Any, socket: telex.ClientSocket = socket, calls: Calls = calls) -> None:
            calls()
            socket.disconnect()

        (socket.io if event.startswith("reconnect") else socket).on(event, leave)
        if event == "disconnect":
            await socket
            await there.call(there.proxy.cut)
        await calls.next()
        await _disconnect(socket)
        assert len(calls.all) == 1, event
        assert not socket.active
        await settled(there.proxy.port, before)
        await there.mend()


async def test_connect_right_after_disconnect(there: Elsewhere) -> None:
    """The same socket comes back, with a new id, as often as it is asked."""
    before = census(there.proxy.port)
    for transports in (POLLING, WEBSOCKET):
        socket = telex.connect(there.url, force_new=True, transports=transports)
        listening = Listening(socket)
        await socket
        ids = {socket.id}
        for number in range(5):
            socket.disconnect()
            assert socket.id is None
            socket.connect()
            assert await socket.emit_with_ack("echo", number) == number
            ids.add(socket.id)
        assert len(ids) == 6
        reasons = [entry[1] for entry in listening.log if entry[0] == "disconnect"]
        assert reasons == ["io client disconnect"] * 5
        await socket.disconnect()
    await settled(there.proxy.port, before)


async def test_one_socket_of_several_leaves(there: Elsewhere) -> None:
    """The connection stays as long as a namespace uses it."""
    before = census(there.proxy.port)
    await there.call(lambda: there.io.of("/other"))
    manager = telex.Manager(there.url)
    one, other = manager.socket("/"), manager.socket("/other")
    await one
    await other
    await one.disconnect()
    assert other.connected
    assert manager.ready_state == "open"
    await other.disconnect()
    assert manager.ready_state == "closed"
    await settled(there.proxy.port, before)


async def _until_cancelled(cancelled: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.set()


async def test_those_who_wait_are_told(there: Elsewhere) -> None:
    """Acknowledgements and `receive` end with the socket, tasks of its own too."""
    before = census(there.proxy.port)
    for transports in (POLLING, WEBSOCKET):
        socket = telex.connect(there.url, force_new=True, transports=transports)
        cancelled, gate = asyncio.Event(), asyncio.Event()
        socket.on("said", gate.wait)
        await socket
        socket.emit("say", 1)
        socket.spawn(_until_cancelled(cancelled))
        asks = asyncio.ensure_future(socket.emit_with_ack("take", "no answer: it has none"))
        nothing = asyncio.ensure_future(socket.emit_with_ack("nobody listens"))
        hears = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0.05)
        await socket.disconnect()
        assert cancelled.is_set()
        gate.set()  # a handler that runs is not held against the socket
        for waiting in (nothing, hears):
            with pytest.raises(telex.Disconnected):
                await waiting
        await asyncio.wait([asks])
        assert not asks.cancelled()
        asks.exception()
        with pytest.raises(telex.Disconnected):
            await socket.receive()
        assert [event async for event in socket] == []
    await settled(there.proxy.port, before)
