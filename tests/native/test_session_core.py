"""SessionCore and Cork, compiled and in Python: the same calls do the same."""

from __future__ import annotations

import gc
import importlib.util
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import telex
from telex import native
from telex.engine.packet import message
from telex.engine.session_core import OPEN, SessionCore
from telex.native import _telex
from telex.wire import EncodedPacket

if native.core is None:  # with TELEX_PURE=1 nothing else has configured what is tested here
    _telex.configure("session", SessionCore=SessionCore, open=OPEN)


def _in_python(module: str, name: str) -> Any:
    """A class of telex as it is where nothing is compiled."""
    path = Path(telex.__file__).parent / f"{module.replace('.', '/')}.py"
    spec = importlib.util.spec_from_file_location(f"telex.{module}_in_python", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    core, native.core = native.core, None
    try:
        spec.loader.exec_module(made)
    finally:
        native.core = core
    return vars(made)[name]


class Unusual:
    """What a session adds to a flow: here it only notes."""

    log: list[Any]
    room: list[str]

    def _receive_unusual(self, data: object) -> None:
        self.log.append(("unusual", data))

    def _control(self, data: object) -> None:
        self.log.append(("control", data))

    def _check_type(self, data: bytes) -> bool:
        self.log.append(("check", data))
        return data[:1] == b"\x04"

    def _make_room(self: Any) -> bool:
        self.log.append("make room")
        what = self.room.pop(0) if self.room else "yes"
        if what == "flush":
            self.flush()
        elif what == "fail":
            raise KeyError(what)
        return what != "no"

    def _flushed(self, last: EncodedPacket) -> None:
        self.log.append(("flushed", last.text))
        if self.room and self.room[0] == "fail":
            raise KeyError(self.room.pop(0))


def made(base: type, log: list[Any]) -> Any:
    """A flow of this form, whose surroundings note what it does."""
    flow: Any = type("Recorder", (Unusual, base), {})()
    flow.log = log
    flow.room = []
    flow.transport = Transport(log)
    flow.on_message = _note(log, "message")
    flow._cork = _note(log, "corked")
    flow._limit = 20
    return flow


def _note(log: list[Any], what: str) -> Callable[..., None]:
    def note(*args: Any) -> None:
        log.append((what, *[arg for arg in args if not isinstance(arg, Unusual)]))

    return note


class Transport:
    """Notes what it is given."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log
        self.writable = True
        self.fails = False

    def send(self, packets: list[EncodedPacket]) -> None:
        self._log.append(("sent", [packet.text for packet in packets]))
        if self.fails:
            raise OSError("cut")


class Observer:
    """Notes what it sees."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def received(self, data: object, prefix: int) -> None:
        self._log.append(("received", data, prefix))

    def created(self, packet: EncodedPacket) -> None:
        self._log.append(("created", packet.text))


def apply(flow: Any, step: str, value: Any) -> type | None:
    """One step; what it raises."""
    calls: dict[str, Callable[[], object]] = {
        "receive": lambda: flow.receive(value),
        "send": lambda: flow.send(value),
        "put": lambda: flow._put(value),
        "drop": flow._drop,
        "flush": flow.flush,
        "set": lambda: setattr(flow, *value),
        "observe": lambda: setattr(flow, "observer", Observer(flow.log) if value else None),
        "listen": lambda: setattr(
            flow, "on_drain", (lambda: flow.log.append("drain")) if value else None
        ),
        "writable": lambda: setattr(flow.transport, "writable", value),
        "fails": lambda: setattr(flow.transport, "fails", value),
        "room": lambda: flow.room.append(value),
        "hear": lambda: setattr(
            flow, "on_message", _raise if value else _note(flow.log, "message")
        ),
        "cork": lambda: setattr(flow, "_cork", _raise if value else _note(flow.log, "corked")),
    }
    try:
        calls[step]()
    except (KeyError, OSError) as error:
        return type(error)
    return None


def _raise(*_: object) -> None:
    raise KeyError("handler")


packets = st.sampled_from([message("x"), message("y" * 30), EncodedPacket(b"451-", (b"12345",))])
DATA = ("4", "4x", "4é", "3", "", "2probe", "x", b"", b"\x04x", b"\x05x")
flags = st.booleans()
steps = st.one_of(
    st.tuples(st.just("receive"), st.sampled_from(DATA)),
    st.tuples(st.just("send"), packets),
    st.tuples(st.just("send"), packets),
    st.tuples(st.just("put"), packets),
    st.tuples(st.sampled_from(["drop", "flush"]), st.none()),
    st.tuples(st.sampled_from(["observe", "listen", "writable", "fails", "hear", "cork"]), flags),
    st.tuples(st.just("room"), st.sampled_from(["yes", "no", "flush", "fail"])),
    st.tuples(
        st.just("set"),
        st.one_of(
            st.tuples(st.just("state"), st.sampled_from(["open", "closing", "closed"])),
            st.tuples(st.sampled_from(["corked", "_behind", "_awaiting_pong"]), flags),
            st.tuples(st.just("_binary_prefix"), st.sampled_from([0, 1])),
            st.tuples(st.just("_drain_callbacks"), st.sampled_from([None, [], [print]])),
        ),
    ),
)


@given(st.lists(steps, max_size=30))
def test_the_same_steps_do_the_same(taken: list[tuple[str, Any]]) -> None:
    logs: list[list[Any]] = []
    for base in (_telex.SessionCore, IN_PYTHON):
        log: list[Any] = []
        flow = made(base, log)
        for step, value in taken:
            log.append(apply(flow, step, value))
            log.append((flow.queued, flow.corked, [packet.text for packet in flow.waiting]))
        logs.append(log)
    assert logs[0] == logs[1]


IN_PYTHON = _in_python("engine.session_core", "SessionCore")
CORKS: list[Any] = [_telex.Cork, _in_python("fronts.driver", "Cork")]


FLOWS = [_telex.SessionCore, IN_PYTHON]


@pytest.fixture(params=FLOWS, ids=["compiled", "python"])
def flow(request: pytest.FixtureRequest) -> Any:
    return made(request.param, [])


class TestFlow:
    def test_a_cork_that_fails_is_told_again(self, flow: Any) -> None:
        """In asyncio's debug mode, `call_soon` of another thread raises: the flow goes on."""
        flow._cork = _raise
        with pytest.raises(KeyError):
            flow.send(message("x"))
        assert not flow.corked
        told: list[Any] = []
        flow._cork = told.append
        flow.send(message("y"))
        assert (told, flow.corked) == ([flow], True)
        flow.flush()
        assert flow.log == [("sent", [b"4x", b"4y"])]

    def test_begins_open_and_empty(self, flow: Any) -> None:
        assert (flow.state, flow.queued, flow.corked, flow.waiting) == ("open", 0, False, [])
        assert (flow.observer, flow.on_drain, flow.fast_dispatch) == (None, None, None)

    def test_what_waits_cannot_be_changed_from_outside(self, flow: Any) -> None:
        for text in "abc":
            flow.send(message(text))
        flow.waiting.clear()
        assert [packet.text for packet in flow.waiting] == [b"4a", b"4b", b"4c"]

    def test_what_is_sent_while_a_batch_leaves_waits_for_the_next(self, flow: Any) -> None:
        transport = flow.transport
        flow.send(message("first"))

        def send(packets: list[EncodedPacket]) -> None:
            flow.log.append([packet.text for packet in packets])
            if len(flow.log) < 10:
                flow.send(message("again"))

        transport.send = send
        flow.log.clear()
        flow.flush()
        flow.flush()
        assert flow.log == [[b"4first"], ("corked",), [b"4again"], ("corked",)]

    def test_a_transport_that_flushes_when_it_is_asked(self, flow: Any) -> None:
        class Asked(Transport):
            @property
            def writable(self) -> bool:
                flow.transport = transport
                flow.flush()
                return True

            @writable.setter
            def writable(self, value: bool) -> None:
                pass

        transport = flow.transport
        flow.transport = Asked(flow.log)
        flow.send(message("a"))
        flow.log.clear()
        flow.flush()
        assert [entry for entry in flow.log if entry != ("sent", [])] == [("sent", [b"4a"])]

    @pytest.mark.parametrize("flushes", [0, 1, 2])
    def test_garbage_that_sends_and_flushes_when_it_is_collected(
        self, flow: Any, flushes: int
    ) -> None:
        """The garbage collector may run in the midst of anything."""

        class Garbage:
            def __init__(self) -> None:
                self.itself = self

            def __del__(self) -> None:
                flow.send(message("garbage"))
                for _ in range(flushes):
                    flow.flush()
                    flow.send(message("more"))

        packets = [message(text) for text in "abcd"]
        flow._limit = 1_000_000
        flow.send(packets[0])
        before = gc.get_threshold()
        gc.collect()
        gc.set_threshold(0)
        Garbage()
        spared: list[list[int]] = [[] for _ in range(1000)]  # the next one is made anew
        try:
            gc.set_threshold(1)
            flow.send(packets[1])
        finally:
            gc.set_threshold(*before)
        gc.collect()
        flow.send(packets[2])
        flow.send(packets[3])
        flow.flush()
        sent = [text for what, *batch in flow.log if what == "sent" for text in batch[0]]
        assert [text for text in sent if len(text) == 2] == [b"4a", b"4b", b"4c", b"4d"]
        assert sent.count(b"4garbage") == 1
        assert sent.count(b"4more") == flushes
        assert len(spared) == 1000

    def test_knows_only_its_own_attributes(self, flow: Any) -> None:
        with pytest.raises((AttributeError, TypeError)):
            flow.queued = "much"
            flow.send(message("x"))

    @pytest.mark.parametrize("kind", FLOWS, ids=["compiled", "python"])
    def test_cycles_through_it_are_collected(self, kind: type) -> None:
        holder = Unusual()
        left = weakref.ref(holder)
        flow = made(kind, [])
        flow.on_message = flow._cork = flow.on_drain = (flow, holder)
        flow.fast_dispatch = flow.observer = flow.transport = (flow, holder)
        flow._put(message("x"))
        flow._put(message("y"))
        del flow, holder
        gc.collect()
        assert left() is None


@pytest.mark.parametrize("kind", CORKS, ids=["compiled", "python"])
class TestCork:
    def test_wakes_at_the_first_of_a_turn(self, kind: Any) -> None:
        woken: list[int] = []
        cork = kind(lambda: woken.append(1))
        sessions = [object() for _ in range(3)]
        for session in sessions:
            cork(session)
        assert woken == [1]
        assert cork.take() == sessions
        assert cork.take() == []
        cork(sessions[0])
        assert woken == [1, 1]
        assert cork.take() == sessions[:1]

    def test_who_cannot_be_woken_is_not_told(self, kind: Any) -> None:
        cork = kind(_raise)
        with pytest.raises(KeyError):
            cork(object())
        assert cork.take() == []

    def test_is_called_with_a_session(self, kind: Any) -> None:
        cork = kind(lambda: None)
        for args in [(), (1, 2)]:
            with pytest.raises(TypeError):
                cork(*args)
        with pytest.raises(TypeError):
            cork(1, other=2)

    def test_cycles_through_it_are_collected(self, kind: Any) -> None:
        holder = Unusual()
        left = weakref.ref(holder)
        corks: list[Any] = [holder]
        wake: Any = partial(bool, corks)
        corks.append(kind(wake))
        corks[1](corks)
        del corks, wake, holder
        gc.collect()
        assert left() is None


def test_a_flow_tells_a_compiled_cork_directly() -> None:
    cork = _telex.Cork(lambda: None)
    flow = made(_telex.SessionCore, [])
    flow._cork = cork
    flow.send(message("a"))
    flow.send(message("b"))
    assert cork.take() == [flow]
    flow.flush()
    flow.send(message("c"))
    assert cork.take() == [flow]


def test_a_cork_that_is_replaced_while_it_wakes() -> None:
    def wake() -> None:
        flow._cork = other
        gc.collect()

    other = _telex.Cork(lambda: None)
    flow = made(_telex.SessionCore, [])
    flow._cork = _telex.Cork(wake)
    flow.send(message("a"))
    flow.flush()
    flow.send(message("b"))
    assert other.take() == [flow]
