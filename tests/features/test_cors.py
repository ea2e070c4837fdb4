"""Origins and CORS: which pages may connect, and what browsers are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex import ConfigurationError, Request, Server
from telex.options import CorsKeywords
from tests.clients.javascript import JavaScript
from tests.features.scripts import Site

OUTCOMES = """
    const outcomes = [];
    for (const origin of origins) {
      for (const transport of ["polling", "websocket"]) {
        const extraHeaders = origin ? { Origin: origin } : {};
        const socket = open("/", { transports: [transport], extraHeaders });
        outcomes.push(await Promise.race([
          once(socket, "connect").then(() => true), once(socket, "connect_error").then(() => false),
        ]));
      }
    }
    return outcomes;
"""


async def admitted(site: Site, io: Server, origins: list[str]) -> list[bool]:
    """Which origins are let in; over both transports alike."""
    page = await site.page(io)
    origins = [origin.replace("HOST", page.url.removeprefix("http://")) for origin in origins]
    outcomes: list[bool] = await page.run(OUTCOMES, origins=origins)
    assert outcomes[::2] == outcomes[1::2]
    return outcomes[::2]


async def test_the_default_is_the_same_origin(site: Site) -> None:
    """And clients without an `Origin` header. Node lets everybody in over WebSocket."""
    origins = ["", "http://HOST", "http://evil.example", "https://other.example:443", "null"]
    assert await admitted(site, Server(), origins) == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("*", [True, True, True, True]),
        ("*:*", [True, True, True, True]),
        ("https://foo.example.com", [True, False, False, False]),
        ("https://foo.example.com:443", [True, False, False, False]),
        (["https://foo.example.com:443"], [True, False, False, False]),
        (["foo.example.com:443"], [True, False, False, False]),
        ("foo.example.com:*", [True, True, True, False]),
        (["*:443"], [True, False, False, True]),
        (["http://foo.example.com", "bar.example.com:443"], [False, True, False, True]),
    ],
)
async def test_origins_as_in_2x(site: Site, option: Any, expected: list[bool]) -> None:
    """The forms of the seeds: with and without scheme, with port, several, everything."""
    origins = [
        "https://foo.example.com",
        "http://foo.example.com",
        "http://foo.example.com:8080",
        "https://bar.example.com",
    ]
    assert await admitted(site, Server(origins=option), origins) == expected
    io = Server()
    io.origins = option
    assert io.origins == option
    assert await admitted(site, io, origins) == expected


async def test_a_function_decides(site: Site) -> None:
    """`io.origins(fn)` of the seeds, `(origin, request) -> bool` here."""
    asked: list[str] = []

    def decide(origin: str, request: Request) -> bool:
        asked.append(origin)
        return origin == "https://foo.example.com" and request.query["transport"] != ""

    origins = ["https://foo.example.com", "https://bar.example.com", ""]
    assert await admitted(site, Server(origins=decide), origins) == [True, False, True]
    assert set(asked) == set(origins[:2])


async def test_a_function_that_fails_refuses(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def fails(origin: str, request: Request) -> bool:
        raise RuntimeError("no list")

    assert await admitted(site, Server(origins=fails), ["https://a.example"]) == [False]
    assert "no list" in caplog.text


async def test_a_refusal_names_the_origin_and_the_option(site: Site) -> None:
    page = await site.page(Server())
    status, text = await page.run("""
        const headers = { Origin: "https://foo.example.com" };
        const answer = await request("/socket.io/?EIO=4&transport=polling", { headers });
        return [answer.status, JSON.parse(answer.text).message];
    """)
    assert status == 403
    assert "https://foo.example.com" in text
    assert "origins=['https://foo.example.com']" in text


async def test_an_origin_is_checked_on_every_request(site: Site) -> None:
    """Whoever knows a session's id cannot use it from a page of somebody else's."""
    page = await site.page(Server())
    assert await page.run("""
        const socket = await connect("/", { transports: ["polling"] });
        const { id } = socket.io.engine;
        const headers = { Origin: "https://evil.example" };
        const query = `/socket.io/?EIO=4&transport=polling&sid=${id}`;
        const got = await request(query, { headers });
        const posted = await request(query, { headers, method: "POST", body: '42["x"]' });
        return [got.status, posted.status, socket.connected];
    """) == [403, 403, True]


async def test_the_headers_for_browsers(site: Site) -> None:
    """Of a preflight and of every answer; as Node sends them for the same options."""
    cors: CorsKeywords = {
        "origins": ["https://good.example"],
        "methods": ["GET", "PUT", "POST"],
        "allowed_headers": ["x-custom"],
        "exposed_headers": ["x-shown"],
        "credentials": True,
        "max_age": 123,
    }
    page = await site.page(Server(cors=cors))
    preflight, answer, bundle, refused = await page.run("""
        const query = "/socket.io/?EIO=4&transport=polling";
        const headers = { Origin: "https://good.example" };
        const preflight = await request(query, {
          method: "OPTIONS",
          headers: { ...headers, "Access-Control-Request-Method": "PUT" },
        });
        return [
          preflight, await request(query, { headers }),
          await request("/socket.io/socket.io.js", { headers }),
          await request(query, { headers: { Origin: "https://evil.example" } }),
        ];
    """)
    assert preflight["status"] == 204
    assert preflight["bytes"] == b""
    told = preflight["headers"]
    assert told["access-control-allow-origin"] == "https://good.example"
    assert told["access-control-allow-credentials"] == "true"
    assert told["access-control-allow-methods"] == "GET, PUT, POST"
    assert told["access-control-allow-headers"] == "x-custom"
    assert told["access-control-max-age"] == "123"
    for seen in (answer, bundle):
        assert seen["status"] == 200
        assert seen["headers"]["access-control-allow-origin"] == "https://good.example"
        assert seen["headers"]["access-control-allow-credentials"] == "true"
        assert seen["headers"]["access-control-expose-headers"] == "x-shown"
        assert "origin" in seen["headers"]["vary"].lower()
    assert refused["status"] == 403
    assert "access-control-allow-origin" not in refused["headers"]


async def test_everybody_without_credentials(site: Site) -> None:
    page = await site.page(Server(cors={"origins": "*"}))
    headers = await page.run("""
        const headers = { Origin: "https://any.example" };
        return (await request("/socket.io/?EIO=4&transport=polling", { headers })).headers;
    """)
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


async def test_without_cors_there_is_no_preflight(site: Site) -> None:
    page = await site.page(Server())
    assert await page.run("""
        const answer = await request("/socket.io/?EIO=4&transport=polling", { method: "OPTIONS" });
        return [answer.status, JSON.parse(answer.text).code];
    """) == [400, 2]


async def test_options_that_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="credentials"):
        Server(cors={"origins": "*", "credentials": True})
    misspelt: Any = {"origin": "*"}
    with pytest.raises(ConfigurationError, match="did you mean 'origins'"):
        Server(cors=misspelt)
    with pytest.raises(ConfigurationError, match="not both"):
        Server(origins="*", cors={"origins": "*"})
    mistakes: list[dict[str, Any]] = [{"origins": 5}, {"cors": "*"}]
    for options in mistakes:
        with pytest.raises(ConfigurationError, match="must be"):
            Server(**options)


@pytest.mark.parametrize("transport", ["polling", "upgrade", "websocket"])
async def test_a_page_of_another_origin_in_a_browser(site: Site, transport: Any) -> None:
    """A browser itself decides: one server admits the page of another, a third does not."""
    home = await site.serve(Server())
    friendly = await site.serve(Server(cors={"origins": [home], "credentials": True}))
    closed = await site.serve(Server())

    def visit() -> list[Any]:
        with JavaScript(4, browser=True) as browser:
            browser.visit(f"{home}/socket.io/?a=page")
            headers = {"Authorization": "Bearer of news"}
            guest = browser.open(
                friendly, transport=transport, withCredentials=True, extraHeaders=headers
            )
            guest.next("connect")
            refused = browser.open(closed, transport=transport)
            [error] = refused.next("connect_error")
            own = browser.open(home, transport=transport)
            own.next("connect")
            return [guest.state["connected"], error["message"], refused.state["connected"]]

    connected, message, refused = await asyncio.to_thread(visit)
    assert connected
    assert message in ("xhr poll error", "websocket error")
    assert not refused
