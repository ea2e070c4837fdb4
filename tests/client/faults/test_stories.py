"""What users do in trouble, told once and lived by both clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

import telex
from telex.options import TransportName
from tests.client.faults.elsewhere import Elsewhere
from tests.client.faults.scenes import Log, server
from tests.client.faults.stories import Client, Ours, Reactions, Theirs
from tests.features.scripts import Site, until
from tests.support.proxy import Answer, Fault, Proxy

Story: TypeAlias = Callable[[Client, Proxy], Awaitable[Any]]

TRANSPORTS = pytest.mark.parametrize("transports", [("polling",), ("websocket",)], ids=str)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that sometimes does not answer, and throws clients out."""
    io = server()

    @io.event
    def hold(socket: telex.Socket, value: int, ack: telex.Ack) -> None:
        pass

    @io.event
    def leave(socket: telex.Socket, value: int) -> None:
        socket.disconnect()

    there = Elsewhere.start(io)
    assert io.port is not None
    yield io.port
    there.close()


async def tell(
    site: Site,
    port: int,
    story: Story,
    reactions: Reactions | None = None,
    *,
    faults: Sequence[Fault] = (),
    managers: bool = True,
    **options: Any,
) -> tuple[Any, Log]:
    """Both live the story and say the same; what it gives, and the events of the socket.

    The events of the managers are compared only if `managers` says so.
    """

    async def live(theirs: bool) -> tuple[Any, Log, Log]:
        async with await Proxy.start(port) as proxy:
            proxy.faults = [replace(fault, fired=asyncio.Event()) for fault in faults]
            client: Client
            if theirs:
                client = javascript = Theirs(site.page_at(proxy.url))
                await javascript.start(options, reactions or {})
            else:
                client = Ours(proxy.url, options, reactions or {})
            result = await story(client, proxy)
            socket, manager = await client.said()
            await client.close()
            return result, socket, manager if managers else []

    async with asyncio.TaskGroup() as group:
        theirs = group.create_task(live(True))
        ours = group.create_task(live(False))
    assert ours.result() == theirs.result()
    return ours.result()[:2]


@TRANSPORTS
async def test_acknowledgements_at_a_cut(
    site: Site, port: int, transports: tuple[TransportName, ...]
) -> None:
    """Those with an error hear of it at once; what waits for the connection is sent."""

    async def story(client: Client, proxy: Proxy) -> Log:
        await client.until("connect")
        await client.emit("plain", "hold", 1)
        await client.emit("timeout", "hold", 2)
        await client.emit("promise", "hold", 3)
        await client.settle()
        await proxy.refuse()
        proxy.cut()
        await client.until("disconnect")
        await client.emit("plain", "echo", 4)
        await client.emit("timeout", "echo", 6)
        await client.emit("promise", "echo", 7)
        await proxy.admit()
        await client.settle()
        return await client.answers()

    answers, _ = await tell(
        site, port, story, transports=transports, reconnection_delay=0.3, reconnection_delay_max=0.3
    )
    lost = [["timeout 2", "error"], ["promise 3", "error"]]
    assert answers == [*lost, ["plain 4", 4], ["timeout 6", 6], ["promise 7", 7]]


async def test_what_times_out_without_a_connection_is_never_sent(site: Site, port: int) -> None:
    """The server does not see it afterwards."""

    async def story(client: Client, proxy: Proxy) -> Any:
        await client.until("connect")
        await client.emit("timeout", "echo", 1)
        await client.settle()
        await proxy.refuse()
        proxy.cut()
        await client.until("disconnect")
        await client.emit("timeout", "echo", 2, seconds=0.02)
        await client.emit("plain", "echo", 3)
        await _until_answers(client, 2)
        await proxy.admit()
        await client.settle()
        sent = [unit.text for unit in proxy.units if '"echo",' in unit.text]
        numbers = [text.rsplit(",", 1)[1][0] for text in sent if '"settled"' not in text]
        return await client.answers(), numbers

    result, _ = await tell(
        site,
        port,
        story,
        transports=("websocket",),
        reconnection_delay=0.2,
        reconnection_delay_max=0.2,
    )
    answers, numbers = result
    assert answers == [["timeout 1", 1], ["timeout 2", "error"], ["plain 3", 3]]
    assert numbers == ["1", "3"]


async def _until_answers(client: Client, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await client.answers()) < count:
            await asyncio.sleep(0.005)


