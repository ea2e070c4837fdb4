"""The lifespan of an ASGI application that contains another one."""

from __future__ import annotations

from collections.abc import Callable

from ..._log import logger, shown
from ...types import App, Message, Receive, Scope, Send


async def run_lifespan(
    other: App | None, reopen: Callable[[], None], scope: Scope, receive: Receive, send: Send
) -> None:
    """Start and stop with the host, whether the other application takes part or not.

    ``reopen`` is called at the start if no other application has answered to it.
    """
    came: set[str] = set()
    said: set[str] = set()

    async def receive_and_note() -> Message:
        message = await receive()
        came.add(message["type"])
        return message

    async def send_and_note(message: Message) -> None:
        said.add(message["type"])
        await send(message)

    if other is not None:
        try:
            await other(scope, receive_and_note, send_and_note)
        except Exception as error:
            if said - {"lifespan.startup.complete"} or "lifespan.shutdown" in came:
                raise
            if said:
                logger.exception("the lifespan of the other application has failed")
            else:
                logger.debug("the other application has no lifespan: %s", shown(error))
        if any(kind.endswith(("failed", "shutdown.complete")) for kind in said):
            return
    if "lifespan.startup" not in came:
        await receive_and_note()
    if not said:
        reopen()
        await send({"type": "lifespan.startup.complete"})
    if "lifespan.shutdown" not in came:
        await receive_and_note()
    await send({"type": "lifespan.shutdown.complete"})
