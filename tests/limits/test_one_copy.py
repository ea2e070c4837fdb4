"""What slow clients have not taken of a broadcast is in memory once, not once for each."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from telex import Server
from tests.support.raw import TEXT, frame, request, upgrade_request

SIZE = 6_000_000
CLIENTS = 12
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Slow:
    """A client that does not read until it is told to; it begins with a small window."""

    def __init__(self, port: int, road: str) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", port))
        self.socket = raw
        if road == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(raw)
        self._data = b""
        if road == "polling":
            self._poll()
        else:
            self.socket.sendall(upgrade_request("/socket.io/?EIO=4&transport=websocket"))
            self.until(b"}")  # the open packet
            self.socket.sendall(frame(TEXT, "40"))
            self.until(b"}")

    def _poll(self) -> None:
        target = "/socket.io/?EIO=4&transport=polling"
        self.socket.sendall(request("GET", target))
        sid = self.until(b'"upgrades"').partition(b'"sid":"')[2].partition(b'"')[0].decode()
        self.until(b"}")
        self.socket.sendall(request("POST", f"{target}&sid={sid}", body=b"40"))
        self.until(b"ok")
        self.socket.sendall(request("GET", f"{target}&sid={sid}"))
        self.until(b"}")
        self.socket.sendall(request("GET", f"{target}&sid={sid}"))

    def until(self, end: bytes) -> bytes:
        """What comes before these bytes."""
        while end not in self._data:
            data = self.socket.recv(65536)
            assert data, self._data[-200:]
            self._data += data
        before, _, self._data = self._data.partition(end)
        return before

    def read(self, begin: bytes, size: int) -> str:
        """A digest of so many bytes behind these."""
        self.until(begin)
        digest = hashlib.sha256(self._data)
        size -= len(self._data)
        while size:
            data = self.socket.recv(min(size, 1 << 18))
            assert data
            size -= len(data)
            digest.update(data)
        return digest.hexdigest()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a server with TLS is told."""
    folder: Path = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "all.pem"))
    return {"ssl_certfile": str(folder / "all.pem")}


@pytest.mark.parametrize(
    ("road", "loop"),
    [
        ("fast", "asyncio"),
        ("fast", "uvloop"),
        ("tls", "asyncio"),
        ("tls", "uvloop"),
        ("polling", "uvloop"),
    ],
)
def test_a_broadcast_to_slow_clients(road: str, loop: str, certificate: dict[str, str]) -> None:
    text = "0123456789" * (SIZE // 10)
    begin, end = b'42["news","', b'"]'
    expected = hashlib.sha256(text.encode() + end).hexdigest()

    async def main() -> None:
        io = Server()
        options: dict[str, Any] = certificate if road == "tls" else {}
        await io.listen(port=0, **options)
        port = io.port
        assert port is not None
        clients = await asyncio.to_thread(lambda: [Slow(port, road) for _ in range(CLIENTS)])
        for _ in range(100):  # until the last poll waits
            await asyncio.sleep(0)
        tracemalloc.start()
        io.emit("news", text)
        for _ in range(100):
            await asyncio.sleep(0)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for client in clients:  # the last ones wait while the first are served
            found = await asyncio.to_thread(client.read, begin, SIZE + len(end))
            assert found == expected
        for client in clients:
            client.socket.close()
        await io.close()
        assert held < 3.5 * SIZE, f"{held / SIZE:.1f} copies for {CLIENTS} clients"

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
