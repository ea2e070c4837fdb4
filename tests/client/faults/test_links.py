"""Slow and broken links, servers that are down, wrong certificates, hostile servers."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import trustme

import telex
from telex.options import TransportName
from tests.client.faults import javascript
from tests.client.faults.scenes import QUICK, Listening, server, upgraded
from tests.features.scripts import Calls, Site, until
from tests.support.proxy import Answer, Fault, Instead, Proxy

POLLING: tuple[TransportName, ...] = ("polling",)
WEBSOCKET: tuple[TransportName, ...] = ("websocket",)
BOTH = POLLING + WEBSOCKET
ANY = pytest.mark.parametrize("transports", [POLLING, WEBSOCKET, BOTH], ids=str)
ONE = pytest.mark.parametrize("transports", [POLLING, WEBSOCKET], ids=str)


async def target(site: Site, **options: Any) -> int:
    """The port of a server."""
    io = server(**options)

    @io.event
    def count(socket: telex.Socket, number: int) -> int:
        socket.emit("counted", number)
        return number

    await site.serve(io)
    assert io.port is not None
    return io.port


@ANY
@pytest.mark.parametrize("pace", [(1, 0.0), (7, 0.0), (1000, 0.002)], ids=str)
async def test_a_slow_link(
    site: Site, transports: tuple[TransportName, ...], pace: tuple[int, float]
) -> None:
    """Byte by byte, or a little at a time: everything comes, in order, also over an upgrade."""
    async with await Proxy.start(await target(site)) as proxy:
        proxy.pace = pace
        async with telex.connect(proxy.url, force_new=True, transports=transports) as socket:
            counted = Calls()
            socket.on("counted", counted)
            answers = [socket.emit_with_ack("count", number) for number in range(20)]
            assert await asyncio.gather(*answers) == list(range(20))
            if len(transports) == 2:
                await until(partial(upgraded, socket))
            assert await socket.emit_with_ack("count", 20) == 20
            size = 100 if pace[0] < 10 else 4_000
            text = "ä€😀" * size
            assert await socket.emit_with_ack("echo", [text, b"\x00" * size]) == [
                text,
                b"\x00" * size,
            ]
            await until(lambda: len(counted.all) == 21)
            assert counted.first == list(range(21))


@pytest.mark.parametrize("pace", [None, (500, 0.0), (100, 0.001)], ids=str)
async def test_an_upgrade_in_full_flow(site: Site, pace: tuple[int, float] | None) -> None:
    """Both sides talk all the while: nothing is lost, repeated or overtaken."""
    io = server()
    received, told = Calls(), Calls()

    @io.on("connection")
    async def connection(socket: telex.Socket) -> None:
        socket.on("told", received)
        for number in range(100):
            socket.emit("told", number, b"attached" if number % 10 == 0 else None)
            await asyncio.sleep(0)

    await site.serve(io)
    assert io.port is not None
    async with await Proxy.start(io.port) as proxy:
        proxy.pace = pace
        socket = telex.connect(proxy.url, force_new=True)
        socket.on("told", told)
        async with socket:
            count = 0
            while count < 100 or not upgraded(socket):
                socket.emit("told", count, b"attached" if count % 10 == 0 else None)
                count += 1
                await asyncio.sleep(0.001)
            await until(lambda: len(received.all) >= count and len(told.all) >= 100)
            assert told.first == list(range(100))
            assert received.first == list(range(count))


@ONE
async def test_a_server_that_is_down(site: Site, transports: tuple[TransportName, ...]) -> None:
    """Refused until it is back; what was emitted meanwhile arrives once, in order."""
    async with await Proxy.start(await target(site)) as proxy:
        socket = telex.connect(proxy.url, force_new=True, transports=transports, **QUICK)
        counted = Calls()
        socket.on("counted", counted)
        await until(lambda: socket.connected)
        await proxy.refuse()
        proxy.cut()
        listening = Listening(socket)
        await until(lambda: listening.log.count(["connect_error", _word(transports), None]) > 2)
        for number in range(20):
            socket.emit("count", number)
            socket.volatile.emit("count", 1000 + number)
        assert not counted.all
        await proxy.admit()
        assert await socket.emit_with_ack("count", 20) == 20
        assert counted.first == list(range(21))
        assert socket.connected
        await socket.disconnect()


def _word(transports: tuple[TransportName, ...]) -> str:
    return "xhr poll error" if transports == POLLING else "websocket error"


@ONE
async def test_a_connection_that_ends_before_the_open_packet(
    site: Site, transports: tuple[TransportName, ...]
) -> None:
    """Told at once. JavaScript's client hears nothing of it before its `timeout` of 20 s."""
    async with await Proxy.start(await target(site)) as proxy:
        phase: Any = "server frame" if transports == WEBSOCKET else "handshake answer"
        for action in ("reset", "end"):
            for share in (0.0, 0.5):
                proxy.add(Fault(phase, action, share, match=r"^0\{"))
        socket = telex.connect(proxy.url, force_new=True, transports=transports, **QUICK)
        listening = Listening(socket)
        await until(lambda: socket.connected)
        failures = [["connect_error", _word(transports), None]] * 4
        assert listening.log == [*failures, ["connect"]]
        await socket.disconnect()


