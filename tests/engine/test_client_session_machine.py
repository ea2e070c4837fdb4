"""A client's session and a model of a server, under everything that can happen, in any order.

Whatever the user, the network, the clock and the server do: there is one end; nothing is
left behind; and what either side sends arrives once and in order, across the upgrade.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from telex.engine import payload
from telex.engine.client_heartbeat import NEVER
from telex.engine.client_host import State
from telex.engine.client_session import ClientSession
from telex.engine.packet import message
from tests.client.unit.wires import Item, Stage, Wire, open_packet
from tests.support.examples import examples

LIMIT = 40


class Server:
    """What a server knows: over which transport it sends, what it has heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.pongs = 0
        self.pings = 0
        self.sends: list[str] = []
        self.queue: list[str] = []
        self.upgraded = False
        self.closed = False

    def receive(self, wire: Wire, items: list[Item]) -> list[str]:
        """Take what has come; the answer, at once, of a WebSocket."""
        answers: list[str] = []
        for item in items:
            assert isinstance(item, str)
            if item[0] == "4":
                assert self.upgraded == (wire.name == "websocket"), "over the wrong transport"
                self.heard.append(item[1:])
            elif item == "2probe":
                assert not self.upgraded
                answers.append("3probe")
            elif item == "5":
                assert wire.name == "websocket"
                assert not self.upgraded, "upgraded twice"
                self.upgraded = True
            elif item == "2":
                self.pings += 1
                self.queue.append("3")
            else:
                assert item == "3", f"the client sent {item!r}"
                self.pongs += 1
        return answers


