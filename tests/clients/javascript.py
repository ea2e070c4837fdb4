"""JavaScript clients of one generation, driven from Python.

>>> with JavaScript(4) as javascript:
...     ana = javascript.open("http://127.0.0.1:3000", transport="websocket")
...     ana.next("connect")
...     ana.call("answer", 1, b"two")
[1, b'two']
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, cast

from tests.support.node import JsonObject, NodeProgram, chromium

DRIVER = Path(__file__).with_name("driver.js")
BROWSER_DRIVER = Path(__file__).with_name("browser_driver.js")

Generation: TypeAlias = Literal[1, 2, 3, 4]
Transport: TypeAlias = Literal["polling", "websocket", "upgrade"]

TRANSPORTS: dict[Transport, list[str]] = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}

# Events of the applications under tests/apps that a client listens to unless told otherwise.
EVENTS = (*("welcome", "echo", "quoted", "question", "answered", "unanswered", "number", "told"),)


def to_json(value: object) -> object:
    """Arguments as the driver reads them: bytes become `{"$bytes": base64}`."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, object]", value)
        return {key: to_json(item) for key, item in mapping.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in cast("Sequence[object]", value)]
    return value


def from_json(value: Any) -> Any:
    """The reverse of `to_json`."""
    if isinstance(value, dict):
        mapping = cast("JsonObject", value)
        if mapping.keys() == {"$bytes"}:
            return base64.b64decode(mapping["$bytes"])
        return {key: from_json(item) for key, item in mapping.items()}
    if isinstance(value, list):
        return [from_json(item) for item in cast("list[object]", value)]
    return value


class JavaScript:
    """A Node process, or a browser, with clients of one generation of socket.io-client.

    Every request fails with a `NodeError` that tells the client's state when it is not done in
    time; no method of the clients waits for ever.
    """

    def __init__(self, generation: Generation, *, browser: bool = False) -> None:
        self.generation: Generation = generation
        self.program = (
            NodeProgram(BROWSER_DRIVER, str(generation), chromium())
            if browser
            else NodeProgram(DRIVER, str(generation))
        )
        self._clients: list[Client] = []
        self._names = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the clients and end the process."""
        if self.program.frozen:
            self.program.kill()
        elif self.program.running:
            self.program.close()

    def visit(self, url: str) -> None:
        """Open a page in the browser; nothing is left of the page before, clients included."""
        self.program.request({"do": "visit", "url": url}, timeout=20)
        self._clients.clear()

    def _new_client(self) -> Client:
        self._names += 1
        client = Client(self, f"client {self._names}")
        self._clients.append(client)
        return client

    def forgotten(self, client: Client) -> None:
        """A client is not to be closed any more."""
        self._clients.remove(client)

    def open(
        self,
        url: str,
        *,
        transport: Transport,
        namespace: str = "/",
        path: str = "/socket.io",
        listen: Sequence[str] = EVENTS,
        answers: Mapping[str, Sequence[object] | None] | None = None,
        **options: object,
    ) -> Client:
        """A new client on a connection of its own; it is connecting when this returns.

        `answers` says what the client acknowledges an event with: by default the arguments of
        the event, `None` for never. `options` are those of the JavaScript client.
        """
        client = self._new_client()
        client.order(
            "open",
            url=url if namespace == "/" else url + namespace,
            listen=listen,
            answers=to_json(answers or {}),
            options={
                "forceNew": True,
                "reconnection": False,
                "path": path,
                "transports": TRANSPORTS[transport],
                **options,
            },
        )
        return client

    def share(self, of: Client, namespace: str, **options: object) -> Client:
        """Another namespace over the connection of a client."""
        client = self._new_client()
        client.order(
            "share", of=of.name, namespace=namespace, options=options, listen=EVENTS, answers={}
        )
        return client

    def forget_all(self) -> None:
        """Close all clients."""
        for client in list(self._clients):
            client.forget()


class Client:
    """One socket of the JavaScript client."""

    def __init__(self, javascript: JavaScript, name: str) -> None:
        self._javascript = javascript
        self.name = name

    def order(self, do: str, *, timeout: float = 5.0, **parameters: object) -> Any:
        request = {"do": do, "client": self.name, **parameters}
        return self._javascript.program.request(request, timeout=timeout)

    def next(self, event: str, *, timeout: float = 5.0) -> list[Any]:
        """The arguments of the next event of that name; each is handed out once, in order."""
        arguments: list[Any] = from_json(self.order("next", event=event, timeout=timeout))
        return arguments

    def emit(self, event: str, *args: object) -> None:
        self.order("emit", event=event, args=to_json(args))

    def call(self, event: str, *args: object) -> list[Any]:
        """Emit with acknowledgement; the arguments of the acknowledgement."""
        answer: list[Any] = from_json(self.order("call", event=event, args=to_json(args)))
        return answer

    def upgraded(self) -> None:
        """Wait until the connection runs over WebSocket."""
        self.order("upgraded")

    def closed(self) -> None:
        """Wait until the connection is closed, with nothing left to be written."""
        self.order("closed")

    def polling(self) -> None:
        """Wait until the client waits for the answer to a poll."""
        self.order("polling")

    @property
    def state(self) -> JsonObject:
        """`id`, `connected`, `transport` and `history`, the names of all events so far."""
        state: JsonObject = self.order("state")
        return state

    @property
    def id(self) -> str:
        identity: str = self.state["id"]
        return identity

    def connect(self) -> None:
        self.order("connect")

    def disconnect(self) -> None:
        self.order("disconnect")

    def forget(self) -> None:
        """Close the client and drop it."""
        self.order("forget")
        self._javascript.forgotten(self)

    def close(self) -> None:
        """Close the connection below the socket, and all its namespaces with it."""
        self.order("close")


class Drivers:
    """One process for each generation, started when it is first needed."""

    def __init__(self, *, browser: bool = False) -> None:
        self._browser = browser
        self._drivers: dict[Generation, JavaScript] = {}

    def __getitem__(self, generation: Generation) -> JavaScript:
        javascript = self._drivers.get(generation)
        if javascript is None or not javascript.program.running:
            javascript = self._drivers[generation] = JavaScript(generation, browser=self._browser)
        return javascript

    def forget_clients(self) -> None:
        for javascript in self._drivers.values():
            if javascript.program.running:
                javascript.forget_all()

    def freeze(self) -> None:
        """Let all clients fall silent, for good."""
        for javascript in self._drivers.values():
            javascript.program.freeze()

    def close(self) -> None:
        for javascript in self._drivers.values():
            javascript.close()
