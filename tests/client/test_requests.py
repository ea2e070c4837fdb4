"""What the requests of a client carry: path, query, headers, cookies, bodies of bounded size."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import telex
from tests.client.counterparts import (
    BRISK,
    TRANSPORTS,
    Clients,
    Counterpart,
    Kind,
    Scene,
    Transport,
    new_name,
    upgraded,
)
from tests.client.ports import forward_proxy, refusing_port
from tests.features.scripts import Calls

KINDS: tuple[Kind, ...] = ("socket.io-2", "socket.io-3", "socket.io-4", "telex")
every_kind = pytest.mark.parametrize("kind", KINDS)
every_transport = pytest.mark.parametrize("transport", list(TRANSPORTS))
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])


def cookies_of(request: Any) -> set[str]:
    return {cookie for cookie in request["headers"].get("cookie", "").split("; ") if cookie}


class TestAddresses:
    @every_kind
    @every_transport
    async def test_the_path(self, scene: Scene) -> None:
        for path in ("/real/time", "/real/time/"):
            socket = await scene.connect(site="elsewhere", path=path)
            assert await socket.emit_with_ack("answer", 1) == 1

    @telex_and_node
    async def test_schemes(self, clients: Clients, server: Counterpart) -> None:
        """`ws` means the same as `http`; without any, `http` is meant."""
        bare = server.url().removeprefix("http://")
        for url in (f"http://{bare}", f"ws://{bare}", bare, f"http://{bare}/", f" {bare} "):
            socket = clients.keep(telex.connect(url, force_new=True))
            await socket
            assert socket.nsp == "/"

    @telex_and_node
    async def test_the_namespace_in_the_url(self, clients: Clients, server: Counterpart) -> None:
        for url, name in (
            (f"{server.url()}/chat", "/chat"),
            (f"{server.url()}/chat?visit=1", "/chat"),
            (f"{server.url()}?visit=1", "/"),
        ):
            socket = clients.keep(telex.connect(url, force_new=True))
            await socket
            assert socket.nsp == name
            who: Any = await socket.emit_with_ack("who")
            assert who["namespace"] == name

    @telex_and_node
    async def test_addresses_without_a_name(self, clients: Clients, server: Counterpart) -> None:
        for url in ("", "http://", "ftp://127.0.0.1", "http://127.0.0.1:port"):
            with pytest.raises(telex.ConfigurationError):
                telex.connect(url)

    @telex_and_node
    async def test_options_that_do_not_exist(self, clients: Clients, server: Counterpart) -> None:
        misspelt: Any = {"reconection_delay": 1}
        with pytest.raises(telex.UnknownOptionError, match="reconnection_delay"):
            telex.connect(server.url(), **misspelt)

    async def test_no_slash_at_the_end(self, clients: Clients) -> None:
        """As servers want it that compare paths letter by letter."""
        import http.server
        import threading

        paths: list[str] = []

        class Notice(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path.partition("?")[0])
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notice) as listening:
            thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
            thread.start()
            try:
                url = f"http://127.0.0.1:{listening.server_address[1]}"
                for slash in (True, False):
                    with pytest.raises(telex.ConnectError):
                        await clients.keep(
                            telex.connect(url, force_new=True, add_trailing_slash=slash)
                        )
            finally:
                await asyncio.to_thread(listening.shutdown)
                thread.join()
        assert paths == ["/socket.io/", "/socket.io"]


class TestConnections:
    """Which sockets share one."""

    @telex_and_node
    async def test_namespaces_of_a_server_do(self, clients: Clients, server: Counterpart) -> None:
        main = clients.keep(telex.connect(server.url()))
        chat = clients.keep(telex.connect(server.url(namespace="/chat")))
        assert main.io is chat.io
        await main
        news = clients.keep(telex.connect(server.url(namespace="/news"), auth={"any": "thing"}))
        assert news.io is main.io
        for socket in (chat, news):
            await socket

    @telex_and_node
    async def test_those_with_other_options_do_not(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """JavaScript's client would forget the options of the second one."""
        main = clients.keep(telex.connect(server.url()))
        chat = clients.keep(telex.connect(server.url(namespace="/chat"), query={"a": "b"}))
        assert chat.io is not main.io
        await main
        known: Any = await (await chat).emit_with_ack("handshake")
        assert known["query"]["a"] == "b"

    @telex_and_node
    async def test_the_same_namespace_twice_does_not(
        self, clients: Clients, server: Counterpart
    ) -> None:
        first = clients.keep(telex.connect(server.url()))
        second = clients.keep(telex.connect(server.url()))
        assert first.io is not second.io
        await first
        await second
        assert first.id != second.id

    @telex_and_node
    async def test_nor_who_does_not_want_to(self, clients: Clients, server: Counterpart) -> None:
        main = clients.keep(telex.connect(server.url()))
        options: list[dict[str, Any]] = [{"force_new": True}, {"multiplex": False}]
        for option in options:
            chat = clients.keep(telex.connect(server.url(namespace="/chat"), **option))
            assert chat.io is not main.io
            await chat
        await main

    @telex_and_node
    async def test_nor_other_paths_and_ports(self, clients: Clients, server: Counterpart) -> None:
        main = clients.keep(telex.connect(server.url()))
        elsewhere = clients.keep(telex.connect(server.url("elsewhere", "/chat"), path="/real/time"))
        assert main.io is not elsewhere.io
        await main
        await elsewhere


