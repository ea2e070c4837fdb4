"""The doctor with servers in good health, and with settings that it has to name."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from multidict import CIMultiDict
from typer.testing import CliRunner

from telex import ConnectError, EngineServer, Server, Socket
from telex._version import __version__
from telex.cli import doctor, place
from telex.cli.commands import app
from telex.cli.doctor.origin import blocked, origins, preflight_blocked
from telex.cli.doctor.wire import Answer
from telex.options import CorsKeywords
from tests.cli.diagnosis import diagnose, serving
from tests.cli.process import telex
from tests.client.counterparts import KINDS, Counterparts, Kind


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_in_good_health(kind: Kind, counterparts: Counterparts) -> None:
    """Every kind of server: nothing stands in the way."""
    server = counterparts[kind]
    found = await diagnose(server.url())
    assert found.status == 0, found.case.findings.all
    assert found.case.revision == (3 if kind == "socket.io-2" else 4)
    for check in ("dns", "tcp", "server", "polling", "stickiness", "websocket", "upgrade"):
        assert found.one(check).status == "ok", check
    assert found.one("namespace").status == "ok"
    assert found.one("heartbeat").data["ping_interval"] == 25
    assert set(found.one("latency").data) == {"polling", "websocket"}
    assert "tls" not in found.checks
    revisions = found.one("revisions")
    assert revisions.status == ("warning" if kind == "socket.io-2" else "ok")
    assert revisions.data["offered"] == {"socket.io-2": [3], "telex": [4, 3]}.get(kind, [4])


@pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
async def test_settings(kind: Kind, counterparts: Counterparts) -> None:
    """What a server does not offer is said, and how to get it."""
    server = counterparts[kind]

    found = await diagnose(server.url("polling only"), timeout=2)  # Node lets WebSockets wait
    assert found.status == 0
    assert found.one("websocket").status == "info"
    assert "transports" in found.one("websocket").cure

    found = await diagnose(server.url("websocket only"))
    assert found.status == 0
    assert found.one("polling").status == "warning"
    assert "--transport websocket" in found.one("polling").cure
    assert found.one("namespace").status == "ok"

    found = await diagnose(server.url("no upgrades"))
    assert found.status == 0
    assert [one.status for one in found.all("websocket")] == ["ok", "warning"]
    assert "allow_upgrades" in found.all("websocket")[1].cause

    found = await diagnose(server.url("refusing"))
    assert found.status == 1
    assert "not with this token" in found.problem("polling").cause
    found = await diagnose(server.url("refusing"), headers={"X-Token": "let me in"})
    assert found.status == 0

    found = await diagnose(server.url("recovery"))
    assert found.one("recovery").data == {"on": True}

    found = await diagnose(server.url("msgpack"))
    assert "msgpack" in found.problem("namespace").cause


@pytest.mark.parametrize("kind", KINDS)
async def test_a_namespace_that_refuses(kind: Kind, counterparts: Counterparts) -> None:
    """What the middleware says is shown."""
    found = await diagnose(counterparts[kind].url(namespace="/guarded"))
    assert found.status == 1
    refused = found.problem("namespace")
    assert refused.data["refusal"] == {"code": 401, "hint": "la clé, 请"}
    if kind != "socket.io-2":  # it sends either
        assert "not authorized" in refused.summary
        let_in = await diagnose(
            counterparts[kind].url(namespace="/guarded"), auth={"token": "let me in"}
        )
        assert let_in.status == 0


async def test_namespaces() -> None:
    """Unknown ones, paths taken for namespaces, middleware that does not come to an end."""
    io = Server()
    never = asyncio.Event()

    @io.of("/silent").use
    async def silent(_: Socket) -> None:
        await never.wait()

    @io.of("/busy").use
    def busy(_: Socket) -> None:
        raise ConnectError("come back later", data={"after": 5})

    async with serving(io) as url:
        assert "no such namespace" in (await diagnose(f"{url}/nope")).problem("namespace").cause
        path = (await diagnose(f"{url}/socket.io/")).problem("namespace")
        assert path.cure.startswith("Leave /socket.io out of the URL")
        assert '{"after": 5}' in (await diagnose(f"{url}/busy")).problem("namespace").summary
        stuck = (await diagnose(f"{url}/silent", timeout=2)).problem("namespace")
        assert "neither accepts nor refuses" in stuck.cause
        assert "no Socket.IO on it" not in stuck.cause
        never.set()


async def test_an_engine_alone() -> None:
    """Nobody answers CONNECT where there is no Socket.IO."""
    engine = EngineServer(path="/socket.io")
    async with serving(engine) as url:
        found = await diagnose(url, timeout=2)
    assert "no Socket.IO on it" in found.problem("namespace").cause
    assert found.checks["upgrade"] == "ok"


async def test_heartbeats() -> None:
    """Announced, and with --wait one is seen, over either transport."""
    io = Server(ping_interval=0.2)
    async with serving(io) as url:
        found = await diagnose(url, wait=True)
        assert [one.status for one in found.all("heartbeat")] == ["ok", "ok"]
        assert found.all("heartbeat")[1].data["seconds"] > 0.1
    async with serving(Server(ping_interval=0.2, transports=("polling",))) as url:
        found = await diagnose(url, wait=True)
        assert found.all("heartbeat")[1].data["seconds"] > 0.1
    async with serving(Server(ping_interval=120)) as url:
        found = await diagnose(url)
        assert found.one("heartbeat").status == "warning"
        assert found.status == 0


async def test_heartbeats_of_old_servers(counterparts: Counterparts) -> None:
    """There the client pings."""
    found = await diagnose(counterparts["socket.io-2"].url("quick"), wait=True)
    assert [one.status for one in found.all("heartbeat")] == ["ok", "ok"]
    assert found.all("heartbeat")[0].data["pings"] == "client"


async def test_limits_and_compression() -> None:
    """What the handshake announces, and what the WebSocket negotiates."""
    async with serving(Server(max_http_buffer_size=5000, per_message_deflate=True)) as url:
        found = await diagnose(url)
    assert found.one("payload").data == {"max_payload": 5000}
    assert found.one("compression").data == {"per_message_deflate": True}


async def test_cookies() -> None:
    """Those that the server sets, and those that browsers drop."""
    async with serving(Server(cookie="node")) as url:
        (cookie,) = (await diagnose(url)).one("cookies").data["cookies"]
        assert (cookie["name"], cookie["http_only"], cookie["same_site"]) == ("node", True, "Lax")
    async with serving(Server(cookie={"name": "node", "same_site": "none"})) as url:
        dropped = (await diagnose(url)).one("cookies")
        assert dropped.status == "warning"
        assert "without Secure" in dropped.cause


# -- origins --------------------------------------------------------------------------------

PAGE = "https://app.example"


async def test_origins_of_telex() -> None:
    """The server checks them on both transports."""
    async with serving(Server(origins=[PAGE])) as url:
        found = await diagnose(url, origin=PAGE)
        assert found.status == 0
        assert [one.status for one in found.all("origin")] == ["ok", "ok"]
        assert found.all("origin")[0].data["blocked"] is None
        assert "not with credentials" in found.all("origin")[0].summary
        found = await diagnose(url, origin="https://other.example")
        assert found.status == 1
        assert [one.status for one in found.all("origin")] == ["problem", "problem"]
        assert 'origins=["https://other.example"]' in found.all("origin")[0].cure
    async with serving(Server()) as url:
        found = await diagnose(url, origin=url)
        assert [one.status for one in found.all("origin")] == ["info", "ok"]
        # As behind a proxy that changes it.
        found = await diagnose(url, origin=url, headers={"Host": "backend"})
        assert [one.status for one in found.all("origin")] == ["info", "problem", "problem"]
        assert "a proxy changes the header Host" in found.all("origin")[1].cause


async def test_origins_of_node(counterparts: Counterparts) -> None:
    """Node answers every page, and leaves it to browsers to keep the answer from it."""
    found = await diagnose(counterparts["socket.io-4"].url(), origin=PAGE)
    polling, websocket = found.all("origin")
    assert polling.status == "problem"
    assert "No 'Access-Control-Allow-Origin' header is present" in polling.cause
    assert websocket.status == "ok"


async def test_extra_headers_of_pages() -> None:
    """They make browsers ask first, so what is answered then counts."""
    async with serving(Server(cors={"origins": [PAGE], "allowed_headers": ["X-Other"]})) as url:
        found = await diagnose(url, origin=PAGE, headers={"X-Token": "1"})
        assert "x-token is not allowed" in found.all("origin")[0].cause
        assert found.status == 1
    cors: CorsKeywords = {"origins": [PAGE], "allowed_headers": ["X-Token"], "credentials": True}
    async with serving(Server(cors=cors)) as url:
        found = await diagnose(url, origin=PAGE, headers={"X-Token": "1"})
        assert found.status == 0
        assert found.all("origin")[0].data["blocked_with_credentials"] is None


def answer(*headers: tuple[str, str], status: int = 204) -> Answer:
    return Answer("http://api.example/", status, CIMultiDict(headers), b"", 0.0)


@pytest.mark.parametrize(
    ("headers", "plain", "with_credentials"),
    [
        ([], "is present", "is present"),
        ([("Access-Control-Allow-Origin", "*")], None, "wildcard"),
        ([("Access-Control-Allow-Origin", PAGE)], None, "Allow-Credentials"),
        (
            [
                ("Access-Control-Allow-Origin", PAGE),
                ("Access-Control-Allow-Credentials", "true"),
            ],
            None,
            None,
        ),
        ([("Access-Control-Allow-Origin", f"{PAGE}/")], "not equal", "not equal"),
        (
            [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Origin", PAGE)],
            "multiple values",
            "multiple values",
        ),
        ([("Access-Control-Allow-Origin", f"*, {PAGE}")], "multiple values", "multiple values"),
    ],
)
def test_what_browsers_say(
    headers: list[tuple[str, str]], plain: str | None, with_credentials: str | None
) -> None:
    """The reasons of the Fetch standard, in the words of browsers."""
    for credentials, expected in ((False, plain), (True, with_credentials)):
        reason = blocked(PAGE, answer(*headers).headers, credentials=credentials)
        assert reason == expected or (reason and expected and expected in reason)


def test_what_browsers_say_to_preflights() -> None:
    """The status, and the headers; a wildcard does not cover Authorization."""
    allowed = ("Access-Control-Allow-Origin", PAGE)
    names = ("Access-Control-Allow-Headers", "X-Token")
    everything = ("Access-Control-Allow-Headers", "*")
    assert preflight_blocked(PAGE, answer(allowed, names), ["x-token"]) is None
    assert preflight_blocked(PAGE, answer(allowed, everything), ["x-token"]) is None
    assert preflight_blocked(PAGE, answer(allowed, everything), ["authorization"])
    assert preflight_blocked(PAGE, answer(allowed, names, status=405), ["x-token"])
    assert preflight_blocked(PAGE, answer(names), ["x-token"])


async def test_mixed_content() -> None:
    """A page that came over https cannot speak http with another machine."""
    where = place.read("http://api.example", query=[])
    case = doctor.Case(where, doctor.Findings(lambda _: None), origin=PAGE)
    await origins(case)
    (finding,) = case.findings.all
    assert finding.status == "problem"
    assert "mixed content" in finding.cause


# -- the command ------------------------------------------------------------------------------


def test_the_command(counterparts: Counterparts) -> None:
    """Lines for people, and the exit status for scripts."""
    done = telex("doctor", counterparts["telex"].url())
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert "✓ upgrade" in done.stdout
    assert done.stdout.endswith("Nothing stands in the way of clients.\n")
    assert not any(line != line.rstrip() for line in done.stdout.splitlines())


def test_the_report_for_machines(counterparts: Counterparts) -> None:
    """One JSON object, with everything that the lines say."""
    url = counterparts["telex"].url(namespace="/guarded")
    done = telex("doctor", url, "--json", "--origin", f"{PAGE}/")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["format"] == 1
    assert report["telex"] == __version__
    assert (report["url"], report["path"]) == (url, "/socket.io")
    assert (report["namespace"], report["origin"]) == ("/guarded", PAGE)
    assert (report["status"], report["reached"]) == (1, True)
    assert (report["revision"], report["transports"]) == (4, ["polling", "websocket"])
    assert (report["ping_interval"], report["ping_timeout"]) == (25, 20)
    assert report["problems"] == sum(one["status"] == "problem" for one in report["findings"])
    for finding in report["findings"]:
        assert set(finding) == {"check", "status", "summary", "cause", "cure", "data"}


def test_nobody_there() -> None:
    """The third exit status: no server was reached."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = telex("doctor", f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert "Nothing listens there." in done.stdout
    assert done.stdout.endswith("No Socket.IO server was reached.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ftp://localhost"], "ftp:// is not an address of a server"),
        (["http://"], "names no host"),
        (["http://localhost:http"], "is not an address"),
        (["localhost", "--origin", "app.example"], "is not an origin"),
        (["localhost", "--origin", "https://app.example/page"], "is not an origin"),
        (["localhost", "--header", "token"], "not of the form 'Name: value'"),
        (["localhost", "--query", "token"], "not of the form key=value"),
        (["localhost", "--auth", '{"token":'], "--auth is JSON"),
        (["localhost", "--auth", "secret"], "--auth is JSON"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    """What cannot be examined is said in a sentence."""
    done = CliRunner().invoke(app, ["doctor", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
