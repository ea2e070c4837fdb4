"""`telex emit`: one event, its acknowledgement, the exit status."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from typer.testing import CliRunner

from telex.cli.commands import app
from tests.cli.process import telex
from tests.cli.test_doctor_faults import context
from tests.client.counterparts import KINDS, Counterparts, Kind, new_name
from tests.support.proxy import Proxy
from tests.support.servers import DEFECTS


class Emitted(NamedTuple):
    """How the command ended."""

    status: int
    answer: list[Any]
    complaint: str


def emit(*arguments: str) -> Emitted:
    """Run the command."""
    done = CliRunner().invoke(app, ["emit", *arguments])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Emitted(done.exit_code, lines, done.stderr)


def protocol(kind: Kind) -> list[str]:
    return ["--protocol", "4"] if kind == "socket.io-2" else []


@pytest.mark.parametrize("kind", KINDS)
def test_an_acknowledgement(kind: Kind, counterparts: Counterparts) -> None:
    """JSON, a line for each argument."""
    url = counterparts[kind].url()
    given = ['{"a": [true, null]}', "word", "-5", "two words"]
    done = emit(url, "answer", *given, "--ack", *protocol(kind))
    assert done == (0, [{"a": [True, None]}, "word", -5, "two words"], "")
    assert emit(url, "answer", "--ack", *protocol(kind)) == (0, [], "")


@pytest.mark.parametrize("transport", [[], ["--transport=polling"], ["--transport=websocket"]])
def test_without_acknowledgement(transport: list[str], counterparts: Counterparts) -> None:
    """The event has arrived when the command ends."""
    url, name = counterparts["telex"].url(), new_name()
    assert emit(url, "note", name, "1", *transport) == (0, [], "")
    assert emit(url, "notes", name, "--ack") == (0, [[1]], "")


def test_binary(tmp_path: Path, counterparts: Counterparts) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hi")
    done = emit(counterparts["telex"].url(), "answer", f"@{file}", "--ack")
    assert done == (0, [{"$binary": "aGk="}], "")


def test_how_it_connects(tmp_path: Path, counterparts: Counterparts) -> None:
    """Namespace, auth, headers, query, path and parser as they were given."""
    server = counterparts["telex"]
    url = server.url(namespace="/guarded")
    auth = ["--auth", '{"token": "let me in"}']
    assert emit(url, "answer", "1", "--ack", *auth) == (0, [1], "")
    assert emit(server.url(), "-n", "guarded", "answer", "1", "--ack", *auth) == (0, [1], "")
    secret = tmp_path / "secret.json"  # which nobody sees in the list of processes
    secret.write_text(auth[1])
    assert emit(url, "answer", "1", "--ack", "--auth", f"@{secret}") == (0, [1], "")
    refused = emit(url, "answer", "1", "--ack")
    assert refused.status == 1
    assert "refuses the connection: not authorized" in refused.complaint
    assert emit(server.url("msgpack"), "answer", "1", "--ack", "--msgpack") == (0, [1], "")
    elsewhere = ["--path", "/real/time"]
    assert emit(server.url("elsewhere"), "answer", "1", "--ack", *elsewhere) == (0, [1], "")
    said = emit(server.url(), "handshake", "--ack", "-H", "X-Token: a b", "--query", "k=v&l=w")
    assert said.answer[0]["headers"]["x-token"] == "a b"
    assert said.answer[0]["query"]["l"] == "w"


def test_nobody_answers(counterparts: Counterparts) -> None:
    server = counterparts["telex"]
    done = emit(server.url(), "no such event", "--ack", "--timeout", "0.3")
    assert (done.status, done.answer) == (1, [])
    assert "'no such event' was sent, but not acknowledged within 0.3 s" in done.complaint
    done = emit(server.url(), "throw me out", "--ack")
    assert done.status == 1
    assert "io server disconnect" in done.complaint
    done = emit(f"{server.url()}/nope", "x")
    assert done.status == 1
    assert "no namespace /nope" in done.complaint


def test_an_event_that_is_too_large(tmp_path: Path, counterparts: Counterparts) -> None:
    """The complaint says with which status, or close code, the server ended the connection."""
    file = tmp_path / "file"
    file.write_bytes(bytes(1_100_000))
    url = counterparts["telex"].url()
    for transport, told in ("polling", "(HTTP status 413)"), ("websocket", "code 1009"):
        done = emit(url, "note", f"@{file}", "--ack", f"--transport={transport}")
        assert done.status == 1
        assert "The connection ended before the acknowledgement" in done.complaint
        assert told in done.complaint
    done = emit(url, "note", f"@{file}", "--transport=polling")
    assert done.status == 1
    assert "The connection ended while 'note' was being sent" in done.complaint


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = emit(f"127.0.0.1:{port}", "x")
    assert done.status == 2
    assert f"`telex doctor 127.0.0.1:{port}` finds out why" in done.complaint


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["localhost", "x", '{"a":'], "This is not JSON"),
        (["localhost", "x", "--akc"], "There is no option --akc"),
        (["localhost", "x", "@no such file"], "cannot be read"),
        (["localhost", "x", "--protocol", "3"], "Invalid value for '--protocol'"),
        (["localhost", "x", "--header", "nonsense"], "'Name: value'"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    done = emit(*arguments)
    assert (done.status, done.answer) == (2, [])
    assert sentence in " ".join(done.complaint.replace("│", " ").split())


def test_reserved_names(counterparts: Counterparts) -> None:
    done = emit(counterparts["telex"].url(), "connect")
    assert done.status == 2
    assert "reserved" in done.complaint


async def test_certificates(counterparts: Counterparts) -> None:
    """Refused unless one says --insecure; as a process, with everything that belongs to it."""
    server = counterparts["telex"]
    async with await Proxy.start(server.port, tls=context(trustme.CA(), "127.0.0.1")) as proxy:
        command = ["emit", proxy.url, "answer", "1", "--ack"]
        refused = await asyncio.to_thread(telex, *command)
        assert refused.returncode == 2
        assert "certificate" in refused.stderr.lower()
        accepted = await asyncio.to_thread(telex, *command, "--insecure")
        assert (accepted.returncode, accepted.stdout) == (0, "1\n")
        assert not any(sign in accepted.stderr for sign in DEFECTS)
