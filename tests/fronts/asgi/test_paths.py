"""Where the ASGI front answers: its path, at any mount point, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telex.client_bundle import FILES
from telex.config import EngineOptions
from telex.engine.engine import Engine
from telex.fronts.asgi.app import AsgiFront
from telex.types import Message, Receive, Scope, Send
from tests.support.doubles import VirtualClock

BUNDLE = "socket.io.js"


def front(path: str = "/socket.io", *, serve_client: bool = True, **options: Any) -> AsgiFront:
    engine = Engine(EngineOptions(path=path), VirtualClock(), json_text=True)
    return AsgiFront(engine, serve_client=serve_client, **options)


def scope(path: str, root: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "root_path": root,
        "query_string": b"EIO=4&transport=polling",
        "headers": [(b"host", b"localhost")],
        **changes,
    }


class TestBelowPath:
    @pytest.mark.parametrize(
        ("root", "path"),
        [
            ("", "/socket.io"),
            ("", "/socket.io/"),
            ("", "/socket.io//"),
            # Mounted at /rt; ASGI says that the path contains the mount point …
            ("/rt", "/rt/socket.io"),
            ("/rt", "/rt/socket.io/"),
            # … and older hosts strip it.
            ("/rt", "/socket.io/"),
            ("/a/b", "/a/b/socket.io/"),
            # Mounted at the path itself, which is then reached there.
            ("/socket.io", "/socket.io"),
            ("/socket.io", "/socket.io/"),
            ("/socket.io", "/"),
            ("/socket.io", ""),
            ("/rt/socket.io", "/rt/socket.io/"),
            # Mounted at a name that equals the path, and reached below.
            ("/socket.io", "/socket.io/socket.io/"),
        ],
    )
    def test_the_engine(self, root: str, path: str) -> None:
        assert front().below_path(scope(path, root)) == ""

    @pytest.mark.parametrize(
        ("root", "path"),
        [
            ("", "/"),
            ("", ""),
            ("", "/socket.iox/"),
            ("", "/socket.io.js"),
            ("", "/x/socket.io/"),
            ("", "/socket.io/unknown.js"),
            ("", "/socket.io/../secret"),
            ("", "/SOCKET.IO/"),
            ("/rt", "/rtx/socket.io/"),
            ("/rt", "/rt/"),
            ("/rt", "/"),
            ("/xsocket.io", "/xsocket.io/"),
            ("/socket.iox", "/socket.iox/"),
        ],
    )
    def test_elsewhere(self, root: str, path: str) -> None:
        assert front().below_path(scope(path, root)) is None

    @pytest.mark.parametrize(
        ("root", "path"),
        [
            ("", "/socket.io/"),
            ("/rt", "/rt/socket.io/"),
            ("/rt", "/socket.io/"),
            ("/socket.io", "/socket.io/"),
            ("/socket.io", "/"),
            ("/rt/socket.io", "/rt/socket.io/"),
            ("/socket.io", "/socket.io/socket.io/"),
        ],
    )
    def test_the_client_bundle(self, root: str, path: str) -> None:
        for name in FILES:
            assert front().below_path(scope(path + name, root)) == name
            assert front(serve_client=False).below_path(scope(path + name, root)) is None

    def test_another_path(self) -> None:
        deep = front("/api/live/")
        assert deep.below_path(scope("/api/live")) == ""
        assert deep.below_path(scope("/x/api/live/", "/x")) == ""
        assert deep.below_path(scope("/api/live/", "/api/live")) == ""
        assert deep.below_path(scope(f"/api/live/{BUNDLE}")) == BUNDLE
        assert deep.below_path(scope("/api/")) is None
        assert deep.below_path(scope("/x/live/", "/x")) is None

    @pytest.mark.parametrize("root", ["/ws", "/behind/ws", "/behind/a/ws"])
    @pytest.mark.parametrize("strips", [False, True])
    @pytest.mark.parametrize("rest", ["", "/", f"/{BUNDLE}"])
    def test_the_whole_path_may_be_given(self, root: str, strips: bool, rest: str) -> None:
        """`Server(path="/ws/socket.io")` mounted at `/ws`, which a proxy may have put elsewhere."""
        asked = scope(f"{'' if strips else root}/socket.io{rest}", root)
        assert front("/ws/socket.io").below_path(asked) == rest.strip("/")

    @pytest.mark.parametrize("root", ["/w", "/xws", "/ws/x", ""])
    def test_another_mount_point_is_no_part_of_the_path(self, root: str) -> None:
        assert front("/ws/socket.io").below_path(scope(f"{root}/socket.io/", root)) is None

    @pytest.mark.parametrize(
        ("path", "asked", "local"),
        [
            ("/socket.io", "/socket.io", "/"),
            ("/socket.io", "/socket.io/", "/"),
            ("/socket.io", "/ws/socket.io/", "/socket.io/"),
            ("/ws/socket.io", "/ws/socket.io", "/socket.io/"),
            ("/ws/socket.io", "/a%20b/ws/socket.io/", "/ws/socket.io/"),
        ],
    )
    def test_a_host_that_does_not_name_the_mount_point(
        self, path: str, asked: str, local: str
    ) -> None:
        """Litestar shortens `path`, leaves `root_path` empty, and ends each path with a slash."""
        assert front(path).below_path(scope(local, raw_path=asked.encode())) == ""
        bundle = f"{asked.rstrip('/')}/{BUNDLE}"
        files = scope(f"{local.rstrip('/')}/{BUNDLE}/", raw_path=bundle.encode())
        assert front(path).below_path(files) == BUNDLE
        assert front(path).below_path(scope("/x/", raw_path=asked.encode())) is None


class Exchange:
    """One request of a host, and what was answered."""

    def __init__(self, **request: Any) -> None:
        self.scope = scope(**request)
        self.incoming: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.incoming.pop(0) if self.incoming else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self, app: AsgiFront) -> Exchange:
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join([message.get("body", b"") for message in self.sent])


class OtherApp:
    """Another ASGI application; it keeps what it was called with."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, asked: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(asked)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class TestForeignPaths:
    async def test_go_to_the_other_application_untouched(self) -> None:
        other = OtherApp()
        app = front(other=other)
        exchange = await Exchange(path="/page", root="/rt").run(app)
        assert exchange.status == 204
        assert other.scopes == [exchange.scope]

    async def test_of_every_kind_of_scope(self) -> None:
        other = OtherApp()
        app = front(other=other)
        await Exchange(path="/chat", type="websocket").run(app)
        assert [asked["type"] for asked in other.scopes] == ["websocket"]

    async def test_are_not_found_without_one(self) -> None:
        exchange = await Exchange(path="/page", query_string=b"").run(front())
        assert (exchange.status, exchange.body) == (404, b"Not Found")

    @pytest.mark.parametrize("kind", ["http", "websocket"])
    async def test_a_client_with_a_wrong_path_is_told_the_right_one(self, kind: str) -> None:
        for path, root, right in [
            ("/page", "", "/socket.io"),
            ("/ws/", "/ws", "/ws/socket.io"),
            ("/<b>\n/", "/<b>\n", "/socket.io"),
        ]:
            exchange = Exchange(
                path=path, root=root, type=kind, extensions={"websocket.http.response": {}}
            )
            if kind == "websocket":
                exchange.incoming = [{"type": "websocket.connect"}]
            await exchange.run(front())
            assert exchange.status == 404
            assert f'option path: "{right}"'.encode() in exchange.body
            assert b"<b>" not in exchange.body

    async def test_a_websocket_is_refused_without_one(self) -> None:
        exchange = Exchange(path="/chat", type="websocket")
        exchange.incoming = [{"type": "websocket.connect"}]
        await exchange.run(front())
        assert exchange.sent == [{"type": "websocket.close", "code": 1008}]

    async def test_a_websocket_is_refused_with_a_status_where_the_host_can(self) -> None:
        exchange = Exchange(
            path="/chat", type="websocket", extensions={"websocket.http.response": {}}
        )
        exchange.incoming = [{"type": "websocket.connect"}]
        await exchange.run(front())
        assert exchange.sent[0]["type"] == "websocket.http.response.start"
        assert exchange.status == 404


