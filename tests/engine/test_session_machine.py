"""A session under everything that can happen to it, in any order.

Whatever a client, the network, the clock and the application do: there is one end, for a
reason that fits; nothing is left behind; and what was sent arrives once and in order,
across the upgrade.
"""

from __future__ import annotations

from collections.abc import Callable
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

from telex.config import EngineOptions
from telex.engine import payload
from telex.engine.engine import Engine
from telex.engine.packet import message
from telex.engine.polling import PollingTransport
from telex.engine.session import Session
from telex.engine.session_core import CLOSED, CLOSING, OPEN
from telex.engine.upgrade import Probe
from tests.support.doubles import Answers, RecordingTransport, VirtualClock, post, request
from tests.support.examples import examples

Message = str | bytes

CLIENT_GONE = "transport close"
CLIENT_ERROR = "transport error"


class Attempt:
    """A second transport that is being tried, or was."""

    def __init__(self, probe: Probe, transport: RecordingTransport) -> None:
        self.probe = probe
        self.transport = transport


class SessionMachine(RuleBasedStateMachine):
    """One session, its client, and a model of what may be true."""

    # -- beginning ------------------------------------------------------------------------

    @initialize(
        revision=st.sampled_from([4, 3]),
        transport=st.sampled_from(["polling", "polling", "websocket"]),
        corked=st.booleans(),
    )
    def open(self, revision: int, transport: str, corked: bool) -> None:
        self.clock = VirtualClock()
        options = EngineOptions(
            ping_interval=25, ping_timeout=20, upgrade_timeout=10, send_buffer_limit=10_000
        )
        self.engine = Engine(options, self.clock, json_text=True)
        self.engine.on_session = self.listen
        self.to_flush: list[Session] = []
        if corked:
            self.engine.cork = self.to_flush.append
        self.reasons: list[str] = []
        self.close_reason: str | None = None
        self.sent: list[str] = []
        self.heard: list[Message] = []
        self.told: list[str] = []
        self.came: list[Message] = []
        self.number = 0
        self.waiting: Answers | None = None
        self.posting = False
        self.attempts: list[Attempt] = []
        self.sockets: list[RecordingTransport] = []
        self.pauses = 0
        self.upgrades = 0
        query = f"EIO={revision}&transport={transport}&b64=1"
        if transport == "polling":
            self.session, self.polling = self.engine.open_polling(request(query), "sid")
        else:
            self.polling = PollingTransport()
            socket = self.new_socket()
            self.session = self.engine.open(request(query), socket, "sid")
        self.session.on_upgrade = self.upgraded

    def listen(self, session: Session) -> None:
        session.on_message = lambda data, pos: self.came.append(data[pos:])
        session.on_close = lambda ended, reason: self.reasons.append(reason)

    def upgraded(self) -> None:
        self.upgrades += 1

    def new_socket(self) -> RecordingTransport:
        socket = RecordingTransport()
        self.sockets.append(socket)
        return socket

    # -- the model --------------------------------------------------------------------------

    def ended(self) -> bool:
        return bool(self.reasons)

    def act(self, act: Callable[[], Any], *legal: str) -> Any:
        """Do something; if the session ends by it, one of `legal` must be the reason."""
        ended = self.ended()
        allowed = {*legal, *([self.close_reason] if self.close_reason is not None else [])}
        result = act()
        if self.ended() and not ended:
            assert self.reasons[-1] in allowed, f"{self.reasons[-1]!r} is not in {allowed}"
        elif not ended and not self.ended() and "must end" in legal:
            raise AssertionError("the session should have ended")
        self.hear()
        return result

    def hear(self) -> None:
        """Let the client read what has reached it."""
        if self.waiting is not None and self.waiting.all:
            response = self.waiting.only
            self.waiting = None
            if response.status == 200:
                text = response.body.decode()
                items = (
                    payload.decode(response.body)
                    if self.session.protocol == 4
                    else payload.decode3(text)
                )
                self.heard.extend(items)
        for socket in self.sockets:
            for data in socket.take():
                if data != "3probe":
                    self.heard.append(data)

    def over_websocket(self) -> bool:
        return self.session.transport is not self.polling

    def current(self) -> RecordingTransport:
        transport = self.session.transport
        assert isinstance(transport, RecordingTransport)
        return transport

    # -- the application --------------------------------------------------------------------

    @rule()
    def send(self) -> None:
        self.number += 1
        text = f"4{self.number}"
        if self.session.state is OPEN:
            self.sent.append(text)
        self.act(lambda: self.session.send(message(text[1:])), "slow consumer")

    @rule()
    def send_much(self) -> None:
        self.number += 1
        text = f"4{self.number}" + "x" * 1500
        if self.session.state is OPEN:
            self.sent.append(text)
        self.act(lambda: self.session.send(message(text[1:])), "slow consumer")

    @rule()
    def pull_the_cork(self) -> None:
        corked, self.to_flush[:] = list(self.to_flush), []
        for session in corked:
            self.act(session.flush)

    @rule(discard=st.booleans(), often=st.integers(0, 4))
    def close(self, discard: bool, often: int) -> None:
        if often:
            return
        if self.session.state is OPEN:
            self.close_reason = f"closed by us, discard={discard}"
        self.act(lambda: self.session.close(self.close_reason or "late", discard=discard))

    @rule(often=st.integers(0, 19))
    def end(self, often: int) -> None:
        if often == 0:
            self.act(lambda: self.session.end("ended by us"), "ended by us", "must end")

    @rule(often=st.integers(0, 4))
    def pause(self, often: int) -> None:
        if often:
            return
        if self.session.state is OPEN:
            self.pauses += 1
        self.act(self.session.pause)

    @rule()
    def resume(self) -> None:
        if self.session.state is OPEN:
            self.pauses = max(0, self.pauses - 1)
        self.act(self.session.resume)

    # -- the clock ----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 9.0, 19.0, 30.0]))
    def wait(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while (deadline := self.engine.schedule.next_deadline()) <= end:
            self.clock.now = max(self.clock.now, deadline)
            beating = self.session.state is OPEN
            legal = ("ping timeout", "slow consumer") if beating else ()
            self.act(lambda: self.engine.schedule.tick(self.clock.now), *legal)
        self.clock.now = end

    # -- the client over polling --------------------------------------------------------------

    @precondition(lambda self: not self.over_websocket())
    @rule(often=st.integers(0, 9))
    def poll(self, often: int) -> None:
        answers = Answers()
        overlaps = self.waiting is not None
        if overlaps and often:
            return
        if not overlaps:
            self.waiting = answers
        self.act(
            lambda: self.polling.poll(self.session, answers),
            *((CLIENT_ERROR, "must end") if overlaps else ()),
        )
        if overlaps:
            assert answers.only.status == 400

    @precondition(lambda self: self.waiting is not None)
    @rule(often=st.integers(0, 9))
    def leave_the_poll(self, often: int) -> None:
        waiting = self.waiting
        if often == 0 and waiting is not None:
            self.waiting = None
            self.act(
                lambda: self.polling.abort_poll(self.session, waiting), CLIENT_ERROR, "must end"
            )

    @precondition(lambda self: not self.over_websocket() and not self.posting and not self.pauses)
    @rule(
        count=st.integers(0, 3),
        rest=st.sampled_from([*["", "6", "beat"] * 5, "1", "x", "wrong beat"]),
    )
    def post(self, count: int, rest: str) -> None:
        beat, wrong = ("3", "2") if self.session.protocol == 4 else ("2", "3")
        items = [f"4post{count}"] * count
        if rest or not items:
            items.append({"beat": beat, "wrong beat": wrong}.get(rest, rest or "6"))
        if self.session.protocol == 4:
            body = "\x1e".join(items).encode()
        else:
            body = "".join(f"{len(item)}:{item}" for item in items).encode()
        if self.session.state is OPEN:
            self.told += [f"post{count}"] * count
        legal = {
            "1": (CLIENT_GONE, "must end"),
            "x": ("parse error", "must end"),
            "wrong beat": (CLIENT_ERROR,),
        }.get(rest, ())
        response = self.act(lambda: post(self.session, body), *legal, "slow consumer")
        assert response is not None
        assert response.status in (200, 400)

    @precondition(lambda self: not self.over_websocket() and not self.posting)
    @rule(often=st.integers(0, 4))
    def begin_post(self, often: int) -> None:
        if often:
            return
        self.posting = True
        assert self.polling.start_post(self.session)

    @precondition(lambda self: self.posting)
    @rule(how=st.sampled_from([*["refuse"] * 10, "abort", "overlap"]))
    def end_post(self, how: str) -> None:
        if how == "refuse":
            self.act(self.polling.refuse_post)
        else:
            legal = () if self.over_websocket() else (CLIENT_ERROR, "must end")
            if how == "abort":
                self.act(lambda: self.polling.abort_post(self.session), *legal)
            else:
                assert self.act(lambda: self.polling.start_post(self.session), *legal) is False
                self.polling.refuse_post()
        self.posting = False

    # -- the client over WebSocket ----------------------------------------------------------

    @precondition(lambda self: self.over_websocket() and not self.pauses)
    @rule(data=st.sampled_from([*["4ws", "beat", "6"] * 5, "5", "0", "1", "x", "wrong beat"]))
    def message(self, data: str) -> None:
        beat, wrong = ("3", "2") if self.session.protocol == 4 else ("2", "3")
        text = {"beat": beat, "wrong beat": wrong}.get(data, data)
        legal = {
            "1": (CLIENT_GONE,),
            "x": ("parse error",),
            "wrong beat": (CLIENT_ERROR,),
            "beat": ("slow consumer",),
        }.get(data, ())
        if data == "4ws" and self.session.state is OPEN:
            self.told.append("ws")
        self.act(lambda: self.session.receive(text), *legal)

    @precondition(lambda self: self.over_websocket())
    @rule()
    def stop_reading(self) -> None:
        self.current().writable = False

    @precondition(lambda self: self.over_websocket() and not self.current().closes)
    @rule()
    def read_on(self) -> None:
        self.current().writable = True
        self.act(self.session.drained)

    @precondition(lambda self: self.over_websocket())
    @rule(reason=st.sampled_from([CLIENT_GONE, CLIENT_ERROR]), often=st.integers(0, 9))
    def disconnect(self, reason: str, often: int) -> None:
        if often == 0:
            transport = self.current()
            transport.writable = False
            self.act(lambda: self.session.transport_ended(transport, reason), reason, "must end")

    @rule(which=st.integers(0, 5))
    def an_old_transport_ends(self, which: int) -> None:
        old = [socket for socket in self.sockets if socket is not self.session.transport]
        if self.over_websocket():
            self.act(lambda: self.session.transport_ended(self.polling, CLIENT_ERROR))
        if which < len(old):
            self.act(lambda: self.session.transport_ended(old[which], CLIENT_ERROR))

    # -- the upgrade --------------------------------------------------------------------------

    def attempt(self) -> Attempt | None:
        """The attempt that goes on at present."""
        for attempt in self.attempts:
            if attempt.probe is self.session.probe:
                return attempt
        return None

    @rule()
    def open_a_second_transport(self) -> None:
        possible = (
            self.session.state is OPEN and not self.over_websocket() and self.session.probe is None
        )
        socket = self.new_socket()
        probe = self.act(lambda: self.session.start_probe(socket))
        assert (probe is not None) == possible
        if probe is None:
            self.sockets.remove(socket)
        else:
            self.attempts.append(Attempt(probe, socket))

    @precondition(lambda self: self.attempt() is not None)
    @rule(data=st.sampled_from(["2probe", "2probe", "5", "5", "4a", b"\x04"]))
    def say(self, data: Message) -> None:
        attempt = self.attempt()
        assert attempt is not None
        upgraded = self.act(lambda: attempt.probe.receive(data), "slow consumer")
        assert upgraded == (data == "5")
        if upgraded:
            assert self.ended() or self.session.transport is attempt.transport
        elif data != "2probe":
            assert attempt.transport.closes == 1

    @precondition(lambda self: not self.over_websocket() and self.session.state is OPEN)
    @rule()
    def try_again(self) -> None:
        """A client gives up one attempt and makes another before the first is gone."""
        if self.attempt() is None:
            self.open_a_second_transport()
        self.say("4a")
        self.open_a_second_transport()
        self.a_second_transport_ends(len(self.attempts) - 2)

    @precondition(lambda self: self.session.state is OPEN and not self.pauses)
    @rule()
    def beat(self) -> None:
        """Nobody polls or answers until the next ping; then the client does."""
        self.wait(26)
        answer = "3" if self.session.protocol == 4 else "2"
        if self.session.state is not OPEN:
            return
        if self.over_websocket():
            self.message(answer)
        elif not self.posting:
            self.post(0, "beat")

    @precondition(lambda self: not self.over_websocket() and self.session.state is not CLOSED)
    @rule(polls=st.booleans())
    def upgrade(self, polls: bool) -> None:
        """The usual way, in one go, with a poll that is pending or without."""
        if self.attempt() is None:
            self.open_a_second_transport()
        if self.attempt() is not None:
            self.say("2probe")
        if polls and not self.over_websocket() and self.waiting is None:
            self.poll(1)
        if self.attempt() is not None:
            self.say("5")

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0, 5))
    def a_second_transport_ends(self, which: int) -> None:
        """Perhaps long after it was given up: its connection takes a while to close."""
        attempt = self.attempts[which % len(self.attempts)]
        if self.session.transport is attempt.transport:
            return  # it belongs to the session now
        current = self.attempt()
        self.act(lambda: attempt.probe.transport_ended(attempt.transport, CLIENT_GONE))
        assert self.attempt() is (None if current is attempt else current)
        self.attempts.remove(attempt)
        self.sockets.remove(attempt.transport)

    # -- what is always true ----------------------------------------------------------------

    @invariant()
    def there_is_one_end(self) -> None:
        assert len(self.reasons) <= 1
        assert self.ended() == (self.session.state is CLOSED)
        assert self.ended() != (self.engine.sessions == {"sid": self.session})

    @invariant()
    def nothing_is_left_after_the_end(self) -> None:
        if self.ended():
            assert self.engine.schedule.pending() == 0
            assert self.session.probe is None
            assert self.waiting is None
            assert not self.polling.writable
            assert self.over_websocket() or not self.sockets or self.sockets[-1].closes

    @invariant()
    def transports_are_closed_once(self) -> None:
        for socket in self.sockets:
            attempt = self.attempt()
            in_use = (self.session.transport, attempt.transport if attempt else None)
            assert socket.closes == (1 if self.ended() or socket not in in_use else 0)

    @invariant()
    def one_transport_at_a_time(self) -> None:
        if self.over_websocket():
            assert not self.polling.writable
            assert self.waiting is None
        assert self.upgrades <= 1

    @invariant()
    def what_was_sent_arrives_once_and_in_order(self) -> None:
        texts = [data for data in self.heard if isinstance(data, str)]
        assert len(texts) == len(self.heard)
        messages = [text for text in texts if text[0] == "4"]
        assert messages == self.sent[: len(messages)]
        assert "1" not in texts[:-1], "nothing comes behind a close packet"

    @invariant()
    def what_was_told_came_once_and_in_order(self) -> None:
        assert self.came == self.told[: len(self.came)]
        assert self.ended() or self.came == self.told

    @invariant()
    def somebody_watches_over_it(self) -> None:
        if self.session.state in (OPEN, CLOSING):
            assert self.engine.schedule.pending() >= 1

    @invariant()
    def a_writable_transport_leaves_nothing_waiting(self) -> None:
        corked = self.session in self.to_flush
        if self.session.transport.writable and not corked and self.session.state is OPEN:
            assert self.session.queued == 0

    @invariant()
    def pauses_reach_the_transport(self) -> None:
        if self.session.state is OPEN:
            assert self.session.paused == (self.pauses > 0)
            if self.over_websocket():
                assert self.current().paused == (self.pauses > 0)


SessionMachine.TestCase.settings = settings(max_examples=examples(50), stateful_step_count=60)
TestSessionMachine = SessionMachine.TestCase
