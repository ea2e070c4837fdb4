"""`telex serve` with the options of hosts: what it says when it starts, and what they change."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trustme

from telex import EngineServer, Server
from telex.cli.environment import EnvironmentFileError, read_environment
from telex.fronts.uvicorn import announce
from telex.fronts.uvicorn.announce import announcement
from tests.cli.process import PROGRAM, telex
from tests.rules.clients import WebSocketClient

APPLICATION = """
import os
from telex import Server

def allow(request):
    print("asked", request.client, request.scope["root_path"], flush=True)
    return True

io = Server(allow_request=allow, origins=["https://a.example"])
io.event("echo")(lambda socket, value: value)
print("variable", os.environ.get("VARIABLE"), flush=True)
"""

HINT = (
    "only this machine can connect: host='0.0.0.0' (telex serve --host 0.0.0.0) admits containers,"
    " phones and devices"
)


class Served:
    """`telex serve` in a process, and what it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []

    def until(self, text: str) -> str:
        """Read on until a line has this text; the line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line.rstrip())
            if text in line:
                return line.rstrip()
        raise AssertionError(f"{text!r} was not printed:\n" + "\n".join(self.log))

    def end(self) -> str:
        """Tell it to stop; all that it has printed."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.log += self.process.stdout.read().splitlines()
        self.process.wait(30)
        return "\n".join(self.log)