class SessionMachine(RuleBasedStateMachine):
    """One session and its server."""

    @initialize(
        protocol=st.sampled_from([4, 3]),
        transports=st.sampled_from(
            [("polling", "websocket"), ("polling", "websocket"), ("websocket",), ("polling",)]
        ),
        try_all=st.booleans(),
        early=st.integers(0, 3),
        opened=st.sampled_from([True, True, True, False]),
    )
    def begin(
        self,
        protocol: int,
        transports: tuple[str, ...],
        try_all: bool,
        early: int,
        opened: bool,
    ) -> None:
        self.stage = Stage(*transports, protocol=protocol, try_all=try_all)
        self.session: ClientSession = self.stage.session
        self.protocol = protocol
        self.server = Server()
        self.number = 0
        self.sent: list[str] = []
        self.flushed = 0
        self.session.open()
        for _ in range(early):
            self.user_sends(1)
        if opened:
            self.the_server_opens()

    # -- the model ------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return bool(self.stage.ends)

    @property
    def here(self) -> Wire | None:
        """The transport over which the server sends."""
        wire: Any = self.session.transport
        if wire is None or (wire.name == "websocket") != self.server.upgraded:
            return None
        return wire  # type: ignore[no-any-return]

    @property
    def to_flush(self) -> bool:
        """Whether the loop is going to call `flush`."""
        return self.stage.corks > self.flushed

    def probe(self) -> Wire | None:
        """The WebSocket that is to take the session over."""
        last = self.stage.wire
        probes = last.sid is not None and last is not self.session.transport
        return last if probes and last.ended is None else None

    # -- the user -------------------------------------------------------------------------

    @rule(sizes=st.lists(st.integers(1, LIMIT), min_size=1, max_size=3))
    def user_sends_and_the_turn_ends(self, sizes: list[int]) -> None:
        for size in sizes:
            self.user_sends(size)
        if self.to_flush:
            self.turn_ends()

    @rule(size=st.integers(1, LIMIT))
    def user_sends(self, size: int) -> None:
        text = f"{self.number}:".ljust(size, "x")
        self.number += 1
        if self.session.state in (State.OPENING, State.OPEN):
            self.sent.append(text)
        self.session.send(message(text))

    @precondition(lambda self: self.to_flush)
    @rule()
    def turn_ends(self) -> None:
        if self.to_flush:
            self.flushed = self.stage.corks
            self.session.flush()

    @precondition(lambda self: self.session.state is State.OPEN)
    @rule()
    def user_holds(self) -> None:
        self.session.hold()

    @precondition(lambda self: any(wire.held for wire in self.stage.wires))
    @rule()
    def user_releases(self) -> None:
        self.session.release()

    @precondition(lambda self: self.number > 12)
    @rule()
    def user_closes(self) -> None:
        self.session.close()

    # -- the network ----------------------------------------------------------------------

    @precondition(lambda self: self.session.state is State.OPENING and self.stage.wires)
    @rule()
    def the_server_opens(self) -> None:
        wire = self.stage.wire
        if wire.name == "websocket":
            wire.opens()
            self.server.upgraded = True
        wire.gives(open_packet(maxPayload=LIMIT))

    @precondition(lambda self: self.session.state is State.OPENING and self.stage.wires)
    @rule()
    def a_transport_cannot_connect(self) -> None:
        self.stage.wire.fails()

    @precondition(lambda self: any(wire.batches for wire in self.stage.wires))
    @rule(slow=st.booleans())
    def what_was_sent_arrives(self, slow: bool) -> None:
        wire: Any = self.session.transport
        if wire is not None:
            if wire.name == "polling" and wire.sending:
                [batch] = wire.batches
                size = len(
                    payload.encode(batch) if self.protocol == 4 else payload.encode3(batch, str)
                )
                assert len(batch) == 1 or size <= LIMIT
            if wire.name == "websocket":
                wire.slow = slow
            items = list(wire.messages)
            self.server.receive(wire, items)
            assert wire.takes() == items
        for ended in self.stage.wires:
            if ended.ended == "closed" and ended.name == "websocket":
                self.server.receive(ended, ended.takes())

    @rule(count=st.integers(1, 3))
    def the_server_sends(self, count: int) -> None:
        for _ in range(count):
            text = f"s{len(self.server.sends)}"
            self.server.sends.append(text)
            self.server.queue.append(f"4{text}")

    @precondition(lambda self: self.server.queue and self.session.state is not State.OPENING)
    @rule()
    def what_the_server_sent_arrives(self) -> None:
        wire = self.here
        if wire is None or wire.ended is not None or self.session.state is State.OPENING:
            return
        if wire.name == "polling":
            if not wire.asking or not self.server.queue:
                return
        elif wire.held:
            return
        queue, self.server.queue = self.server.queue, []
        wire.gives(*queue)

    @precondition(lambda self: self.session.id is not None and not self.server.upgraded)
    @rule()
    def the_server_releases_the_poll(self) -> None:
        """As a server does when it has answered a probe."""
        wire = self.here
        if wire is not None and wire.name == "polling" and wire.asking and self.session.id:
            queue, self.server.queue = self.server.queue, []
            wire.gives(*(queue or ["6"]))

    @precondition(lambda self: self.probe() is not None)
    @rule()
    def the_probe_opens(self) -> None:
        probe = self.probe()
        if probe is not None and not probe.writable and not probe.batches:
            probe.opens()

    @precondition(lambda self: self.probe() is not None)
    @rule()
    def the_probe_opens_and_is_answered(self) -> None:
        self.the_probe_opens()
        self.the_probe_is_answered()

    @precondition(lambda self: self.probe() is not None)
    @rule()
    def the_probe_is_answered(self) -> None:
        probe = self.probe()
        if probe is not None:
            answers = self.server.receive(probe, probe.takes())
            probe.gives(*answers)

    @precondition(lambda self: self.probe() is not None and self.number > 4)
    @rule(how=st.sampled_from(["fails", "closes", "gives"]))
    def the_probe_breaks(self, how: str) -> None:
        probe = self.probe()
        if probe is not None:
            getattr(probe, how)(*(["4nonsense"] if how == "gives" else []))

    @precondition(lambda self: any(wire.ended for wire in self.stage.wires))
    @rule(late=st.sampled_from(["opens", "fails", "closes", "gives"]))
    def what_has_ended_is_heard_of_late(self, late: str) -> None:
        for wire in self.stage.wires:
            if wire.ended is not None:
                before = len(self.stage.came), len(self.stage.events)
                if late == "gives":
                    self.session.receive(wire, "4too late")
                else:
                    getattr(wire, late)()
                    wire.writable = False
                assert (len(self.stage.came), len(self.stage.events)) == before

    @precondition(lambda self: self.number > 12)
    @rule(how=st.sampled_from(["fails", "closes", "1", "7"]))
    def the_connection_ends(self, how: str) -> None:
        wire = self.here
        if wire is None or self.session.state is State.OPENING:
            return
        if how == "fails":
            wire.fails()
        elif how == "closes":
            wire.closes()
        else:
            wire.gives(how)
        assert self.ended

    # -- time -----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 2.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        ended = self.ended
        deadline = self.session.deadline()
        now = self.stage.clock.now
        self.stage.advance(seconds)
        if self.ended and not ended:
            assert deadline <= now + seconds or self.protocol == 3
            assert self.stage.ends[-1] in {"ping timeout", "forced close"}

    @precondition(lambda self: self.protocol == 4)
    @rule()
    def the_server_pings(self) -> None:
        if self.session.state is State.OPEN:
            self.server.queue.append("2")

    # -- what always holds ----------------------------------------------------------------

    @invariant()
    def messages_arrive_once_and_in_order(self) -> None:
        heard, came = self.server.heard, self.stage.came
        assert heard == self.sent[: len(heard)]
        assert came == self.server.sends[: len(came)]

    @invariant()
    def the_end_is_told_once_and_complete(self) -> None:
        assert len(self.stage.ends) <= 1
        if self.ended:
            assert self.session.state is State.CLOSED
            assert self.session.deadline() == NEVER
            assert (self.session.transport, self.session.id) == (None, None)
            assert all(wire.ended for wire in self.stage.wires)
            assert self.session.queued == 0
        else:
            alive = [wire for wire in self.stage.wires if wire.ended is None]
            assert len(alive) <= 2
            assert self.session.transport in alive

    @invariant()
    def what_is_queued_is_counted(self) -> None:
        assert self.session.queued == sum(packet.size for packet in self.session._buffer)

    @invariant()
    def nothing_waits_without_a_reason(self) -> None:
        """What is queued is going to leave: a turn ends, a request ends, an upgrade ends."""
        wire: Any = self.session.transport
        if self.session._buffer and self.session.state is not State.OPENING:
            assert self.to_flush or self.session.upgrading or not wire.writable

    def teardown(self) -> None:
        """Without further trouble everything arrives."""
        if not hasattr(self, "stage") or self.stage.ends:
            return
        if self.session.state is State.OPENING:
            self.the_server_opens()
        self.session.release()
        for _ in range(len(self.sent) + len(self.server.sends) + 10):
            self.the_probe_opens()
            self.the_probe_is_answered()
            self.turn_ends()
            self.what_was_sent_arrives(slow=False)
            self.the_server_releases_the_poll()
            self.what_the_server_sent_arrives()
        assert self.server.heard == self.sent
        if not self.ended:
            assert self.stage.came == self.server.sends
            assert not self.session.upgrading
            self.session.close()
            self.turn_ends()
            self.what_was_sent_arrives(slow=False)
        assert self.ended
        self.the_end_is_told_once_and_complete()


SessionMachine.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=50)
TestSession = SessionMachine.TestCase