@TRANSPORTS
async def test_thrown_out_and_back(
    site: Site, port: int, transports: tuple[TransportName, ...]
) -> None:
    """`connect()` in the handler of `disconnect`, as the documentation advises."""

    async def story(client: Client, proxy: Proxy) -> None:
        await client.until("connect")
        await client.emit("plain", "leave", 1)
        await client.until("connect", 2)
        await client.settle()

    _, socket = await tell(site, port, story, {"disconnect": "connect"}, transports=transports)
    assert socket == [["connect"], ["disconnect", "io server disconnect"], ["connect"]]


@TRANSPORTS
async def test_connecting_by_hand_at_a_cut(
    site: Site, port: int, transports: tuple[TransportName, ...]
) -> None:
    """`connect()` although the manager reconnects by itself: one connection comes of it."""

    async def story(client: Client, proxy: Proxy) -> None:
        await client.until("connect")
        await client.settle()
        proxy.cut()
        await client.until("connect", 2)
        await client.settle()
        await asyncio.sleep(0.1)  # would be the time for another one
        await client.settle()

    # JavaScript's manager opens twice as fast, and has then forgotten how to reconnect.
    reactions: Reactions = {"disconnect": "connect"}
    _, socket = await tell(site, port, story, reactions, managers=False, transports=transports)
    assert [entry[0] for entry in socket] == ["connect", "disconnect", "connect"]


@pytest.mark.parametrize("event", ["connect_error", "reconnect_attempt", "reconnect_error"])
async def test_giving_up_in_a_handler(site: Site, port: int, event: str) -> None:
    """`disconnect()` ends the attempts; `connect()` begins anew, whenever it is called."""

    async def story(client: Client, proxy: Proxy) -> None:
        await client.until(event)
        await asyncio.sleep(0.1)  # would be the time for another attempt
        await client.order("connect")
        await client.until("connect")
        await client.settle()

    # JavaScript's managers say `close` even if there was nothing to close.
    options: dict[str, Any] = {"managers": False, "transports": ("polling",)}
    faults = [Fault("handshake", Answer(502), times=2)]
    await tell(site, port, story, {event: "disconnect"}, faults=faults, **options)


async def test_disconnected_while_it_waits_to_reconnect(site: Site, port: int) -> None:
    """No attempt follows; what was emitted meanwhile is sent if it ever connects again."""

    async def story(client: Client, proxy: Proxy) -> Log:
        await client.until("connect")
        await client.settle()
        await proxy.refuse()
        proxy.cut()
        await client.until("disconnect")
        await client.emit("plain", "echo", 1)
        await client.order("disconnect")
        await client.emit("plain", "echo", 2)
        await proxy.admit()
        await asyncio.sleep(2.5)
        assert not proxy.connections
        await client.order("connect")
        await client.settle()
        return await client.answers()

    answers, _ = await tell(
        site, port, story, managers=False, transports=("websocket",), reconnection_delay=2
    )
    assert answers == [["plain 1", 1], ["plain 2", 2]]


async def test_remembering_the_upgrade(site: Site, port: int) -> None:
    """The next connection begins with WebSocket, until WebSocket fails."""

    async def story(client: Client, proxy: Proxy) -> list[str]:
        def seen(*phases: str) -> list[str]:
            return [phase for phase in proxy.phases() if phase in phases]

        await client.until("connect")
        await until(lambda: any(unit.text == "5" for unit in proxy.units))
        await client.settle()
        proxy.cut()
        await client.until("connect", 2)
        await client.settle()
        proxy.add(Fault("open", Answer(502)))
        proxy.cut()
        await client.until("connect", 3)
        await client.settle()
        return seen("handshake", "open")

    page = site.page_at("http://127.0.0.1")
    await page.run("eio.Socket.priorWebsocketSuccess = false")
    phases, _ = await tell(
        site, port, story, transports=("polling", "websocket"), remember_upgrade=True
    )
    assert phases == ["handshake", "open", "open", "handshake"]


async def test_retries(site: Site, port: int) -> None:
    """An event whose acknowledgement is lost is sent again, one after the other, in order."""

    async def story(client: Client, proxy: Proxy) -> Any:
        await client.until("connect")
        await client.settle()
        proxy.add(Fault("server frame", "reset", match=r"^43\d*\["))
        proxy.add(Fault("client frame", "reset", match="echo", skip=3))
        for value in range(4):
            await client.emit("timeout", "echo", value)
        await _until_answers(client, 4)
        sent = [unit.text for unit in proxy.units if '"echo",' in unit.text]
        return await client.answers(), [text[-2] for text in sent if '"settled"' not in text]

    (answers, sent), _ = await tell(
        site, port, story, transports=("websocket",), retries=3, ack_timeout=30
    )
    assert answers == [[f"timeout {value}", value] for value in range(4)]
    assert sorted(set(sent)) == ["0", "1", "2", "3"]
    assert len(sent) == 6