class TestOwnPath:
    @pytest.mark.parametrize(("root", "path"), [("", "/socket.io/"), ("/rt", "/rt/socket.io/")])
    async def test_the_open_packet_is_the_answer(self, root: str, path: str) -> None:
        app = front(other=OtherApp())
        exchange = await Exchange(path=path, root=root).run(app)
        assert exchange.status == 200
        sid = json.loads(exchange.body[1:])["sid"]
        assert list(app.engine.sessions) == [sid]
        app.driver.stop()

    async def test_files_of_the_bundle(self) -> None:
        exchange = await Exchange(path=f"/socket.io/{BUNDLE}").run(front())
        assert exchange.status in (200, 501)  # it has to be fetched before it can be served
        exchange = await Exchange(path=f"/socket.io/{BUNDLE}", method="POST").run(front())
        assert exchange.status == 405

    async def test_a_request_with_two_hosts_is_none(self) -> None:
        headers = [(b"host", b"a"), (b"Host", b"b")]
        exchange = await Exchange(path="/socket.io/", headers=headers).run(front())
        assert exchange.status == 400

    async def test_lifespan(self) -> None:
        app = front()
        shut_down: list[str] = []

        async def close_connections(drain: float) -> None:
            shut_down.append("now")

        app.close_connections = close_connections
        exchange = Exchange(path="", type="lifespan")
        exchange.incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        await exchange.run(app)
        assert [message["type"] for message in exchange.sent] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        assert shut_down == ["now"]

    async def test_lifespan_of_another_application(self) -> None:
        seen: list[str] = []

        async def other(asked: Scope, receive: Receive, send: Send) -> None:
            while not seen or seen[-1] != "lifespan.shutdown":
                seen.append((await receive())["type"])

        app = front(other=other)
        shut_down: list[list[str]] = []

        async def close_connections(drain: float) -> None:
            shut_down.append(list(seen))

        app.close_connections = close_connections
        exchange = Exchange(path="", type="lifespan")
        exchange.incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        await exchange.run(app)
        assert seen == ["lifespan.startup", "lifespan.shutdown"]
        assert shut_down == [["lifespan.startup"]]
