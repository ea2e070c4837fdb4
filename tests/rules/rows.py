"""Rows of bad input: what is sent, and exactly what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.rules.clients import ERRORS, PollingClient, is_error
from tests.rules.subject import HOSTS, Host, Subject
from tests.support.raw import Answer

# Why a session ended, in the words of Engine.IO and Socket.IO.
PARSE = "parse error"
FORCED = "forced close"  # what the client sent could not be decoded
VIOLATION = "forced server close"  # it could be decoded, and was out of place
TRANSPORT_ERROR = "transport error"
TOO_BIG = "over max_http_buffer_size"
TRANSPORT_CLOSE = "transport close"

FAST: tuple[Host, ...] = ("fast",)
"""For what the host's own HTTP or WebSocket decides when telex stands behind ASGI."""


@dataclass(frozen=True)
class Row:
    """One input; `server` is the one it goes to, and that must serve others as before.

    `log` is how many lines it may leave in the log.
    """

    id: str
    run: Callable[[Subject], None]
    hosts: tuple[Host, ...] = HOSTS
    server: str = "main"
    log: int | None = None


Expectation = Callable[[Answer], None]


def error(code: int, message: str | None = None) -> Expectation:
    """One of the engine's errors, exactly."""

    def check(answer: Answer) -> None:
        assert is_error(answer, code, message), f"not {ERRORS[code]!r}: {answer}"

    return check


def plain(status: int, body: bytes = b"") -> Expectation:
    """This status and exactly this body."""

    def check(answer: Answer) -> None:
        assert (answer.status, answer.body) == (status, body), answer

    return check


def status(*statuses: int) -> Expectation:
    """This status, or one of several where hosts differ; the body is the host's own."""

    def check(answer: Answer) -> None:
        assert answer.status in statuses, answer

    return check


def ok(answer: Answer) -> None:
    """What a POST is answered with that has been accepted."""
    assert (answer.status, answer.content_type, answer.body) == (200, "text/html", b"ok"), answer
    assert answer.header("cache-control") == "no-store"


def opened(answer: Answer) -> None:
    """A handshake that has succeeded."""
    assert answer.status == 200, answer
    assert answer.content_type == "text/plain; charset=UTF-8", answer
    assert answer.header("cache-control") == "no-store"
    assert answer.text.startswith('0{"sid":"'), answer


EMPTY_400 = plain(400)
TOO_LARGE = plain(413, TOO_BIG.encode())


def like(packets: list[str], patterns: list[str]) -> bool:
    """Whether packets are as expected; `40*` stands for one that begins so."""
    return len(packets) == len(patterns) and all(
        packet.startswith(pattern[:-1]) if pattern.endswith("*") else packet == pattern
        for packet, pattern in zip(packets, patterns, strict=True)
    )


def still_alive(client: PollingClient) -> None:
    """A session that has not joined yet can do so, and works."""
    client.connect()
    client.say('42["echo","alive"]')
    assert client.packets() == ['42["echo","alive"]']