# What a hostile or broken server may say where its open packet should be.
OPEN_PACKETS = {
    "no JSON": "0{",
    "no object": "0[]",
    "nothing": "0",
    "no id": '0{"upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}',
    "upgrades is no list": '0{"sid":"a","upgrades":1,"pingInterval":25000,"pingTimeout":20000}',
    "a text for a time": '0{"sid":"a","upgrades":[],"pingInterval":"x","pingTimeout":20000}',
    "a negative time": '0{"sid":"a","upgrades":[],"pingInterval":-1,"pingTimeout":-20000}',
    "not a number": '0{"sid":"a","upgrades":[],"pingInterval":"nan","pingTimeout":"nan"}',
    "no time": '0{"sid":"a","upgrades":[],"pingInterval":null,"pingTimeout":20000}',
}


@ONE
@pytest.mark.parametrize("text", [*OPEN_PACKETS.values()], ids=[*OPEN_PACKETS])
async def test_a_bad_open_packet(
    site: Site, transports: tuple[TransportName, ...], text: str
) -> None:
    """A `connect_error` and another attempt; JavaScript's client dies of some of them."""
    async with await Proxy.start(await target(site)) as proxy:
        phase: Any = "server frame" if transports == WEBSOCKET else "handshake answer"
        proxy.add(Fault(phase, Instead(text), times=2))
        socket = telex.connect(proxy.url, force_new=True, transports=transports, **QUICK)
        failures = Calls()
        socket.on("connect_error", failures)
        await until(lambda: socket.connected)
        assert [error.message for error in failures.first] == ["server error"] * 2
        assert all("open packet" in str(error.description) for error in failures.first)
        await socket.disconnect()


async def test_an_answer_without_an_open_packet(site: Site) -> None:
    """Not asked for again at once; JavaScript's client says nothing before its `timeout`."""
    async with await Proxy.start(await target(site)) as proxy:
        for text in ("4", "6", "40{}\x1e2"):
            proxy.add(Fault("handshake answer", Instead(text)))
        socket = telex.connect(proxy.url, force_new=True, transports=POLLING, **QUICK)
        failures = Calls()
        socket.on("connect_error", failures)
        await until(lambda: socket.connected)
        assert [error.message for error in failures.first] == ["server error"] * 3
        assert proxy.phases().count("handshake") == 4
        await socket.disconnect()


async def test_credentials_stay_with_their_origin(site: Site) -> None:
    """A redirection elsewhere gets none of the headers and cookies."""
    async with (
        await Proxy.start(await target(site)) as proxy,
        await Proxy.start(await target(site)) as elsewhere,
    ):
        place = f"{elsewhere.url.replace('127.0.0.1', 'localhost')}/socket.io/?EIO=4"
        answer = Answer(307, "", (("Location", place), ("Set-Cookie", "id=secret; Path=/")))
        proxy.add(Fault("handshake", answer, times=math.inf))
        socket = telex.connect(
            proxy.url,
            force_new=True,
            headers={"Authorization": "Bearer secret", "X-Token": "secret", "Cookie": "a=secret"},
            auth={"token": "secret"},
        )
        with pytest.raises(telex.ConnectError):
            await socket
        assert not [unit for unit in elsewhere.units if b"secret" in unit.data]


