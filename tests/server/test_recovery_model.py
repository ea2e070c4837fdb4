"""Connection state recovery as a model: `recovered` means that nothing is missing, nor doubled.

The server is the real one, without network, on a virtual clock. Of every client, a list says
what it has to have received; whenever it has recovered, it has received just that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from telex import ConnectError
from telex.adapter import recovery
from telex.engine.session import Session
from telex.server.socket import Socket
from tests.server.scenes import Scene
from tests.support.doubles import RecordingTransport, request
from tests.support.examples import examples

MAX_DISCONNECTION = 120.0


KINDS = ("plain", "binary", "uncompressed", "volatile", "asked")
UNKEPT = ("volatile", "asked")
"""What may be missing. Who asks is told that there will be no answer."""


async def settle() -> None:
    """Let a middleware come to its end: nothing here needs more turns of the loop."""
    for _ in range(4):
        await asyncio.sleep(0)


def ignore(*answer: object) -> None:
    """The callback of an acknowledgement that the test does not need."""


class Plan:
    """What the middleware does with the next attempt of a client."""

    def __init__(self, *, slow: bool, refuses: bool, joins: list[str], leaves: list[str]) -> None:
        self.decided: asyncio.Future[None] | None = None
        self.slow = slow
        self.refuses = refuses
        self.joins = joins
        self.leaves = leaves
        self.deaf = False  # nothing of what the server says on this connection arrives
        self.early: int | None = None
        self.recovers = False  # there is no reason why it should not


class Visitor:
    """A client as JavaScript's: it remembers `pid` and the last offset."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid: str | None = None
        self.offset: str | None = None
        self.sid: str | None = None
        self.session: Session | None = None
        self.transport = RecordingTransport()
        self.connected = False
        self.recovered = False
        self.down = self.up = True  # whether what the server says, and the client, arrives
        self.frozen = False
        self.flight: list[str | bytes] = []
        self.header: list[Any] | None = None
        self.before_connect: list[tuple[int, str]] = []
        self.received: list[int] = []
        # What the oracle knows.
        self.plan = Plan(slow=False, refuses=False, joins=[], leaves=[])
        self.rooms: set[str] = set()
        self.owed: list[int] = []
        self.given: str | None = None  # the last `pid`, whether it has arrived or not
        self.final = False  # it has left, or was sent away, on purpose

    # -- what arrives -----------------------------------------------------------------------

    def collect(self) -> None:
        """What the server has sent is on its way."""
        if self.session is not None:
            self.session.flush()
            taken = self.transport.take()
            if self.down:
                self.flight += taken

    def read(self, most: int | None = None) -> None:
        """Take what has arrived, or the first of it."""
        if self.frozen:
            return
        ready, self.flight = self.flight[:most], [] if most is None else self.flight[most:]
        for message in ready:
            self._take(message)

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            header, self.header = self.header, None
            assert header is not None
            self._event(header)
        elif message == "2":
            self.say("3", engine=True)
        elif message.startswith("40"):
            answer = json.loads(message[2:])
            self.recovered = self.pid is not None and answer["pid"] == self.pid
            assert self.recovered or not self.before_connect
            if not self.recovered:
                self.received, self.offset = [], None
            self.pid, self.sid, self.connected = answer["pid"], answer["sid"], True
            before, self.before_connect = self.before_connect, []
            for number, offset in before:
                self.received.append(number)
                self.offset = offset
        elif message.startswith("451-"):
            self.header = json.loads(message[4:])
        elif message.startswith("42["):
            self._event(json.loads(message[2:]))
        elif message.startswith(("41", "44", "1")):
            self.connected = False

    def _event(self, event: list[Any]) -> None:
        name, number, *rest = event
        assert name in ("kept", "volatile")
        if not self.connected:
            assert name == "kept"
            self.before_connect.append((number, rest[-1]))
            return
        self.offset = rest[-1]
        if name == "kept":
            self.received.append(number)

    def say(self, message: str, *, engine: bool = False) -> None:
        if self.session is not None and self.up:
            self.session.receive(message if engine else "4" + message)