@contextlib.contextmanager
def serve(folder: Path, *options: str) -> Generator[Served]:
    (folder / "application.py").write_text(APPLICATION)
    with subprocess.Popen(
        [*PROGRAM, "serve", "application:io", *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONASYNCIODEBUG": ""},
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def handshake(connection: socket.socket, *headers: str) -> bytes:
    """Open a session over long-polling; what is answered."""
    lines = ["GET /socket.io/?EIO=4&transport=polling HTTP/1.1", "Host: a", "Connection: close"]
    connection.sendall("\r\n".join([*lines, *headers, "", ""]).encode())
    with connection.makefile("rb") as answer:
        return answer.read()


def port_of(line: str) -> int:
    return int(line.partition("/socket.io/")[0].rpartition(":")[2])


def test_it_says_where_it_listens_and_whom_it_admits(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VARIABLE=from the file\n")
    options = ["--port", "0", "--env-file", ".env", "--no-access-log", "--root-path", "/app"]
    with serve(tmp_path, *options) as served:
        assert served.until("variable") == "variable from the file"
        line = served.until("telex at")
        port = port_of(line)
        assert line.endswith(
            f"telex at http://127.0.0.1:{port}/socket.io/; transports: polling, websocket;"
            " origins: https://a.example"
        )
        assert served.until("only this machine").endswith(HINT)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            answer = handshake(connection, "X-Forwarded-For: 203.0.113.9")
        assert b'0{"sid":' in answer
        assert "203.0.113.9" in served.until("asked")
        assert served.log[-1].endswith("/app")
        assert "EIO=4" not in served.end()


def test_quiet_and_without_trust(tmp_path: Path) -> None:
    options = ["--port", "0", "--log-level", "warning", "--no-proxy-headers", "--host", "127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        options[1] = str(probe.getsockname()[1])
    with serve(tmp_path, *options) as served:
        served.until("variable")
        connection = None
        while connection is None:
            with contextlib.suppress(ConnectionRefusedError):
                connection = socket.create_connection(("127.0.0.1", int(options[1])))
        with connection:
            handshake(connection, "X-Forwarded-For: 203.0.113.9")
        assert "127.0.0.1" in served.until("asked")
        assert [line for line in served.end().splitlines() if "INFO" in line] == []


def test_a_unix_socket(tmp_path: Path) -> None:
    with serve(tmp_path, "--uds", "here.sock") as served:
        line = served.until("telex at")
        assert "telex at unix:here.sock:/socket.io/;" in line
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "here.sock"))
            assert b'0{"sid":' in handshake(connection)
        assert HINT not in served.end()
    assert not (tmp_path / "here.sock").exists()


def test_tls(tmp_path: Path) -> None:
    authority: Any = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = ["--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem"]
    with serve(tmp_path, "--port", "0", *files) as served:
        line = served.until("telex at")
        assert "telex at https://127.0.0.1:" in line
        with (
            socket.create_connection(("127.0.0.1", port_of(line))) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            assert b'0{"sid":' in handshake(connection)


def test_drain_spreads_the_disconnections(tmp_path: Path) -> None:
    """While one client has been sent away, the other is still served; newcomers are not."""
    with serve(tmp_path, "--port", "0", "--drain", "1") as served:
        port = port_of(served.until("telex at"))
        with WebSocketClient(port) as first, WebSocketClient(port) as second:
            first.connect()
            second.connect()
            served.process.send_signal(signal.SIGTERM)
            assert first.websocket.close_code() in (1000, 1001, 1012)
            second.send('427["echo",1]')
            assert second.message() == "437[1]"
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port))
            assert second.websocket.close_code() in (1000, 1001, 1012)
        assert "Traceback" not in served.end()
        assert served.process.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ssl-keyfile", "key.pem"], "name that, too, by --ssl-certfile"),
        (["--ssl-certfile", "no.pem"], "--ssl-certfile: there is no file no.pem"),
        (["--ssl-certfile", "README.md"], "The certificate, or its key, cannot be used"),
        (["--env-file", "no.env"], "--env-file no.env cannot be read"),
        (["--env-file", "Makefile"], "is not KEY=VALUE"),
        (["--drain", "1", "--workers", "2"], "drain needs a telex.Server that runs in one process"),
        (["--drain", "5000"], "drain is in seconds"),
    ],
)
def test_mistakes(options: list[str], sentence: str) -> None:
    done = telex("serve", "telex:Server()", "--port", "0", *options)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def judge(origin: str, request: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server(), "origins: the server's own (option origins)"),
        (
            Server(origins="*", transports=["websocket"]),
            "transports: websocket; origins: every one",
        ),
        (Server(origins=[]), "origins: none, so that no page of a browser may connect"),
        (Server(origins=judge), "origins: what the function of option origins admits"),
        (Server(cors={"origins": ["https://a", "https://b"]}), "origins: https://a, https://b"),
        (EngineServer(), "telex at http://h:1/engine.io/; transports: polling, websocket"),
    ],
)
def test_the_announcement(server: Server | EngineServer, said: str) -> None:
    [line] = announcement(server.front, "http://h:1", "0.0.0.0")
    assert said in line


@pytest.mark.parametrize(
    ("host", "hint"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("::", False), ("h", False)],
)
def test_who_can_connect(host: str, hint: bool) -> None:
    assert announcement(None, "http://h:1", host) == ([HINT] if hint else [])


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "directory", lambda: None)
    lines = announcement(Server().front, "http://h:1", None)
    assert "the JavaScript client is not part of this installation" in lines[1]
    assert len(announcement(Server(serve_client=False).front, "http://h:1", None)) == 1


def test_files_of_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "\ufeff# a comment\n\nA=1\n  export B = two words # and a comment\nC='$x \\n' # too\n"
        'D="say \\"hi\\"\\n"\nE=\nF=a#b\nKNOWN=new\n'
    )
    monkeypatch.setattr(os, "environ", {"KNOWN": "old"})
    read_environment(str(file))
    assert os.environ == {
        "A": "1",
        "B": "two words",
        "C": "$x \\n",
        "D": 'say "hi"\n',
        "E": "",
        "F": "a#b",
        "KNOWN": "old",
    }
    for wrong in ("novalue", "1A=2", "A='open", 'A="open\\"', "=x"):
        file.write_text(f"OK=1\n{wrong}\n")
        with pytest.raises(EnvironmentFileError, match="line 2"):
            read_environment(str(file))
