"""A client's Engine.IO session: values in, values out."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.engine import payload
from telex.engine.client_heartbeat import NEVER
from telex.engine.client_host import State
from telex.engine.client_session import CLOSE_TIMEOUT
from telex.engine.packet import message
from telex.errors import TransportError
from tests.client.unit.wires import INTERVAL, TIMEOUT, Stage, Wire, open_packet

BOTH = ("polling", "websocket")


def error_of(stage: Stage) -> TransportError:
    """The one error that was told."""
    [(_, error)] = stage.named("error")
    assert isinstance(error, TransportError)
    return error


# -- opening ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_the_handshake(name: str) -> None:
    stage = Stage(name)
    session = stage.session
    assert (session.state, session.id, session.deadline()) == (State.OPENING, None, NEVER)
    wire = stage.connected()
    assert (wire.name, wire.sid) == (name, None)
    assert (session.state, session.id, session.transport) == (State.OPEN, "the id", wire)
    assert (session.heartbeat.interval, session.heartbeat.timeout) == (INTERVAL, TIMEOUT)
    assert stage.events[0] == ("open", json.loads(open_packet()[1:]))
    assert stage.wakes == 1


def test_without_transports() -> None:
    stage = Stage()
    stage.session.open()
    assert error_of(stage).message == "No transports available"
    assert stage.ends == ["transport error"]
    assert not stage.wires


def test_the_order_of_the_transports() -> None:
    stage = Stage("websocket", "polling")
    assert stage.connected().name == "websocket"
    assert len(stage.wires) == 1, "a WebSocket needs no upgrade"


@pytest.mark.parametrize("name", BOTH)
def test_what_is_sent_before_goes_with_the_first_batch(name: str) -> None:
    stage = Stage(name)
    stage.session.open()
    stage.say("early", "too")
    assert not stage.wire.batches
    assert stage.session.queued == len("4early4too")
    if name == "websocket":
        stage.wire.opens()
    stage.wire.gives(open_packet())
    assert stage.wire.messages == ["4early", "4too"]
    assert stage.session.queued == 0


@pytest.mark.parametrize(
    "packet",
    [
        "0",
        "0nonsense",
        "0[]",
        "0null",
        "0{}",
        open_packet(pingInterval=None),
        open_packet(pingInterval="soon"),
        open_packet(pingInterval=0),
        open_packet(pingTimeout=-1),
        open_packet(pingTimeout=math.inf),
        open_packet(pingInterval=1e30),
        open_packet(upgrades=None),
        open_packet(maxPayload="much"),
    ],
)
def test_open_packets_that_cannot_be_read(packet: str) -> None:
    stage = Stage("websocket")
    stage.session.open()
    stage.wire.opens()
    stage.wire.gives(packet)
    assert error_of(stage).message == "server error"
    assert "open packet" in str(error_of(stage).description)
    assert stage.ends == ["transport error"]
    assert stage.wire.ended == "abandoned"
    assert not stage.named("open")


def test_a_second_open_packet_means_nothing() -> None:
    stage = Stage("websocket")
    stage.connected()
    stage.wire.gives(open_packet(sid="another"))
    assert stage.session.id == "the id"
    assert len(stage.named("open")) == 1


def test_closing_while_it_opens() -> None:
    """A handler closes the session: nothing more is done for it."""
    stage = Stage(*BOTH)
    stage.reacting["open"] = lambda: stage.session.end("forced close")
    stage.session.send(message("never sent"))
    stage.connected()
    assert stage.ends == ["forced close"]
    assert [wire.ended for wire in stage.wires] == ["closed"]
    assert not stage.wire.batches


def test_a_transport_that_cannot_connect() -> None:
    stage = Stage(*BOTH)
    stage.session.open()
    stage.wire.fails("xhr poll error", 503)
    error = error_of(stage)
    assert (error.message, error.description) == ("xhr poll error", 503)
    assert stage.named("close") == [("close", "transport error", error)]
    assert (stage.session.state, stage.session.transport) == (State.CLOSED, None)
    assert len(stage.wires) == 1


def test_a_websocket_that_closes_before_the_open_packet() -> None:
    stage = Stage("websocket")
    stage.session.open()
    stage.wire.opens()
    stage.wire.closes()
    assert error_of(stage).message == "websocket error"
    assert "open packet" in str(error_of(stage).description)
    assert stage.ends == ["transport error"]


@pytest.mark.parametrize("how", ["fails", "closes"])
def test_all_transports_are_tried(how: str) -> None:
    stage = Stage("websocket", "polling", try_all=True)
    stage.session.open()
    stage.say("kept")
    getattr(stage.wire, how)()
    assert [wire.name for wire in stage.wires] == ["websocket", "polling"]
    assert stage.wires[0].ended == "abandoned"
    assert not stage.named("error", "close")
    stage.wires[0].fails()  # late, and of no account
    stage.wire.gives(open_packet())
    assert stage.wire.messages == ["4kept"]
    assert len(stage.wires) == 2, "a transport that has failed is not tried again"
    stage.wire.fails("xhr poll error")
    assert stage.ends == ["transport error"]


def test_the_last_transport_fails_too() -> None:
    stage = Stage(*BOTH, try_all=True)
    stage.session.open()
    stage.wire.fails("xhr poll error")
    stage.wire.fails("websocket error")
    assert error_of(stage).message == "websocket error"
    assert [wire.ended for wire in stage.wires] == ["abandoned", "abandoned"]


def test_remembering_the_websocket() -> None:
    stage = Stage(*BOTH, websocket_first=True)
    assert stage.connected().name == "websocket"
    assert Stage("polling", websocket_first=True).connected().name == "polling"


def test_the_websocket_that_was_remembered_fails() -> None:
    stage = Stage(*BOTH, websocket_first=True, try_all=True)
    stage.session.open()
    assert stage.wire.name == "websocket"
    stage.wire.fails()
    assert stage.wire.name == "polling"


# -- packets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "item", "expected"),
    [
        (4, "4hello", "hello"),
        (4, "4", ""),
        (4, b"\x04binary", b"\x04binary"),
        (4, b"", b""),
        (4, "bYmluYXJ5", b"binary"),
        (3, "4hello", "hello"),
        (3, b"\x04binary", b"binary"),
        (3, "b4YmluYXJ5", b"binary"),
    ],
)
def test_messages(protocol: int, item: Any, expected: Any) -> None:
    stage = Stage("websocket", protocol=protocol)
    stage.connected().gives(item)
    assert stage.came == [expected]


@pytest.mark.parametrize("protocol", [4, 3])
@pytest.mark.parametrize("item", ["7", "x", "", "9nonsense"])
def test_unknown_packets(protocol: int, item: str) -> None:
    stage = Stage("websocket", protocol=protocol)
    stage.connected().gives(item)
    assert error_of(stage).message == "server error"
    assert stage.ends == ["transport error"]


@pytest.mark.parametrize("item", [b"", b"\x02", b"message"])
def test_binary_packets_of_revision_3(item: bytes) -> None:
    stage = Stage("websocket", protocol=3)
    stage.connected().gives(item)
    assert error_of(stage).description == "a binary packet is no message"


@pytest.mark.parametrize(("protocol", "item"), [(4, "3"), (4, "3probe"), (3, "2")])
def test_heartbeats_in_the_wrong_direction_mean_nothing(protocol: int, item: str) -> None:
    stage = Stage("websocket", protocol=protocol)
    stage.connected()
    before = stage.session.deadline()
    stage.wire.gives(item, "5", "6", "4still here")
    assert stage.came == ["still here"]
    assert stage.session.deadline() == before
    assert not stage.wire.messages


def test_the_server_closes_the_session() -> None:
    stage = Stage("websocket")
    stage.connected().gives("1", "4too late")
    assert stage.ends == ["transport close"]
    assert stage.wire.ended == "closed"
    assert stage.came == []


def test_the_websocket_closes() -> None:
    stage = Stage("websocket")
    stage.connected().closes()
    [(_, reason, details)] = stage.named("close")
    assert (reason, details.description) == ("transport close", "closed by the server")


def test_only_who_watches_sees_packets() -> None:
    for watched in (False, True):
        stage = Stage("websocket", watched=watched)
        stage.connected().gives("4hello")
        stage.say("answer")
        seen = stage.named("packet", "packet_create", "flush")
        expected = ["packet"] * 2 + ["packet_create", "flush"]
        assert [event[0] for event in seen] == (expected if watched else [])


# -- heartbeat --------------------------------------------------------------------------------


def test_pings_are_answered() -> None:
    stage = Stage("websocket")
    wire = stage.connected()
    for _ in range(5):
        stage.advance(INTERVAL + TIMEOUT - 0.001)
        wire.gives("2")
        stage.session.flush()
        assert wire.takes() == ["3"]
    assert stage.named("ping", "pong") == [("ping",), ("pong", 0.0)] * 5
    assert not stage.ends


def test_a_server_that_falls_silent() -> None:
    stage = Stage("websocket")
    wire = stage.connected()
    assert stage.session.deadline() == stage.clock.now + INTERVAL + TIMEOUT
    stage.advance(INTERVAL + TIMEOUT - 0.001)
    assert not stage.session.heartbeat.overdue()
    wire.gives("4a message is no heartbeat")
    stage.clock.advance(0.001)
    assert stage.session.heartbeat.overdue()
    stage.session.tick()
    assert stage.ends == ["ping timeout"]
    assert wire.ended == "abandoned"
    assert stage.session.deadline() == NEVER


def test_pings_of_revision_3() -> None:
    stage = Stage("websocket", protocol=3)
    wire = stage.connected()
    for _ in range(3):
        stage.advance(INTERVAL)
        stage.session.flush()
        assert wire.takes() == ["2"]
        stage.advance(2)
        wire.gives("3")
    assert stage.named("ping", "pong") == [("ping",), ("pong", 2.0)] * 3
    stage.advance(INTERVAL)
    stage.advance(TIMEOUT - 0.001)
    assert not stage.ends
    assert not stage.session.heartbeat.overdue()
    stage.advance(0.001)
    assert stage.ends == ["ping timeout"]


def test_whatever_comes_is_a_sign_of_life_in_revision_3() -> None:
    stage = Stage("websocket", protocol=3)
    wire = stage.connected()
    stage.advance(INTERVAL)
    for _ in range(5):
        stage.advance(TIMEOUT - 0.001)
        wire.gives("4a message")
    assert not stage.ends
    stage.advance(INTERVAL + TIMEOUT)
    assert stage.ends == ["ping timeout"]


@pytest.mark.parametrize(("protocol", "beat"), [(4, "3"), (3, "2")])
@pytest.mark.parametrize("name", BOTH)
def test_a_server_that_is_not_read_hears_that_we_live(name: str, protocol: int, beat: str) -> None:
    stage = Stage(name, protocol=protocol, upgrade=False)
    wire = stage.connected()
    stage.advance(INTERVAL / 2)
    stage.session.hold()
    stage.session.hold()
    assert (wire.held, stage.ends) == (True, [])
    heard = 0
    for _ in range(10 * int(INTERVAL + TIMEOUT)):
        stage.advance(1)
        heard += len(wire.takes())
        assert not stage.ends
    assert heard >= 10 * (INTERVAL + TIMEOUT) / TIMEOUT
    stage.session.release()
    assert (wire.held, wire.asking) == (False, name == "polling")
    stage.advance(INTERVAL - 0.001)
    assert not stage.ends, "the server's time begins anew"
    stage.advance(INTERVAL + TIMEOUT)
    assert stage.ends == ["ping timeout"]


def test_holding_what_is_not_open() -> None:
    stage = Stage("polling")
    stage.session.hold()
    stage.session.release()
    stage.connected()
    assert not stage.wire.held


# -- sending ----------------------------------------------------------------------------------


def test_a_cork_that_fails_is_told_again() -> None:
    stage = Stage("websocket")
    wire = stage.connected()
    cork, stage.session.cork = stage.session.cork, lambda: stage.named("nothing")[0]
    with pytest.raises(IndexError):
        stage.session.send(message("a"))
    stage.session.cork = cork
    stage.session.send(message("b"))
    assert stage.corks == 1
    stage.session.flush()
    assert wire.messages == ["4a", "4b"]


def test_one_flush_for_all_that_a_turn_sends() -> None:
    stage = Stage("websocket")
    wire = stage.connected()
    for number in range(3):
        stage.session.send(message(str(number)))
    assert (stage.corks, wire.batches) == (1, [])
    assert stage.session.queued == 6
    stage.session.flush()
    assert len(wire.batches) == 1
    assert wire.messages == ["40", "41", "42"]
    assert stage.named("drain") == [("drain",)]
    stage.session.flush()
    assert len(wire.batches) == 1


@pytest.mark.parametrize("name", BOTH)
def test_one_batch_at_a_time(name: str) -> None:
    stage = Stage(name, upgrade=False)
    wire = stage.connected()
    wire.slow = True
    stage.say("first")
    stage.say("second")
    stage.say("third")
    assert wire.messages == ["4first"]
    assert not stage.session.writable
    assert not stage.named("drain")
    assert wire.takes() == ["4first"]
    assert wire.messages == ["4second", "4third"]
    assert not stage.named("drain")
    wire.takes()
    assert len(stage.named("drain")) == 1
    assert stage.session.writable


PACKETS = st.lists(st.one_of(st.text(max_size=60), st.binary(max_size=60)), max_size=25)


@given(texts=PACKETS, limit=st.integers(1, 200), protocol=st.sampled_from([3, 4]))
def test_no_request_is_larger_than_the_server_takes(
    texts: list[str | bytes], limit: int, protocol: int
) -> None:
    """Unless a single packet is; and all packets arrive, in order."""
    stage = Stage("polling", protocol=protocol)
    wire = stage.connected(maxPayload=limit)
    stage.say(*texts)
    sent: list[str | bytes] = []
    while wire.batches:
        [batch] = wire.batches
        encoded = payload.encode(batch) if protocol == 4 else payload.encode3(batch, str)
        assert len(batch) == 1 or len(encoded) <= limit
        assert stage.session.queued == sum(packet.size for packet in stage.session._buffer)
        sent += wire.takes()
    assert sent == [f"4{text}" if isinstance(text, str) else text for text in texts]
    assert stage.session.queued == 0


@given(sizes=st.lists(st.integers(0, 30), min_size=2, max_size=25))
def test_requests_are_filled(sizes: list[int]) -> None:
    """The first packet of a request would not have fitted into the one before."""
    stage = Stage("polling")
    wire = stage.connected(maxPayload=60)
    stage.say(*("x" * size for size in sizes))
    requests: list[int] = []
    while wire.batches:
        [batch] = wire.batches
        requests.append(len(payload.encode(batch)))
        first = len(payload.encode(batch[:1]))
        assert len(requests) == 1 or requests[-2] + first > 60 - 2  # two separators
        wire.takes()


def test_a_websocket_takes_everything_at_once() -> None:
    stage = Stage("websocket")
    wire = stage.connected(maxPayload=10)
    stage.say(*("x" * 9 for _ in range(5)))
    assert [len(batch) for batch in wire.batches] == [5]


@pytest.mark.parametrize("limit", [0, None])
def test_servers_without_a_limit(limit: int | None) -> None:
    stage = Stage("polling")
    wire = stage.connected(maxPayload=limit)
    stage.say("x" * 2_000_000, "y" * 2_000_000)
    assert [len(batch) for batch in wire.batches] == [2]


# -- upgrade ----------------------------------------------------------------------------------


def probing(**options: Any) -> tuple[Stage, Wire, Wire]:
    """A session over polling, and the WebSocket that is to take it over."""
    stage = Stage(*BOTH, **options)
    polling = stage.connected()
    [_, probe] = stage.wires
    assert (probe.name, probe.sid) == ("websocket", "the id")
    return stage, polling, probe


def upgrading(**options: Any) -> tuple[Stage, Wire, Wire]:
    """The same, when the server has answered the probe."""
    stage, polling, probe = probing(**options)
    probe.opens()
    assert probe.takes() == ["2probe"]
    probe.gives("3probe")
    assert stage.named("upgrading") == [("upgrading", probe)]
    return stage, polling, probe


@pytest.mark.parametrize("protocol", [4, 3])
def test_the_upgrade(protocol: int) -> None:
    stage, polling, probe = upgrading(protocol=protocol)
    stage.say("while it upgrades")
    assert polling.messages == probe.messages == []
    assert not stage.session.writable
    assert stage.session.transport is polling
    polling.gives("4over polling", "6")
    assert stage.session.transport is probe
    assert stage.named("upgrade") == [("upgrade", probe)]
    assert probe.takes() == ["5", "4while it upgrades"]
    assert polling.ended == "abandoned"
    probe.gives("4over WebSocket")
    polling.gives("4of no account")
    polling.fails()
    assert stage.came == ["over polling", "over WebSocket"]
    assert not stage.ends
    assert not stage.session.upgrading


def test_a_request_that_sends_is_waited_for() -> None:
    stage, polling, probe = probing()
    stage.say("first")
    probe.opens()
    probe.takes()
    probe.gives("3probe")
    polling.gives("6")
    assert stage.session.transport is polling
    assert polling.takes() == ["4first"]
    assert stage.session.transport is probe
    assert probe.takes() == ["5"]
    stage.session.close()
    assert stage.ends == ["forced close"], "nothing is under way any more"


@pytest.mark.parametrize(
    ("transports", "options", "upgrades"),
    [
        (BOTH, {"upgrade": False}, ["websocket"]),
        (BOTH, {}, []),
        (BOTH, {}, ["webtransport"]),
        (("polling",), {}, ["websocket"]),
        (("websocket", "polling"), {}, ["websocket"]),
    ],
)
def test_when_there_is_no_upgrade(
    transports: tuple[str, ...], options: dict[str, Any], upgrades: list[str]
) -> None:
    stage = Stage(*transports, **options)
    stage.connected(upgrades=upgrades)
    assert len(stage.wires) == 1


def goes_on_over_polling(stage: Stage, polling: Wire, probe: Wire) -> None:
    """The upgrade has failed, and that is all."""
    assert len(stage.named("upgrade_error")) == 1
    assert not stage.named("error", "close", "upgrade")
    assert probe.ended == "abandoned"
    assert stage.session.transport is polling
    assert polling.asking
    polling.takes()
    stage.say("still here")
    assert polling.takes() == ["4still here"]
    polling.gives("4and here")
    assert stage.came[-1] == "and here"
    for late in (probe.opens, probe.fails, probe.closes):
        late()
    probe.gives("3probe")
    assert stage.session.transport is polling
    assert not stage.ends


@pytest.mark.parametrize("how", ["fails", "closes"])
def test_the_websocket_is_refused(how: str) -> None:
    stage, polling, probe = probing()
    getattr(probe, how)()
    goes_on_over_polling(stage, polling, probe)


@pytest.mark.parametrize("how", ["fails", "closes"])
def test_the_websocket_breaks_before_the_answer(how: str) -> None:
    stage, polling, probe = probing()
    probe.opens()
    getattr(probe, how)()
    goes_on_over_polling(stage, polling, probe)


@pytest.mark.parametrize(
    "answer", ["3", "3probex", "4probe", "2probe", "", b"3probe", open_packet()]
)
def test_another_answer_than_expected(answer: str | bytes) -> None:
    stage, polling, probe = probing()
    probe.opens()
    probe.gives(answer)
    [(_, error)] = stage.named("upgrade_error")
    assert error.message == "probe error"
    goes_on_over_polling(stage, polling, probe)


@pytest.mark.parametrize("how", ["fails", "closes"])
@pytest.mark.parametrize("sending", [False, True])
def test_the_websocket_breaks_while_polling_stops(how: str, sending: bool) -> None:
    """What was to go over it goes over polling."""
    stage, polling, probe = probing()
    if sending:
        stage.say("under way")
    probe.opens()
    probe.gives("3probe")
    stage.say("while it upgrades")
    getattr(probe, how)()
    if sending:
        assert polling.takes() == ["4under way"]
    assert polling.messages == ["4while it upgrades"]
    goes_on_over_polling(stage, polling, probe)


def test_the_websocket_breaks_when_the_last_poll_has_ended() -> None:
    stage, polling, probe = probing()
    stage.say("under way")
    probe.opens()
    probe.gives("3probe")
    polling.gives("6")
    assert not polling.asking
    probe.closes()
    assert polling.takes() == ["4under way"]
    goes_on_over_polling(stage, polling, probe)


def test_polling_breaks_while_it_stops() -> None:
    stage, polling, probe = upgrading()
    polling.fails("xhr poll error")
    assert stage.ends == ["transport error"]
    assert (polling.ended, probe.ended) == ("abandoned", "abandoned")
    assert not stage.session.upgrading or stage.session.state is State.CLOSED


def test_the_session_ends_while_it_probes() -> None:
    stage, polling, probe = probing()
    stage.session.close()
    assert stage.ends == ["forced close"]
    assert (polling.ended, probe.ended) == ("closed", "abandoned")
    probe.opens()
    assert probe.batches == []


def test_closing_waits_for_the_upgrade() -> None:
    stage, polling, probe = upgrading()
    stage.session.send(message("the last words"))
    stage.session.close()
    assert stage.session.state is State.CLOSING
    stage.session.flush()
    assert not stage.ends
    polling.gives("6")
    assert probe.messages == ["5", "4the last words"]
    assert stage.ends == ["forced close"]
    assert probe.ended == "closed"


@pytest.mark.parametrize("how", ["fails", "closes"])
def test_closing_while_an_upgrade_fails(how: str) -> None:
    stage, polling, probe = upgrading()
    stage.session.send(message("the last words"))
    stage.session.close()
    getattr(probe, how)()
    stage.session.flush()
    assert polling.takes() == ["4the last words"]
    assert stage.ends == ["forced close"]
    assert polling.ended == "closed"


def test_the_heartbeat_goes_on_while_it_upgrades() -> None:
    stage, polling, probe = upgrading()
    stage.advance(INTERVAL)
    polling.gives("2")
    assert probe.takes() == ["5", "3"]
    stage.advance(INTERVAL + TIMEOUT - 0.001)
    assert not stage.ends


def test_a_held_session_upgrades() -> None:
    """What is read last over polling makes the handlers fall behind."""
    stage, polling, probe = upgrading()
    stage.session.on_message = lambda data, pos: stage.session.hold()
    polling.gives("4much")
    assert stage.session.transport is probe
    assert probe.held
    stage.session.release()
    assert not probe.held


# -- closing ----------------------------------------------------------------------------------


def test_closing_before_it_is_open() -> None:
    stage = Stage("polling")
    stage.session.open()
    stage.session.close()
    assert stage.ends == ["forced close"]
    assert stage.wire.ended == "abandoned"
    stage.wire.gives(open_packet())
    assert not stage.named("open")


@pytest.mark.parametrize("name", BOTH)
def test_closing_sends_what_is_queued(name: str) -> None:
    stage = Stage(name, upgrade=False)
    wire = stage.connected()
    wire.slow = True
    stage.say("first")
    stage.session.send(message("second"))
    stage.session.close()
    stage.session.close()
    assert stage.session.state is State.CLOSING
    stage.say("dropped")
    assert wire.takes() == ["4first"]
    assert wire.takes() == ["4second"]
    assert stage.ends == ["forced close"]
    assert wire.ended == "closed"
    assert stage.session.deadline() == NEVER


def test_what_still_comes_while_it_closes() -> None:
    stage = Stage("polling", upgrade=False)
    wire = stage.connected()
    stage.say("under way")
    stage.session.close()
    wire.gives("4not lost")
    assert stage.came == ["not lost"]
    wire.takes()
    assert stage.ends == ["forced close"]


def test_a_server_that_does_not_let_us_close() -> None:
    stage = Stage("polling", upgrade=False)
    wire = stage.connected()
    stage.say("never taken")
    before = stage.wakes
    stage.session.close()
    assert stage.wakes == before + 1
    assert stage.session.deadline() == stage.clock.now + CLOSE_TIMEOUT
    stage.advance(CLOSE_TIMEOUT - 0.001)
    assert not stage.ends
    stage.advance(0.001)
    assert stage.ends == ["forced close"]
    assert wire.ended == "abandoned"


def test_the_end_is_told_once() -> None:
    stage = Stage("websocket")
    wire = stage.connected()
    stage.session.send(message("never sent"))
    stage.reacting["close"] = stage.session.close
    stage.session.end("ping timeout")
    stage.session.end("forced close")
    stage.session.close()
    wire.closes()
    wire.fails()
    wire.gives("4too late", "2")
    stage.say("too late")
    stage.session.tick()
    stage.session.hold()
    stage.session.drained(wire)
    assert stage.ends == ["ping timeout"]
    assert not stage.named("error")
    assert (wire.batches, stage.came) == ([], [])
    assert (stage.session.queued, stage.session.id) == (0, None)
