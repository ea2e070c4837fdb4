"""The same orders, given to our client and to JavaScript's; what each of them says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias

import telex
from tests.client.faults import javascript
from tests.client.faults.scenes import QUICK, Listening, Log
from tests.features.scripts import Page, until

Kind: TypeAlias = Literal["plain", "timeout", "promise", "volatile"]
Order: TypeAlias = Literal["connect", "disconnect"]
Reactions: TypeAlias = Mapping[str, Order]

COMMANDS = """
    page.answers = [];
    const answer = (name, ...rest) => page.answers.push([name, ...rest]);
    page.emit = (kind, seconds, event, ...args) => {
      const { socket } = page;
      const name = `${kind} ${args[0]}`;
      const strict = (error, value) => answer(name, error ? "error" : value);
      if (kind === "plain") socket.emit(event, ...args, (value) => answer(name, value));
      if (kind === "volatile") socket.volatile.emit(event, ...args, (value) => answer(name, value));
      if (kind === "timeout") socket.timeout(seconds * 1000).emit(event, ...args, strict);
      if (kind === "promise") {
        socket.emitWithAck(event, ...args).then(
          (value) => answer(name, value), () => answer(name, "error"));
      }
    };
    for (const [event, order] of Object.entries(reactions)) {
      const emitter = event.startsWith("reconnect") ? page.socket.io : page.socket;
      emitter.once(event, () => page.socket[order]());
    }
"""


class Client(Protocol):
    """A client that is told what to do."""

    async def order(self, order: Order) -> None:
        """Connect or disconnect."""
        ...

    async def emit(self, kind: Kind, event: str, value: int, *, seconds: float = 30) -> None:
        """Emit an event with a way to take its acknowledgement."""
        ...

    async def until(self, name: str, count: int = 1) -> None:
        """Wait until the socket or its manager has said this so often."""
        ...

    async def settle(self) -> None:
        """Wait until the server answers."""
        ...

    async def answers(self) -> Log:
        """What acknowledgements have brought, in order."""
        ...

    async def said(self) -> tuple[Log, Log]:
        """The events of the socket, and of its manager."""
        ...

    async def close(self) -> None:
        """It is over."""
        ...


class Theirs:
    """A JavaScript client."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def start(self, options: Mapping[str, Any], reactions: Reactions) -> None:
        """Begin to connect."""
        await javascript.start(self._page, {**QUICK, **options}, None)
        await self._page.run(COMMANDS, reactions=dict(reactions))

    async def order(self, order: Order) -> None:
        await self._page.run(f"page.socket.{order}()")

    async def emit(self, kind: Kind, event: str, value: int, *, seconds: float = 30) -> None:
        await self._page.run(
            "page.emit(kind, seconds, name, value)",
            kind=kind,
            seconds=seconds,
            name=event,
            value=value,
        )

    async def until(self, name: str, count: int = 1) -> None:
        await self._page.run(
            """
            const all = () => [...page.log, ...page.managed];
            while (all().filter((entry) => entry[0] === name).length < count) await sleep(2);
            """,
            name=name,
            count=count,
        )

    async def settle(self) -> None:
        await self._page.run("await page.settle()")

    async def answers(self) -> Log:
        found: Log = await self._page.run("return page.answers")
        return found

    async def said(self) -> tuple[Log, Log]:
        log, managed = await self._page.run("return [page.log, page.managed]")
        return log, managed

    async def close(self) -> None:
        await self._page.close()


class Ours:
    """A client of ours."""

    def __init__(self, url: str, options: Mapping[str, Any], reactions: Reactions) -> None:
        self._socket = telex.connect(url, force_new=True, **{**QUICK, **options})
        self._listening = Listening(self._socket)
        self._answers: Log = []
        self._tasks: list[asyncio.Task[None]] = []
        for event, order in reactions.items():
            emitter: Any = self._socket.io if event.startswith("reconnect") else self._socket
            emitter.once(event, partial(self._react, order))

    def _react(self, order: Order, *args: Any) -> None:
        getattr(self._socket, order)()

    async def order(self, order: Order) -> None:
        self._react(order)

    async def emit(self, kind: Kind, event: str, value: int, *, seconds: float = 30) -> None:
        name = f"{kind} {value}"
        match kind:
            case "plain":
                self._socket.emit(event, value, ack=partial(self._answer, name))
            case "volatile":
                self._socket.volatile.emit(event, value, ack=partial(self._answer, name))
            case "timeout":
                told = partial(self._strict, name)
                self._socket.timeout(seconds).emit(event, value, ack=told)
            case "promise":
                self._tasks.append(asyncio.create_task(self._promise(name, event, value)))
                await asyncio.sleep(0)

    def _answer(self, name: str, *values: Any) -> None:
        self._answers.append([name, *values])

    def _strict(self, name: str, error: Exception | None, *values: Any) -> None:
        self._answers.append([name, "error"] if error is not None else [name, *values])

    async def _promise(self, name: str, event: str, value: int) -> None:
        try:
            self._answer(name, await self._socket.emit_with_ack(event, value))
        except (telex.AckTimeout, telex.Disconnected):
            self._answer(name, "error")

    async def until(self, name: str, count: int = 1) -> None:
        listening = self._listening
        await until(
            lambda: [entry[0] for entry in listening.log + listening.managed].count(name) >= count
        )

    async def settle(self) -> None:
        await self._listening.settle()

    async def answers(self) -> Log:
        return list(self._answers)

    async def said(self) -> tuple[Log, Log]:
        return list(self._listening.log), list(self._listening.managed)

    async def close(self) -> None:
        await self._socket.disconnect()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