async def test_every_packet_boundary(site: Site) -> None:
    """A scripted session is cut at its first unit, at its second one, and so on to its end."""
    port = await target(site)
    for transports in (POLLING, WEBSOCKET, BOTH):
        position, over = 0, False
        while not over:
            over = await _cut_at(port, transports, position)
            position += 1
        assert position > 8


async def _cut_at(port: int, transports: tuple[TransportName, ...], position: int) -> bool:
    """Whether the session was over before there was a unit of this number."""
    async with await Proxy.start(port) as proxy:
        proxy.cut_at = position
        socket = telex.connect(proxy.url, force_new=True, transports=transports, **QUICK)
        listening = Listening(socket)
        counted = Calls()
        socket.on("counted", counted)
        for number in range(3):
            socket.emit("count", number, b"attached")
        await listening.settle()
        if len(transports) == 2:
            await until(lambda: listening.upgraded or listening.has("disconnect"))
        await socket.disconnect()
        numbers = counted.first
        assert numbers == sorted(set(numbers)), "repeated, or out of order"
        reasons = {entry[1] for entry in listening.log if entry[0] == "disconnect"}
        assert reasons <= {"transport close", "transport error", "io client disconnect"}
        return proxy.sound


# -- TLS ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificates."""
    return trustme.CA()


def context(authority: trustme.CA, name: str, **options: Any) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for this name."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.issue_cert(name, **options).private_key_and_cert_chain_pem.tempfile() as path:
        made.load_cert_chain(path)
    return made


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's side, that knows the authority."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


def wrong(authority: trustme.CA) -> Iterator[tuple[str, ssl.SSLContext, ssl.SSLContext | None]]:
    """Servers that are not to be trusted, and the options of the client."""
    good = context(authority, "127.0.0.1")
    yield "signed by nobody we know", good, None
    yield "another name", context(authority, "example.org"), trusting(authority)
    past = datetime.now(UTC) - timedelta(days=1)
    yield "expired", context(authority, "127.0.0.1", not_after=past), trusting(authority)
    yield "another authority", good, trusting(trustme.CA())


@ONE
async def test_a_wrong_certificate(
    site: Site, authority: trustme.CA, transports: tuple[TransportName, ...]
) -> None:
    """Refused by default, in JavaScript's words; the certificate is named as the cause."""
    port = await target(site)
    for name, theirs, ours in wrong(authority):
        async with await Proxy.start(port, tls=theirs) as proxy:
            with pytest.raises(telex.ConnectError, match=_word(transports)) as caught:
                await telex.connect(proxy.url, force_new=True, transports=transports, ssl=ours)
            assert "certificate" in str(caught.value.description).lower(), name
            page = site.page_at(proxy.url)
            options = {"transports": transports, "reconnection_attempts": 1, **QUICK}
            await javascript.start(page, options, None)
            await page.run("await page.until('connect_error')")
            assert (await page.run("return page.log"))[0][1] == _word(transports)
            await page.close()


@ANY
async def test_a_right_certificate(
    site: Site, authority: trustme.CA, transports: tuple[TransportName, ...]
) -> None:
    """With a context that knows the authority, or without looking, if the user says so."""
    port = await target(site)
    async with await Proxy.start(port, tls=context(authority, "127.0.0.1")) as proxy:
        for choice in (trusting(authority), False):
            async with telex.connect(
                proxy.url, force_new=True, transports=transports, ssl=choice
            ) as socket:
                assert await socket.emit_with_ack("echo", 1) == 1
                if len(transports) == 2:
                    await until(partial(upgraded, socket))


@ONE
async def test_tls_where_there_is_none(site: Site, transports: tuple[TransportName, ...]) -> None:
    """And none where there is TLS: an error, not a wait."""
    port = await target(site)
    async with await Proxy.start(port) as proxy:
        url = proxy.url.replace("http:", "https:")
        with pytest.raises(telex.ConnectError, match=_word(transports)):
            await telex.connect(url, force_new=True, transports=transports, ssl=False)
    async with await Proxy.start(port, tls=context(trustme.CA(), "127.0.0.1")) as proxy:
        url = proxy.url.replace("https:", "http:")
        with pytest.raises(telex.ConnectError, match=_word(transports)):
            await telex.connect(url, force_new=True, transports=transports)
