"""The doctor where something stands between: proxies, balancers, certificates, other servers."""

from __future__ import annotations

import json
import math
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from telex import Server
from telex.cli import place
from telex.cli.doctor import Case, Finding, Findings, network, to_json
from telex.cli.values import json_text
from tests.cli.balancer import Balancer
from tests.cli.diagnosis import Diagnosis, diagnose, serving
from tests.client.ports import forward_proxy, refusing_port
from tests.support.proxy import Answer, Fault, Instead, Phase, Proxy

PAGE = "https://app.example"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server in good health."""
    async with serving(Server(origins=[PAGE])) as url:
        yield int(url.rpartition(":")[2])


async def through(port: int, *faults: Fault, timeout: float = 5.0) -> Diagnosis:
    """Examine the server through a proxy that fails."""
    async with await Proxy.start(port) as proxy:
        for fault in faults:
            proxy.add(fault)
        return await diagnose(proxy.url, timeout=timeout)


def always(
    phase: Phase, status: int, body: str = "<html>no", *, match: str = "", **headers: str
) -> Fault:
    """The proxy answers by itself, every time."""
    fields = {"Content-Type": "text/html", "Server": "nginx/1.27", **headers}
    answer = Answer(status, body, tuple(fields.items()))
    return Fault(phase, answer, match=match, times=math.inf, told=True)


async def test_a_proxy_without_a_server(port: int) -> None:
    found = await through(port, always("handshake", 502))
    assert found.status == 2
    assert found.problem("server").summary == "/socket.io/ answers 502 (from nginx)"
    assert "cannot reach the server" in found.problem("server").cause


async def test_the_proxy_of_the_environment(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone knows the name of the server."""
    async with forward_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        found = await diagnose(f"http://server.test:{port}")
    assert found.status == 0
    assert found.one("proxy").summary.startswith("Requests go through 127.0.0.1:")
    assert {found.checks[name] for name in ("polling", "websocket", "namespace")} == {"ok"}


async def test_a_proxy_of_the_environment_that_is_not_there(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing_port() as nowhere:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nowhere}")
        found = await diagnose(f"http://server.test:{port}")
    assert found.status == 2
    assert "name server.test in NO_PROXY" in found.problem("proxy").cure


async def test_a_redirect(port: int) -> None:
    fault = always("handshake", 301, Location="https://chat.example/socket.io/?EIO=4")
    found = await through(port, fault)
    assert found.status == 2
    assert "https://chat.example itself" in found.problem("server").cure


async def test_a_page_instead_of_the_engine(port: int) -> None:
    """The page of an application that answers everything."""
    page = "<!doctype html><title>Shop</title>"
    everywhere = [always("handshake", 200, page), always("request", 200, page)]
    found = await through(port, *everywhere)
    assert found.status == 2
    assert "200 with an HTML page" in found.problem("server").summary
    assert found.problem("server").data["excerpt"] == page


async def test_words_of_a_server_are_cut_and_escaped(port: int) -> None:
    """What moves a cursor or turns text around is escaped for people and in the JSON report."""
    hostile = "\x9b2J\u202e\u2066 \x1b]0;x\x07"
    elsewhere = {"Location": f"http://a.example/{'z' * 5000}"}
    for fault in (
        always("handshake", 500, hostile + "x" * 100_000),
        always("handshake", 302, hostile, **elsewhere),
        always("open", 400, hostile),
    ):
        found = await through(port, fault)
        found.case.findings.add("namespace", "info", hostile, refusal={hostile: "y" * 100_000})
        report = json_text(to_json(found.case, "http://a.example", "1"))
        assert report.replace("\n", "").isprintable()
        assert json.loads(report)["findings"][-1]["check"] == "namespace"
        assert len(report) < 40_000


async def test_a_password(port: int) -> None:
    found = await through(port, always("handshake", 401, "who are you?"))
    assert found.status == 2
    assert "--header 'Authorization" in found.problem("server").cure


async def test_another_path() -> None:
    """The page of the application names the path; the examination goes on there."""
    page = '<!doctype html><script src="/live/chat/socket.io.js"></script>'
    async with serving(Server(path="/live/chat/socket.io")) as url:
        port = int(url.rpartition(":")[2])
        page = '<!doctype html><script src="/live/chat/socket.io/socket.io.js"></script>'
        found = await through(port, always("request", 200, page))
        assert found.status == 1
        assert found.all("server")[0].data["found"] == "/live/chat/socket.io/"
        assert "--path /live/chat/socket.io" in found.all("server")[0].cure
        assert found.checks["upgrade"] == "ok"
        page = '<!doctype html><script>io({ path: "/live/chat/socket.io/" })</script>'
        found = await through(port, always("request", 200, page))
        assert found.all("server")[0].data["found"] == "/live/chat/socket.io/"
        # Below the path of the URL, which somebody took for the place of the application.
        found = await diagnose(f"{url}/live/chat")
        assert found.all("server")[0].data["found"] == "/live/chat/socket.io/"
        assert (await diagnose(url, path="/live/chat/socket.io")).status == 0
        # The server's own refusal names the path.
        found = await diagnose(url)
        assert found.status == 1
        assert found.all("server")[0].data["found"] == "/live/chat/socket.io/"