class TestQuery:
    @every_kind
    @every_transport
    async def test_on_every_request(self, scene: Scene) -> None:
        visit = new_name()
        query = {"visit": visit, "a b": "ü&=?/#", "yes": True, "number": 7}
        socket = await scene.connect(query=query)
        if scene.transport == "upgrade":
            await upgraded(socket)
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        assert requests
        for request in requests:
            seen = request["query"]
            assert seen["a b"] == "ü&=?/#"
            assert seen["yes"] == "true"
            assert seen["number"] == "7"
            assert seen["EIO"] == ("3" if scene.server.protocol == 4 else "4")
        known: Any = await socket.emit_with_ack("handshake")
        assert known["query"]["a b"] == "ü&=?/#"

    @telex_and_node
    @pytest.mark.parametrize("namespace", ["/", "/chat"])
    async def test_in_the_url(self, clients: Clients, server: Counterpart, namespace: str) -> None:
        url = server.url(namespace=namespace)
        socket = clients.keep(telex.connect(f"{url}?key=a%20value&empty=", force_new=True))
        await socket
        known: Any = await socket.emit_with_ack("handshake")
        assert known["query"]["key"] == "a value"
        assert known["query"]["empty"] == ""

    @telex_and_node
    async def test_of_one_transport(self, clients: Clients, server: Counterpart) -> None:
        visit = new_name()
        socket = await clients.connect(
            server,
            query={"visit": visit},
            transport_options={
                "websocket": {"query": {"only": "websocket"}, "headers": {"X-Only": "websocket"}}
            },
        )
        await upgraded(socket)
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        for request in requests:
            expected = "websocket" if request["transport"] == "websocket" else None
            assert request["query"].get("only") == expected
            assert request["headers"].get("x-only") == expected
        assert {request["transport"] for request in requests} == {"polling", "websocket"}

    @telex_and_node
    async def test_nothing_is_answered_by_caches(
        self, clients: Clients, server: Counterpart
    ) -> None:
        visit = new_name()
        socket = await clients.connect(server, query={"visit": visit}, transports=("polling",))
        for _ in range(3):
            await socket.emit_with_ack("answer")
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        stamps = [request["query"]["t"] for request in requests]
        assert len(set(stamps)) == len(stamps)


class TestHeaders:
    @every_kind
    @every_transport
    async def test_on_every_request(self, scene: Scene) -> None:
        visit = new_name()
        headers = {"X-Trace": "7", "Authorization": "Bearer token"}
        socket = await scene.connect(query={"visit": visit}, headers=headers)
        if scene.transport == "upgrade":
            await upgraded(socket)
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        assert {request["transport"] for request in requests} == set(TRANSPORTS[scene.transport])
        for request in requests:
            assert request["headers"]["x-trace"] == "7"
            assert request["headers"]["authorization"] == "Bearer token"
            assert "origin" not in request["headers"]


class TestCookies:
    @every_kind
    async def test_kept_over_polls(self, clients: Clients, server: Counterpart) -> None:
        """What the first answer sets comes with every later request; later answers change it."""
        visit = new_name()
        socket = await clients.connect(server, query={"visit": visit}, transports=("polling",))
        for _ in range(3):
            await socket.emit_with_ack("answer")
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        first, *others = [cookies_of(request) for request in requests]
        assert first == set()
        assert all("node=a" in cookies for cookies in others)
        assert all("far=x" not in cookies for cookies in others), "it is for another path"
        assert all("tls=only" not in cookies for cookies in others), "it is for TLS"
        assert {"node=a", "stage=later"} == others[-1], "changed, and deleted"

    @telex_and_node
    async def test_kept_over_the_upgrade(self, clients: Clients, server: Counterpart) -> None:
        visit = new_name()
        socket = await clients.connect(server, query={"visit": visit})
        await upgraded(socket)
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        (upgrade,) = [request for request in requests if request["transport"] == "websocket"]
        assert "node=a" in cookies_of(upgrade)

    @telex_and_node
    @every_transport
    async def test_kept_over_reconnections(self, scene: Scene) -> None:
        """As servers behind a load balancer need it."""
        visit = new_name()
        socket = await scene.connect(query={"visit": visit}, reconnection=True, **BRISK)
        if scene.transport == "upgrade":
            await upgraded(socket)
        connected = Calls()
        socket.on("connect", connected)
        socket.emit("close the transport")
        await connected.next()
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        first, again = [request for request in requests if request["first"]]
        assert cookies_of(first) == set()
        assert "node=a" in cookies_of(again)

    @telex_and_node
    async def test_those_of_the_caller_stay(self, clients: Clients, server: Counterpart) -> None:
        visit = new_name()
        socket = await clients.connect(
            server,
            query={"visit": visit},
            headers={"Cookie": "mine=1"},
            transports=("polling",),
        )
        await socket.emit_with_ack("answer")
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        assert cookies_of(requests[0]) == {"mine=1"}
        assert {"mine=1", "node=a"} <= cookies_of(requests[-1])

    @telex_and_node
    async def test_not_shared_with_other_clients(
        self, clients: Clients, server: Counterpart
    ) -> None:
        visits = [new_name(), new_name()]
        for visit in visits:
            socket = await clients.connect(server, query={"visit": visit})
            requests: list[Any] = await socket.emit_with_ack("requests", visit)
            assert cookies_of(requests[0]) == set()


