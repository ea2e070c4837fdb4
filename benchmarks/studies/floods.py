"""How long others wait while one client floods the server, on each road.

    python -m benchmarks.studies.floods [ROAD …] [--seconds N]

A server in a process of its own, one client that sends as fast as it is read, and one that asks
and measures how long its answers take. The figure is the longest of these delays.
"""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

SERVER = """
import asyncio, socket, sys
import uvicorn
from telex import Server

kind, deflate, certificate, key = sys.argv[1:]
io = Server(per_message_deflate=deflate == "yes")

@io.event
def ask(socket):
    return "here"

@io.event
def noise(socket, *args):
    pass

async def main():
    tls = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {}
    if kind == "telex":
        await io.listen(port=0, **tls)
        print(io.port, flush=True)
        await asyncio.Event().wait()
    sock = socket.create_server(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    config = uvicorn.Config(io, log_level="warning", access_log=False, **tls)
    await uvicorn.Server(config).serve(sockets=[sock])

if sys.argv[1] == "uvicorn":
    asyncio.run(main())
else:
    import uvloop
    uvloop.run(main())
"""
MASK = b"\x01\x02\x03\x04"


@dataclass(frozen=True)
class Road:
    """A server, and what floods it."""

    flood: str
    host: str = "telex"
    pure: bool = False
    tls: bool = False
    deflate: bool = False


ROADS = {
    "compiled": Road("noops"),
    "compiled-pings": Road("pings"),
    "compiled-events": Road("events"),
    "picows": Road("noops", pure=True),
    "picows-pings": Road("pings", pure=True),
    "picows-events": Road("events", pure=True),
    "picows-fragments": Road("fragments", pure=True),
    "tls": Road("noops", tls=True),
    "uvicorn": Road("noops", host="uvicorn"),
    "uvicorn-pings": Road("pings", host="uvicorn"),
    "deflate": Road("noops", deflate=True),
    "deflate-bombs": Road("bombs", deflate=True),
    "deflate-fragments": Road("fragmented bombs", deflate=True),
    "uvicorn-bombs": Road("bombs", host="uvicorn", deflate=True),
}


def framed(first: int, payload: bytes) -> bytes:
    """A masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (MASK * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return head + MASK + masked


def deflated(data: bytes) -> bytes:
    """A message as permessage-deflate sends it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def flood_of(kind: str) -> bytes:
    """What is sent again and again: some hundred kilobytes, or 280 bombs."""
    if kind == "noops":
        return framed(0x81, b"3") * 40_000
    if kind == "pings":
        return framed(0x89, b"") * 40_000
    if kind == "events":
        return framed(0x81, b'42["noise"]') * 20_000
    if kind == "fragments":
        one = framed(0x01, b"4") + framed(0x00, b"") * 10_000 + framed(0x80, b"")
        return one * 4
    bomb = deflated(b'42["noise","' + b"x" * 900_000 + b'"]')
    if kind == "bombs":
        return framed(0xC1, bomb) * 280
    third = len(bomb) // 3
    pieces = framed(0x41, bomb[:third]) + framed(0, bomb[third : 2 * third])
    return (pieces + framed(0x80, bomb[2 * third :])) * 280


class Client:
    """A WebSocket client, as short as can be."""

    def __init__(self, port: int, road: Road) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if road.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if road.deflate else ""
        self.send(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + extension.encode() + b"\r\n"
        )
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self._socket.recv(65536)
        self._data = self._data.partition(b"\r\n\r\n")[2]
        self.frame()  # the open packet
        self.send(framed(0x81, b"40"))
        self.frame()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def frame(self) -> None:
        """Wait for a frame; all that are looked at here are short."""
        while len(self._data) < 2 or len(self._data) < self._end():
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the server has hung up")
            self._data += data
        self._data = self._data[self._end() :]

    def _end(self) -> int:
        size = self._data[1]
        return 2 + size if size < 126 else 4 + int.from_bytes(self._data[2:4], "big")

    def read_and_drop(self) -> None:
        """Read until the connection ends."""
        try:
            while self._socket.recv(65536):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Cut the connection."""
        self._socket.close()


@contextmanager
def serving(road: Road) -> Generator[tuple[int, int]]:
    """A server of this road: its port and its process."""
    with tempfile.TemporaryDirectory() as folder:
        files = ["", ""]
        if road.tls:
            certificate = trustme.CA().issue_cert("127.0.0.1")
            files = [str(Path(folder) / name) for name in ("chain", "key")]
            for number, pem in enumerate(certificate.cert_chain_pems):
                pem.write_to_path(files[0], append=number > 0)
            certificate.private_key_pem.write_to_path(files[1])
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, road.host, "yes" if road.deflate else "no", *files],
            stdout=subprocess.PIPE,
            env={**os.environ, "TELEX_PURE": "1" if road.pure else "0"},
        )
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def memory(pid: int) -> float:
    """The most memory that a process has held, in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclass(frozen=True)
class Delay:
    """What another client has met: in seconds, and the server's memory in megabytes."""

    longest: float
    median: float
    answers: int
    memory: float


def measured(road: Road, seconds: float) -> Delay:
    """Ask while another client floods."""
    flood = flood_of(road.flood)
    with serving(road) as (port, pid):
        asking, noisy = Client(port, road), Client(port, road)
        over = threading.Event()

        def run(step: Callable[[], None]) -> None:
            try:
                while not over.is_set():
                    step()
            except OSError:
                pass

        threads = [
            threading.Thread(target=run, args=(lambda: noisy.send(flood),), daemon=True),
            threading.Thread(target=noisy.read_and_drop, daemon=True),
        ]
        for thread in threads:
            thread.start()
        delays: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            asking.send(framed(0x81, b'421["ask"]'))
            asking.frame()
            delays.append(time.monotonic() - begun)
            time.sleep(0.002)
        over.set()
        delays.sort()
        found = Delay(delays[-1], delays[len(delays) // 2], len(delays), memory(pid))
        asking.close()
        noisy.close()
        return found


def main() -> None:
    """Measure the roads that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roads", nargs="*", help=", ".join(ROADS))
    parser.add_argument("--seconds", type=float, default=3.0)
    asked = parser.parse_args()
    print("road                 longest ms   median ms   answers   memory MB")
    for name in asked.roads or ROADS:
        found = measured(ROADS[name], asked.seconds)
        print(
            f"{name:20} {found.longest * 1e3:10.1f}  {found.median * 1e3:10.2f}"
            f" {found.answers:9}  {found.memory:10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
