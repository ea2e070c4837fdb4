"""What leaves: everything, once, in its order, whoever is read in the same turn."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.server.socket import Socket
from tests.native.scenes import Client, Server, compiled_dispatch, frames_in, said
from tests.support.raw import CLOSE, PING, PONG, TEXT, close_frame, frame
from tests.test_values import SENT

BIG = 70_000
"""More than a connection keeps of its answers."""


def made(count: int) -> tuple[Server, list[Client]]:
    """A server and clients, which reach each other by number."""
    server = Server()
    clients = [server.client() for _ in range(count)]
    numbers = {client.socket.id: number for number, client in enumerate(clients)}
    sockets = [client.socket for client in clients]

    @server.root.event
    def echo(socket: Socket, value: Any) -> Any:
        return value

    @server.root.event
    def grow(socket: Socket, size: int) -> str:
        return "x" * size

    @server.root.event
    def say(socket: Socket, value: Any) -> Any:
        socket.emit("said", value)
        return value

    @server.root.event
    def tell(socket: Socket, number: int, value: Any) -> Any:
        sockets[number % count].emit("told", numbers[socket.id], value)
        return "told"

    @server.root.event
    def everybody(socket: Socket, value: Any) -> None:
        server.root.emit("news", numbers[socket.id], value)

    @server.root.event
    def others(socket: Socket, value: Any) -> None:
        socket.broadcast.emit("news", numbers[socket.id], value)

    @server.root.event
    async def later(socket: Socket, value: Any) -> Any:
        return value

    @server.root.event
    def drop(socket: Socket, number: int) -> str:
        sockets[number % count].disconnect(close=True)
        return "dropped"

    @server.root.event
    def flush(socket: Socket, number: int) -> str:
        clients[number % count].session.flush()
        return "flushed"

    for client in clients:
        client.sent()
    return server, clients


@pytest.fixture
def four() -> Iterator[list[Client]]:
    server, clients = made(4)
    with server:
        yield clients


numbers = st.integers(0, 3)
EVENTS = st.one_of(
    *[st.builds('"echo",{}'.format, st.integers(0, 999))] * 3,
    st.builds('"grow",{}'.format, st.sampled_from([10, 120, 200, 9000, 17_000, BIG])),
    st.builds('"say",{}'.format, numbers),
    st.builds('"tell",{},{}'.format, numbers, st.integers(0, 999)),
    st.builds('"{}",{}'.format, st.sampled_from(["everybody", "others", "later"]), numbers),
    st.builds('"flush",{}'.format, numbers),
    st.sampled_from(['"drop",0', '"drop",1', '"echo"', '"echo",', '"nobody"']),
)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["", "1", "22"]), EVENTS), max_size=8),
        min_size=4,
        max_size=4,
    )
)
def test_everybody_hears_the_same_compiled_and_in_python(
    asked: list[list[tuple[str, str]]],
) -> None:
    """All clients are read in one turn."""
    heard: list[Any] = []
    for wanted in (True, False):
        with compiled_dispatch(wanted):
            server, clients = made(4)
            with server:
                for client, events in zip(clients, asked, strict=True):
                    client.write(said(*[f"42{ack}[{event}]" for ack, event in events]))
                server.poll()
                parts = [b""] * 4
                for _ in range(30):
                    sent = [client.sent() for client in clients]
                    parts = [old + new for old, new in zip(parts, sent, strict=True)]
                    server.settle(1)
                heard.append(
                    [(frames_in(part), c.reasons) for part, c in zip(parts, clients, strict=True)]
                )
    assert heard[0] == heard[1]


def test_values_are_answered_alike_compiled_and_in_python() -> None:
    heard: list[list[str | bytes]] = []
    for wanted in (True, False):
        with compiled_dispatch(wanted):
            server, (client,) = made(1)

            @server.root.event
            def give(socket: Socket, number: int) -> Any:
                return [SENT[number][0]]

            with server:
                for number in range(len(SENT)):
                    client.write(said(f'421["give",{number}]'))
                    server.settle(1)
                heard.append(client.heard())
    assert heard[0] == heard[1]
    assert len(heard[0]) >= len(SENT)


class TestOrder:
    def test_more_clients_than_are_served_in_a_turn(self) -> None:
        server, clients = made(150)
        with server:
            for number, client in enumerate(clients):
                client.write(said(f'421["echo",{number}]', f'422["say",{number}]'))
            server.settle(1)
            server.settle()
            for number, client in enumerate(clients):
                expected = [f"431[{number}]", f'42["said",{number}]', f"432[{number}]"]
                assert client.heard() == expected

    def test_answers_of_every_size(self, four: list[Client]) -> None:
        sizes = [0, 121, 122, 123, 124, 65_527, 65_528, 65_529, 65_530, 65_531, 65_532, 65_533]
        for client in four:
            client.write(said(*[f'42{size}["grow",{size}]' for size in sizes]))
        heard: list[bytes] = [b""] * 4
        for _ in range(40):
            four[0].server.settle(1)
            heard = [old + client.sent() for old, client in zip(heard, four, strict=True)]
        for data in heard:
            expected = [b'43%d["%b"]' % (size, b"x" * size) for size in sizes]
            assert [found.payload for found in frames_in(data)] == expected

    def test_pongs_and_the_close_frame_come_behind_answers(self, four: list[Client]) -> None:
        client = four[0]
        data = said('421["echo",1]', '422["echo",2]') + frame(PING, b"p") + said('423["echo",3]')
        client.send(data + close_frame(1000) + said('424["echo",4]'))
        kinds = [(found.opcode, found.payload) for found in frames_in(client.sent())]
        assert [kind for kind in kinds if kind[0] != PONG] == [
            (TEXT, b"431[1]"),
            (TEXT, b"432[2]"),
            (TEXT, b"433[3]"),
            (CLOSE, b"\x03\xe8"),
        ]
        assert (PONG, b"p") in kinds
        assert client.reasons == ["transport close"]

    @pytest.mark.parametrize("end", [frame(TEXT, b"4\xff"), frame(3), frame(TEXT, "x")])
    def test_what_was_answered_leaves_before_a_violation_ends_it(
        self, four: list[Client], end: bytes
    ) -> None:
        four[0].send(said('421["echo",1]') + end)
        *answers, last = frames_in(four[0].sent())
        if end != frame(TEXT, "x"):  # that ends the session at once, and what waits in a queue
            assert [answer.payload for answer in answers] == [b"431[1]"]
        assert last.opcode == CLOSE

    def test_answers_leave_before_the_server_hangs_up(self, four: list[Client]) -> None:
        server = four[0].server
        closing: list[str] = []

        @server.root.event
        def close(socket: Socket) -> None:
            closing.append("closed")
            server.core.close_connections()

        for client in four[:3]:
            client.write(said('421["echo",1]'))
        four[3].write(said('422["echo",2]', '42["close"]', '423["echo",3]'))
        server.settle()
        assert closing == ["closed"]
        for client in four:
            ack, *more = frames_in(client.sent())
            assert ack.payload == (b"432[2]" if client is four[3] else b"431[1]")
            assert [found.opcode for found in more] == [CLOSE]
            assert client.reasons == ["server shutting down"]

    def test_bytes_that_come_from_elsewhere(self, four: list[Client]) -> None:
        """`feed` outside of a poll: answers leave at once."""
        four[0].websocket.feed(said('421["echo",1]', '422["say",2]'))
        assert four[0].heard() == ["431[1]", '42["said",2]', "432[2]"]

    def test_bytes_that_come_from_elsewhere_within_a_handler(self, four: list[Client]) -> None:
        one, two = four[0], four[1]

        @one.server.root.event
        def feed(socket: Socket, value: int) -> int:
            two.websocket.feed(said(f'42{value}["echo",{value}]'))
            return value

        one.write(said('421["echo",1]', *[f'42{n}["feed",{n}]' for n in range(2, 100)]))
        two.write(said('42200["echo",200]'))
        one.server.settle()
        assert one.heard() == [f"43{number}[{number}]" for number in range(1, 100)]
        assert two.heard() == [f"43{number}[{number}]" for number in (*range(2, 100), 200)]


class TestSlowClients:
    def test_nothing_is_lost(self, four: list[Client]) -> None:
        client = four[0]
        for number in range(40):
            client.say(f'42{number}["grow",{20_000 + number}]')
            four[1].say('421["echo",1]')
        assert not client.websocket.writable
        assert client.websocket.unsent < 200_000
        data = b""
        for _ in range(200):
            data += client.sent()
            client.server.settle(1)
        expected = [b'43%d["%b"]' % (n, b"x" * (20_000 + n)) for n in range(40)]
        assert [found.payload for found in frames_in(data)] == expected
        assert four[1].heard() == ["431[1]"] * 40

    def test_who_never_reads_is_disconnected(self) -> None:
        with Server(send_buffer_limit=100_000) as server:

            @server.root.event
            def grow(socket: Socket, size: int) -> str:
                return "x" * size

            client = server.client()
            for _ in range(100):
                client.say('421["grow",50000]')
            assert client.reasons == ["slow consumer"]

    def test_the_place_of_large_answers_is_given_back(self, four: list[Client]) -> None:
        client = four[0]

        def ask(size: int, times: int) -> None:
            client.write(said(*[f'421["grow",{size}]'] * times))
            client.server.poll()
            for _ in range(1000):
                if not client.sent():
                    break
                client.server.settle(1)

        ask(1_000_000, 1)
        ask(60_000, 50)
        tracemalloc.start()
        try:
            ask(1_000_000, 3)
            ask(60_000, 50)
            left, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert left < 400_000


class TestFairness:
    def test_who_was_ready_first_has_its_answer_before_a_slow_handler_is_twice(
        self, four: list[Client]
    ) -> None:
        """The answers of others wait for one slow handler at most, not for all that follow."""
        first = four[0]
        seen: list[list[str | bytes]] = []

        @first.server.root.event
        def slow(socket: Socket) -> None:
            seen.append(first.heard())
            time.sleep(0.003)  # an answer has no more patience than 0.001

        first.write(said('421["echo",1]'))
        for client in four[1:]:
            client.write(said('42["slow"]'))
        first.server.poll()
        assert [message for heard in seen[:2] for message in heard] == ["431[1]"]
        assert seen[2:] == [[]]

    def test_a_client_with_much_to_say_lets_others_be_read(self, four: list[Client]) -> None:
        count = 2_000
        four[0].write(said(*['42["echo",1]'] * count))
        for client in four[1:]:
            client.write(said('421["echo",1]'))
        four[0].server.poll()
        four[0].server.poll()
        assert [client.heard() for client in four[1:]] == [["431[1]"]] * 3
