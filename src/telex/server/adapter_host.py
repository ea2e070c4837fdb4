"""What a namespace gives its adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from .._log import logger, shown
from ..adapter.base import SessionLog
from ..adapter.recovery import RecoveryLog, RecoveryMemory
from ..deadlines import Schedule
from ..events.acks import Ack
from ..events.handlers import Handler
from ..events.invoke import call_handler, must_be_awaited
from ..events.runtime import Runtime
from ..parser.packet import EVENT
from .registry import Registry

RESERVED = frozenset({"connect", "connection", "new_namespace"})
"""Events that servers do not emit to each other."""


class NamespaceHost:
    """Fulfils ``AdapterHost`` for one namespace; made before that, and without a way back to it.

    ``server_id`` is called when the id is first needed; ``recovery_memory`` is ``None`` unless
    connection state recovery is on, ``epoch`` tells this life of the server from earlier ones.
    """

    __slots__ = (
        "_registry",
        "_runtime",
        "_server_id",
        "ack_ids",
        "encode",
        "name",
        "recovery",
        "schedule",
    )

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        registry: Registry,
        schedule: Schedule,
        server_id: Callable[[], str],
        recovery_memory: RecoveryMemory | None = None,
        epoch: int = 0,
    ) -> None:
        self.name = name
        self.schedule = schedule
        self.ack_ids = count()
        self.encode = partial(runtime.parser.encode, EVENT, name)
        self.recovery: SessionLog | None = None
        if recovery_memory is not None:
            self.recovery = RecoveryLog(recovery_memory, self.encode, epoch=epoch)
        self._runtime = runtime
        self._registry = registry
        self._server_id = server_id

    def __repr__(self) -> str:
        return f"<NamespaceHost of {self.name!r}>"

    @property
    def server_id(self) -> str:
        """The id of this server in its cluster."""
        return self._server_id()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the server runs on."""
        return self._runtime.loop

    def server_event(self, event: list[Any], reply: Callable[[Any], object] | None) -> None:
        """Run the handlers that ``on`` has registered for an event of another server.

        The answer is the first value that a handler returns, or what it gives to its parameter
        annotated with ``telex.Ack``; ``None`` when all have returned without one.
        """
        name, *args = event
        if name in RESERVED:
            logger.warning("another server has emitted the reserved event %s", shown(name))
            return
        handlers = self._registry.take_lifecycle(name)
        ack = None if reply is None else Ack(_one_value(reply))
        if handlers:
            self._runtime.watch(_run(handlers, args, ack), f"a handler of {name!r}")


def _one_value(reply: Callable[[Any], object]) -> Callable[[tuple[Any, ...]], None]:
    def answer(given: tuple[Any, ...]) -> None:
        reply(given[0] if given else None)

    return answer


async def _run(handlers: tuple[Handler, ...], args: list[Any], ack: Ack | None) -> None:
    taken = False
    failure: BaseException | None = None
    for handler in handlers:
        taken = taken or (handler.ack is not None and ack is not None)
        try:
            result = call_handler(handler, None, args, ack)
            if must_be_awaited(result, wanted=handler.is_async):
                result = await result
        except Exception as error:
            failure = failure or error
            continue
        if ack is not None and result is not None:
            ack(result)
    if failure is not None:
        raise failure
    if ack is not None and not taken:
        ack(None)
