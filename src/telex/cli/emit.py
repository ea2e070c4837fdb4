"""`telex emit`: one event, and its acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from telex import AckTimeout, ConnectError, Disconnected

from .client import Wanted
from .values import show_value

SENT, UNANSWERED = 0, 1


async def emit(
    wanted: Wanted,
    event: str,
    args: Sequence[Any],
    *,
    ack: bool,
    timeout: float,
    say: Callable[[str], object],
    complain: Callable[[str], object],
) -> int:
    """Emit an event, print the acknowledgement if one is wanted; the exit status."""
    socket = wanted.connect(timeout=timeout)
    ends: list[str] = []

    @socket.on("disconnect")
    def disconnect(reason: str, details: Any = None) -> None:
        if reason != "io client disconnect":
            why: Any = getattr(details, "description", None)
            why = f"HTTP status {why}" if isinstance(why, int) else why
            ends.append(f"{reason} ({why})" if why else reason)

    try:
        async with socket:
            if ack:
                answer = await socket.emit_with_ack(event, *args, timeout=timeout)
                for value in as_arguments(answer):
                    say(show_value(value))
            else:
                await socket.emit(event, *args)
    except ConnectError as error:
        sentence, status = wanted.explain(error)
        complain(sentence)
        return status
    except AckTimeout:
        complain(
            f"{event!r} was sent, but not acknowledged within {timeout:g} s: no handler of "
            "the server answers it, or it takes longer (--timeout)."
        )
        return UNANSWERED
    except Disconnected as error:
        reason = ends[0] if ends else error.reason
        complain(f"The connection ended before the acknowledgement came: {reason}.")
        return UNANSWERED
    if ends:
        complain(f"The connection ended while {event!r} was being sent: {ends[0]}.")
        return UNANSWERED
    return SENT


def as_arguments(answer: Any) -> tuple[Any, ...]:
    """What ``emit_with_ack`` returned, as the arguments that the server gave."""
    if answer is None:
        return ()
    return answer if answer.__class__ is tuple else (answer,)