class TestProxy:
    """A proxy between client and server, as in offices."""

    @telex_and_node
    @every_transport
    async def test_through_a_proxy(self, scene: Scene) -> None:
        async with forward_proxy() as proxy:
            socket = await scene.connect(proxy=proxy.url)
            if scene.transport == "upgrade":
                await upgraded(socket)
            assert await socket.emit_with_ack("answer", b"through it") == b"through it"
            await socket.disconnect()
            assert (
                proxy.methods
                == {
                    "polling": {"GET", "POST"},
                    "websocket": {"CONNECT"},
                    "upgrade": {"GET", "POST", "CONNECT"},
                }[scene.transport]
            )

    @pytest.mark.parametrize("kind", ["telex"])
    @every_transport
    async def test_the_one_of_the_environment(
        self,
        clients: Clients,
        server: Counterpart,
        transport: Transport,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """For servers of other machines; only the proxy knows the name."""
        async with forward_proxy() as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
            url = f"http://server.test:{server.url().rpartition(':')[2]}"
            socket = clients.keep(
                telex.connect(url, transports=TRANSPORTS[transport], force_new=True)
            )
            await socket
            if transport == "upgrade":
                await upgraded(socket)
            await socket.disconnect()
            assert ("CONNECT" in proxy.methods) == (transport != "polling")
            assert ("GET" in proxy.methods) == (transport != "websocket")

    @telex_and_node
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_a_proxy_that_is_not_there(self, scene: Scene) -> None:
        with refusing_port() as port:
            with pytest.raises(telex.ConnectError) as raised:
                await scene.connect(proxy=f"http://127.0.0.1:{port}")
            assert raised.value.message in {"xhr poll error", "websocket error"}
            assert f"127.0.0.1:{port}" in str(raised.value)


class TestSizes:
    @pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
    async def test_requests_stay_below_what_the_server_takes(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """Many queued events become several requests, none of which is too large."""
        visit, name = new_name(), new_name()
        socket = clients.make(server, site="small", query={"visit": visit}, transports=("polling",))
        texts = [f"{number} " + "é" * (number % 90) for number in range(150)]
        for text in texts:
            socket.emit("note", name, text)
        await socket
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        posts = [request["length"] for request in requests if request["method"] == "POST"]
        assert max(posts) <= 2000
        assert await _notes(clients, server, name) == texts

    @every_kind
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_what_servers_send_may_be_larger(self, scene: Scene) -> None:
        """The limit is that of the server for what it takes."""
        socket = await scene.connect(site="small")
        text, data = await socket.emit_with_ack("send large", 1_500_000)
        assert text == "é" * 1_500_000
        assert data == b"b" * 1_500_000

    @pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
    async def test_binary_data_count_as_they_are_written(
        self, clients: Clients, server: Counterpart
    ) -> None:
        visit, name = new_name(), new_name()
        socket = clients.make(server, site="small", query={"visit": visit}, transports=("polling",))
        pieces = [bytes([number]) * 700 for number in range(12)]
        for piece in pieces:
            socket.emit("note", name, piece)
        await socket
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        posts = [request["length"] for request in requests if request["method"] == "POST"]
        assert max(posts) <= 2000
        assert await _notes(clients, server, name) == pieces

    @pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
    async def test_one_event_that_is_too_large(self, clients: Clients, server: Counterpart) -> None:
        """It ends the connection, and the client is told why."""
        socket = await clients.connect(
            server, site="small", transports=("polling",), reconnection=False
        )
        gone = Calls()
        socket.on("disconnect", gone)
        socket.emit("echo", "x" * 5000)
        reason, details = await gone.next()
        assert reason == "transport error"
        assert "413" in str(details)


async def _notes(clients: Clients, server: Counterpart, name: str) -> Any:
    """What the server has noted, asked where there is room for the answer."""
    socket = await clients.connect(server)
    return await socket.emit_with_ack("notes", name)