@pytest.mark.parametrize("status", [308, 404])
async def test_the_slash_at_the_end(port: int, status: int) -> None:
    """Some frameworks remove it, by a redirect or by not knowing such a path."""
    fault = always("handshake", status, match=r"^/socket\.io/\?", Location="/socket.io?EIO=4")
    found = await through(port, fault)
    assert found.status == 1
    assert "without the slash" in found.all("server")[0].summary
    assert "add_trailing_slash=False" in found.all("server")[0].cure
    assert found.checks["upgrade"] == "ok"


async def test_upgrades_are_not_passed_on(port: int) -> None:
    """As nginx does it without two lines: the request arrives, without its upgrade."""
    stripped = '{"code":3,"message":"Bad request"}'
    faults = [always("open", 400, stripped), always("probe", 400, stripped)]
    # The doctor asks again for the body.
    found = await through(port, *faults)
    assert found.status == 1
    assert "400 “Bad request”" in found.problem("websocket").summary
    assert "proxy_set_header Upgrade" in found.problem("websocket").cure
    assert found.one("upgrade").status == "warning"
    assert found.one("namespace").status == "ok"
    assert set(found.one("latency").data) == {"polling"}


async def test_a_firewall_against_websockets(port: int) -> None:
    found = await through(port, always("open", 403, "blocked"), always("probe", 403, "blocked"))
    assert "403 “blocked”" in found.problem("websocket").summary
    found = await through(port, Fault("open", "reset", times=math.inf, told=True))
    assert found.all("websocket")[0].status == "problem"


async def test_websockets_only_without_sessions(port: int) -> None:
    """A WebSocket opens, but none that continues a session."""
    found = await through(port, always("probe", 404))
    assert found.problem("upgrade").summary.endswith("answered 404")
    found = await through(port, Fault("client frame", "silence", match="^2probe"), timeout=2.5)
    assert "the probe is not answered" in found.problem("upgrade").summary


async def test_posts_are_not_let_through(port: int) -> None:
    found = await through(port, always("post", 405))
    assert "answered 405" in found.all("polling")[0].summary
    assert "POST" in found.all("polling")[0].cure
    assert found.one("namespace").status == "ok"


async def test_answers_from_a_cache(port: int) -> None:
    """Everybody gets the same session."""
    opened = '0{"sid":"same","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
    found = await through(port, always("handshake", 200, opened), always("post", 200, "ok"))
    assert any("from a cache" in one.summary for one in found.all("polling"))


@pytest.mark.parametrize(
    "answer",
    [
        "0{}",
        '0{"sid":1,"pingInterval":"often"}',
        '0{"sid":"a","upgrades":5,"pingInterval":1e999,"pingTimeout":1}',
        "0" + "[" * 100_000,
        "96:0" + "{" * 95,
        "\x1e\x1e",
        "",
        '{"code":"5","message":[]}',
        "[" * 100_000,
    ],
)
async def test_nonsense_is_no_engine(port: int, answer: str) -> None:
    """Whatever answers, the examination comes to its end."""
    cookies = {"Set-Cookie": "a b=c; Path=\x7f; ;;; =", "Content-Type": "text/plain"}
    found = await through(port, always("handshake", 200, answer, **cookies))
    assert found.status == 2
    found.problem("server")


async def test_a_server_that_says_nothing(port: int) -> None:
    found = await through(port, Fault("tcp", "silence", times=math.inf), timeout=1)
    assert found.status == 2
    assert "no answer within 1 s" in found.problem("server").summary


async def test_connections_without_traffic_are_cut() -> None:
    """Seen with --wait: the connection ends before the heartbeat comes."""
    async with serving(Server(ping_interval=5)) as url:
        async with await Proxy.start(int(url.rpartition(":")[2])) as proxy:
            # The third WebSocket is the one that waits.
            proxy.add(Fault("server frame", "reset", share=1, match='^0{"sid', skip=1, told=True))
            found = await diagnose(proxy.url, wait=True)
    assert found.all("heartbeat")[1].status == "problem"
    assert "proxy_read_timeout" in found.all("heartbeat")[1].cure


