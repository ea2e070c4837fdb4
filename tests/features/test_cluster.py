"""Several servers that a broker joins, for clients of JavaScript."""

from __future__ import annotations

from typing import Any

from telex import Server, Socket
from telex.adapter.base import AdapterHost
from telex.adapter.cluster import ClusterAdapter
from tests.adapter.contract.loopback import Loopback
from tests.features.scripts import Page, Site, until


async def two(site: Site) -> tuple[list[Server], list[Page], list[Socket]]:
    """Two servers, each with a client."""
    broker = Loopback()

    def adapter(host: AdapterHost) -> ClusterAdapter:
        return ClusterAdapter(host, broker)

    servers = [Server(adapter=adapter), Server(adapter=adapter)]
    pages = [await site.page(io) for io in servers]
    for page in pages:
        await page.run("page.socket = await connect()")
    return servers, pages, [next(iter(io.sockets.sockets.values())) for io in servers]


async def known(io: Server) -> None:
    """Wait until the server knows the other one."""
    adapter: Any = io.adapter
    await until(lambda: len(adapter.nodes) == 2)


async def test_the_clients_of_all_servers(site: Site) -> None:
    [one, two_], pages, [_, far] = await two(site)
    await known(one)
    await one.in_(far.id).sockets_join("room")
    await until(lambda: "room" in far.rooms)
    one.to("room").emit("x", b"bytes", {"a": 1})
    one.emit("done")
    assert await pages[1].run("return await until(page.socket, 'done')") == [
        ["x", b"bytes", {"a": 1}]
    ]
    assert await pages[0].run("return await until(page.socket, 'done')") == []
    await pages[0].run("page.socket.on('name?', answer => answer('ana'))")
    await pages[1].run("page.socket.on('name?', answer => answer('ben'))")
    assert sorted(await two_.timeout(5).emit_with_ack("name?")) == ["ana", "ben"]
    assert len(await one.fetch_sockets()) == await two_.count() == 2


async def test_a_server_that_is_closed_and_listens_again(site: Site) -> None:
    [one, two_], _, _ = await two(site)
    await known(one)
    await two_.close()
    assert await one.adapter.server_count() == 1
    await two_.listen(port=0)
    await known(one)
    got: list[Any] = []
    two_.on("hello", got.append)
    await one.server_side_emit("hello", 1)
    await until(lambda: bool(got))
    assert got == [1]