class RecoveryMachine(RuleBasedStateMachine):
    LOSSES = ("up", "down", "both", "in the middle", "suspended", "client", "server", "crowd")
    BREAKS = st.sampled_from(LOSSES[:4])
    NAME = st.sampled_from("abc")
    ROOMS = st.lists(st.sampled_from("xyz"), max_size=2)
    TARGETS = st.lists(st.sampled_from(["x", "y", "z", "a", "b"]), max_size=2)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.visitors = {name: Visitor(name) for name in "abc"}
        self.count = 0
        self.attempts = 0
        self.limited = False
        self.patches: list[Any] = []

    @initialize(limit=st.sampled_from([None, None, 4]), skip=st.booleans())
    def begin(self, limit: int | None, skip: bool) -> None:
        if limit is not None:
            self.limited = True
            self.patches.append(patch.object(recovery, "MAX_PACKETS", limit))
            self.patches[0].start()
        self.run(lambda: self.make(skip))
        for visitor in self.visitors.values():
            self.connect(visitor, visitor.plan)

    def make(self, skip: bool) -> None:
        self.scene = Scene(
            connection_state_recovery={
                "max_disconnection_duration": MAX_DISCONNECTION,
                "skip_middlewares": skip,
            }
        )
        self.skip = skip
        self.scene.root.use(self.middleware)

    def teardown(self) -> None:
        for each in self.patches:
            each.stop()

        async def cancel_all() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(cancel_all())
        self.loop.close()

    def run(self, action: Callable[[], object]) -> None:
        async def all_of_it() -> None:
            action()
            await settle()
            for visitor in self.visitors.values():
                visitor.collect()
                if visitor.down:
                    visitor.read()
            await settle()

        self.loop.run_until_complete(all_of_it())

    def socket(self, visitor: Visitor) -> Socket | None:
        """The client's socket at the server, if it is there."""
        for socket in self.scene.root.sockets.values():
            if socket.client.session is visitor.session:
                return socket
        return None

    # -- what the server does with those who come ---------------------------------------------

    async def middleware(self, socket: Socket) -> None:
        visitor = self.visitors[socket.handshake.auth["name"]]
        plan = visitor.plan
        for room in plan.joins:
            socket.join(room)
        for room in plan.leaves:
            socket.leave(room)
        if plan.early is not None:
            socket.emit("kept", plan.early)
        if plan.slow:
            plan.decided = asyncio.get_running_loop().create_future()
            await plan.decided
        if plan.refuses:
            raise ConnectError("locked out")

    def accepted(self, visitor: Visitor, *, recovered: bool, skipped: bool) -> None:
        """The oracle learns that a client has been let in."""
        assert recovered or not visitor.plan.recovers
        visitor.final = False
        if not recovered:
            visitor.owed, visitor.rooms = [], {str(visitor.sid)}
        if not skipped:
            if visitor.plan.early is not None:
                visitor.owed.append(visitor.plan.early)
            joined = [room for room in visitor.plan.joins if room not in visitor.plan.leaves]
            visitor.rooms = (visitor.rooms - set(visitor.plan.leaves)) | set(joined)

    def watch(self, action: Callable[[], object]) -> None:
        """Do something, and tell the oracle who has been let in by it."""
        before = {name: self.socket(visitor) for name, visitor in self.visitors.items()}
        self.run(action)
        for name, visitor in self.visitors.items():
            socket = self.socket(visitor)
            if socket is not None and socket is not before[name]:
                visitor.sid, visitor.given = socket.id, socket.pid
                skipped = socket.recovered and self.skip
                self.accepted(visitor, recovered=socket.recovered, skipped=skipped)

    # -- coming and going -----------------------------------------------------------------------

    @rule(
        name=NAME,
        slow=st.booleans(),
        refuses=st.sampled_from([False, False, False, True]),
        early=st.booleans(),
        deaf=st.sampled_from([False, False, True]),
        joins=ROOMS,
        leaves=ROOMS,
    )
    def come(
        self,
        name: str,
        joins: list[str],
        leaves: list[str],
        slow: bool = False,
        refuses: bool = False,
        early: bool = False,
        deaf: bool = False,
    ) -> None:
        """A new connection, whatever has become of the one before."""
        plan = Plan(slow=slow, refuses=refuses, joins=joins, leaves=leaves)
        plan.deaf = deaf
        if early:
            self.count += 1
            plan.early = self.count
        self.connect(self.visitors[name], plan)

    @rule(
        name=NAME,
        how=BREAKS,
        at_once=st.booleans(),
        before=st.integers(0, 2),
        after=st.integers(0, 2),
        pending=st.integers(0, 2),
        slow=st.booleans(),
        seconds=st.sampled_from([0.0, 0.0, 1.0, 100.0, 300.0]),
        suspended=st.booleans(),
    )
    def be_away(
        self,
        name: str,
        how: str,
        at_once: bool,
        before: int,
        after: int,
        pending: int,
        slow: bool,
        seconds: float,
        suspended: bool,
    ) -> None:
        """What happens most: a connection breaks, something is sent, the client is back."""
        self.visitors[name].frozen = how == "in the middle"
        self.broadcast(None, [], "binary", before)
        self.lose(name, how, before // 2, at_once)
        self.broadcast(None, [], "plain", after)
        self.wait(seconds, suspended)
        self.come(name, [], [], slow=slow)
        self.broadcast(None, [], "plain", pending)

    def connect(self, visitor: Visitor, plan: Plan) -> None:
        self.attempts += 1
        plan.recovers = visitor.pid is not None and visitor.pid == visitor.given
        plan.recovers &= not (visitor.final or self.limited)
        plan.recovers &= self.scene.clock.now <= MAX_DISCONNECTION
        pid, offset = visitor.pid, visitor.offset

        def connect() -> None:
            visitor.transport = RecordingTransport()
            visitor.down, visitor.up = not plan.deaf, True
            visitor.frozen = visitor.connected = False
            visitor.flight, visitor.before_connect, visitor.header = [], [], None
            visitor.plan = plan
            visitor.session = self.scene.core.engine.open(
                request("EIO=4&transport=websocket", path="/socket.io/"),
                visitor.transport,
                f"engine{self.attempts}",
            )
            auth = {"name": visitor.name} | ({} if pid is None else {"pid": pid})
            visitor.say("0" + json.dumps(auth if offset is None else {**auth, "offset": offset}))

        self.watch(connect)

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        """A middleware that was slow is done."""
        decided = self.visitors[data.draw(st.sampled_from(self.waiting()))].plan.decided
        assert decided is not None
        self.watch(lambda: decided.set_result(None))

    def waiting(self) -> list[str]:
        return [
            name
            for name, visitor in self.visitors.items()
            if visitor.plan.decided is not None and not visitor.plan.decided.done()
        ]

    @rule(name=NAME, how=st.sampled_from(LOSSES), most=st.integers(0, 3), at_once=st.booleans())
    def lose(self, name: str, how: str, most: int, at_once: bool) -> None:
        """Something breaks; the server learns of it at once, or when time has passed."""
        visitor = self.visitors[name]
        session = visitor.session
        if how in ("client", "server", "crowd"):
            self.end(visitor, how)
            return
        if how == "suspended":  # the client's process stands still, or goes on
            visitor.frozen = not visitor.frozen
            self.run(lambda: None)
            return
        if how == "in the middle":
            visitor.frozen = False
            visitor.collect()
            visitor.read(most)
            visitor.flight = []
        visitor.down = visitor.down and how == "up"
        visitor.up = visitor.up and how == "down"
        if at_once and session is not None:
            visitor.down = visitor.up = False
            self.watch(lambda: session.end("transport close"))

    def end(self, visitor: Visitor, by: str) -> None:
        """On purpose: that is final."""
        socket = self.socket(visitor)
        if socket is None or (by == "client" and not (visitor.up and visitor.connected)):
            return
        ends: dict[str, Callable[[], object]] = {
            "client": lambda: visitor.say("1"),
            "server": socket.disconnect,
            "crowd": lambda: self.scene.root.in_(socket.id).disconnect_sockets(),
        }
        self.watch(ends[by])
        visitor.final = True

    # -- what happens meanwhile -------------------------------------------------------------------

    @rule(name=NAME, rooms=ROOMS, how=st.sampled_from(["join", "leave", "leave own", "all"]))
    def move(self, name: str, rooms: list[str], how: str) -> None:
        visitor = self.visitors[name]
        socket = self.socket(visitor)
        if how == "all":
            self.run(lambda: self.scene.root.in_("x").sockets_join(rooms))
            for each in self.visitors.values():
                if self.socket(each) is not None and "x" in each.rooms:
                    each.rooms |= set(rooms)
        elif socket is not None and how == "join":
            self.run(lambda: socket.join(rooms))
            visitor.rooms |= set(rooms)
        elif socket is not None:
            left = [*rooms, *([socket.id] if how == "leave own" else [])]
            self.run(lambda: socket.leave(left))
            visitor.rooms -= set(left)

    @rule(
        rooms=st.one_of(st.none(), TARGETS),
        excluded=TARGETS,
        kind=st.sampled_from(KINDS),
        times=st.integers(1, 3),
    )
    def broadcast(
        self, rooms: list[str] | None, excluded: list[str], kind: str, times: int
    ) -> None:
        named = None if rooms is None else self.ids(rooms)
        muted = self.ids(excluded)
        operator = self.scene.root.except_(list(muted))
        if named is not None:
            operator = operator.to(list(named))
        for _ in range(times):
            self.count += 1
            self.run(lambda: self.say(operator, kind))
            if kind not in UNKEPT:
                for visitor in self.visitors.values():
                    if (named is None or visitor.rooms & named) and not visitor.rooms & muted:
                        visitor.owed.append(self.count)

    @rule(name=NAME, kind=st.sampled_from(KINDS))
    def emit_to_one(self, name: str, kind: str) -> None:
        visitor = self.visitors[name]
        socket = self.socket(visitor)
        if socket is not None:
            self.count += 1
            if kind not in UNKEPT:
                visitor.owed.append(self.count)
            self.run(lambda: self.say(socket, kind))

    def ids(self, names: list[str]) -> set[str]:
        """Rooms, and in the place of clients their ids."""
        sids = {name: str(visitor.sid) for name, visitor in self.visitors.items()}
        return {sids.get(name, name) for name in names}

    def say(self, to: Any, kind: str) -> None:
        if kind == "volatile":
            to.volatile.emit("volatile", self.count)
        elif kind == "asked":
            to.timeout(5).emit("asked", self.count, ack=ignore)
        elif kind == "uncompressed":
            to.compress(False).emit("kept", self.count)
        else:
            to.emit("kept", self.count, *([b"\x01"] if kind == "binary" else []))

    # -- time -------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 20.0, 50.0, 130.0, 400.0]), suspended=st.booleans())
    def wait(self, seconds: float, suspended: bool) -> None:
        """Time passes. A server's process that was suspended reads first, then is late."""
        schedule, clock = self.scene.core.engine.schedule, self.scene.clock
        end = clock.now + seconds
        while not suspended and (deadline := schedule.next_deadline()) <= end:
            clock.now = max(clock.now, deadline)
            self.watch(lambda: schedule.tick(clock.now))
        clock.now = end
        self.run(lambda: None)
        self.watch(lambda: schedule.tick(clock.now))

    # -- what holds ---------------------------------------------------------------------------

    @invariant()
    def nothing_is_missing(self) -> None:
        for visitor in self.visitors.values():
            if self.socket(visitor) is not None and visitor.down and not visitor.frozen:
                assert visitor.connected
                assert visitor.received == visitor.owed

    @invariant()
    def nothing_is_hoarded(self) -> None:
        if hasattr(self, "scene"):
            log: Any = self.scene.root.adapter.sessions
            connected = {socket.pid for socket in self.scene.root.sockets.values()}
            assert set(log._live) - connected <= {v.pid for v in self.visitors.values()}
            assert set(log._moves) <= set(self.scene.root.sockets)
            assert len(log._away) <= len(self.visitors) * 20


RecoveryMachine.TestCase.settings = settings(max_examples=examples(25), stateful_step_count=40)
TestRecoveryMachine = RecoveryMachine.TestCase


def machine() -> RecoveryMachine:
    model = RecoveryMachine()
    model.begin(None, skip=False)
    return model


def finish(model: RecoveryMachine, *names: str) -> None:
    """Come back once more, and look whether everything is there."""
    try:
        for name in names:
            model.come(name, [], [])
            assert model.visitors[name].recovered
        model.nothing_is_missing()
    finally:
        model.teardown()


def test_what_is_sent_while_a_middleware_thinks() -> None:
    model = machine()
    model.lose("a", "both", 0, at_once=True)
    model.broadcast(None, [], "plain", 1)
    model.come("a", [], [], slow=True)
    model.broadcast(None, [], "binary", 2)
    decided = model.visitors["a"].plan.decided
    assert decided is not None
    model.watch(lambda: decided.set_result(None))
    assert model.visitors["a"].received == [1, 2, 3]
    finish(model, "a")


def test_what_is_sent_again_is_lost_again_and_the_middleware_has_left_its_room() -> None:
    model = machine()
    model.move("a", ["x"], "join")
    model.lose("a", "both", 0, at_once=True)
    model.broadcast(["x"], [], "plain", 1)
    model.come("a", [], ["x"], deaf=True)
    model.broadcast(["x"], [], "plain", 1)
    finish(model, "a")


def test_what_is_sent_directly_to_one_who_has_left_its_own_room() -> None:
    model = machine()
    model.move("a", [], "leave own")
    model.lose("a", "down", 0, at_once=False)
    model.emit_to_one("a", "plain")
    model.broadcast(["a"], [], "plain", 1)
    model.come("a", [], [], deaf=True)
    model.broadcast(["a"], [], "plain", 1)
    finish(model, "a")


def test_what_a_middleware_has_emitted_and_the_client_did_not_get() -> None:
    model = machine()
    model.come("a", [], [], early=True, deaf=True)
    finish(model, "a")


def test_what_has_expired_before_a_silent_death_was_noticed() -> None:
    """The process stood still: the packet is too old, the session is not."""
    model = machine()
    model.lose("a", "both", 0, at_once=False)
    model.broadcast(None, [], "plain", 1)
    model.wait(600, suspended=True)
    model.broadcast(None, [], "plain", 1)
    model.come("a", [], [])
    try:
        assert not model.visitors["a"].recovered
        model.nothing_is_missing()
    finally:
        model.teardown()


async def test_more_was_missed_than_a_client_may_be_sent() -> None:
    """It is a slow consumer then, and leaves nothing behind."""
    scene = Scene(connection_state_recovery=True, send_buffer_limit=1000)
    client, socket = scene.joined()
    client.session.end("transport close")
    for _ in range(20):
        scene.root.emit("x", "y" * 1000)
    greeted: list[Socket] = []
    scene.root.on("connection", greeted.append)
    again = scene.client()
    again.transport.writable = False
    again.say(f'0{{"pid":"{socket.pid}"}}')
    await settle()
    assert again.reasons == ["slow consumer"]
    assert scene.root.sockets == {}
    assert greeted == []
    log: Any = scene.root.adapter.sessions
    assert log._live == {}
    assert not log.awaits(socket.id)