# -- balancers ------------------------------------------------------------------------------


async def test_a_balancer_that_is_not_sticky() -> None:
    """Sessions are unknown now and then; WebSockets alone work."""
    async with serving(Server()) as one, serving(Server()) as other:
        ports = [int(url.rpartition(":")[2]) for url in (one, other)]
        async with Balancer(ports) as balancer:
            found = await diagnose(balancer.url, sessions=4)
    assert found.status == 1
    sticky = found.one("stickiness")
    assert sticky.status == "problem"
    assert "code 1" in sticky.summary
    assert 0 < sticky.data["lost"] < sticky.data["requests"] == 20
    assert "ip_hash" in sticky.cure
    assert "--workers" in sticky.cure
    assert "broadcasts reaches its own clients only" in sticky.cause
    assert found.one("websocket").status == "ok"
    assert found.one("namespace").status == "ok"


async def test_a_balancer_that_is_sticky_by_a_cookie() -> None:
    """Pages of other origins then need credentials."""
    async with serving(Server(origins=[PAGE])) as one, serving(Server(origins=[PAGE])) as other:
        ports = [int(url.rpartition(":")[2]) for url in (one, other)]
        async with Balancer(ports, cookie=True) as balancer:
            found = await diagnose(balancer.url, origin=PAGE)
    sticky = found.one("stickiness")
    assert sticky.status == "ok"
    assert "by the cookie node" in sticky.summary
    assert found.one("upgrade").status == "ok"
    assert "Stickiness needs the cookie node" in found.problem("origin").cause


# -- TLS, and before it -----------------------------------------------------------------------


def context(authority: Any, name: str, **options: Any) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for this name."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(made)
    return made


async def test_certificates(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with one is said, and the examination goes on without verification."""
    authority: Any = trustme.CA()
    trusting = ssl.create_default_context
    stranger = context(authority, "127.0.0.1")
    async with await Proxy.start(port, tls=stranger) as proxy:
        found = await diagnose(proxy.url)
        assert found.status == 1
        assert found.problem("tls").data["verify_code"] in (18, 19, 20)
        assert found.checks["upgrade"] == "ok"
        found = await diagnose(proxy.url, insecure=True)
        assert (found.status, found.one("tls").status) == (0, "warning")

        def knowing() -> ssl.SSLContext:
            made = trusting()
            authority.configure_trust(made)
            return made

        monkeypatch.setattr(ssl, "create_default_context", knowing)
        assert (await certificate(proxy)).status == "ok"
    async with await Proxy.start(port, tls=context(authority, "chat.example")) as proxy:
        assert "for another name" in (await certificate(proxy)).summary
    now = datetime.now(UTC)
    past = context(authority, "127.0.0.1", not_after=now - timedelta(days=1))
    async with await Proxy.start(port, tls=past) as proxy:
        assert "has expired" in (await certificate(proxy)).summary
    soon = context(authority, "127.0.0.1", not_after=now + timedelta(days=3))
    async with await Proxy.start(port, tls=soon) as proxy:
        assert (await certificate(proxy)).status == "warning"


async def certificate(proxy: Proxy) -> Finding:
    """What is found about the certificate alone."""
    case = Case(place.read(proxy.url, query=[]), Findings(lambda _: None))
    assert await network.secure(case, "127.0.0.1")
    (finding,) = case.findings.all
    return finding


async def test_the_wrong_scheme(port: int) -> None:
    """https where there is no TLS, and http where there is."""
    found = await diagnose(f"https://127.0.0.1:{port}")
    assert found.status == 2
    assert f"http://127.0.0.1:{port}" in found.problem("tls").cure
    async with await Proxy.start(port, tls=context(trustme.CA(), "127.0.0.1")) as proxy:
        found = await diagnose(proxy.url.replace("https", "http"))
    assert found.status == 2
    assert proxy.url in found.problem("server").cure


async def test_what_is_not_http() -> None:
    """Another protocol on the port."""
    async with serving(Server()) as url:
        async with await Proxy.start(int(url.rpartition(":")[2])) as proxy:
            proxy.add(Fault("handshake answer", Instead("220 mail.example ESMTP"), times=math.inf))
            found = await diagnose(proxy.url)
    assert found.status == 2


async def test_names_and_ports() -> None:
    """Before anything is spoken."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    found = await diagnose(f"http://127.0.0.1:{closed}")
    assert found.status == 2
    assert "refused" in found.problem("tcp").summary
    found = await diagnose("http://no-such-host.invalid")
    assert found.status == 2
    assert "is not known" in found.problem("dns").summary
