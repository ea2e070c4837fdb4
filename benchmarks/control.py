"""One connection to a server for what is not load: preparations, and how long its loop stood."""

import json
import queue
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.contenders import RunningServer
from benchmarks.errors import BenchmarkError

PATIENCE = 120


class Control:
    """A Socket.IO client that asks one thing at a time; a thread answers heartbeats."""

    def __init__(self, connection: ClientConnection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._next_id = 0
        self._packets = queue.SimpleQueue[str]()
        threading.Thread(target=self._read, daemon=True).start()
        self._await("0")
        connection.send("40")
        self._await("40")

    def setup(self, wanted: Mapping[str, int]) -> None:
        """Let the server have rooms and namespaces."""
        self._ask("setup", dict(wanted))

    def watch(self) -> None:
        """Let the server watch its loop."""
        self._ask("watch")

    def longest_stall(self) -> float:
        """The longest time in milliseconds for which its loop did not run since `watch`."""
        return float(self._ask("watched"))

    def _ask(self, *event: Any) -> Any:
        self._next_id += 1
        self._connection.send(f"42{self._next_id}{json.dumps(event)}")
        answer: list[Any] = json.loads(self._await(f"43{self._next_id}"))
        return answer[0]

    def _read(self) -> None:
        try:
            for packet in self._connection:
                if packet == "2":
                    self._connection.send("3")
                else:
                    self._packets.put(str(packet))
        except ConnectionClosed:
            pass  # whoever waits is told by the time

    def _await(self, beginning: str) -> str:
        """The rest of the next packet that begins so."""
        try:
            while not (packet := self._packets.get(timeout=PATIENCE)).startswith(beginning):
                pass
        except queue.Empty:
            raise BenchmarkError(
                f"The server {self._name} did not answer within {PATIENCE} s."
            ) from None
        return packet.removeprefix(beginning)


@contextmanager
def control(server: RunningServer) -> Generator[Control]:
    """Connect to a server; its parser must be the default one."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    with connect(
        address, open_timeout=PATIENCE, compression=None, ping_interval=None, max_size=None
    ) as connection:
        yield Control(connection, server.contender.name)
