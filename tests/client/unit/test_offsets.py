"""Which texts are offsets of connection state recovery."""

from __future__ import annotations

import string
import subprocess
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from telex.adapter.recovery import RecoveryLog, RecoveryMemory
from telex.client.offsets import is_offset
from telex.wire import EncodedPacket
from tests.support.node import PEERS, node

NOW = 1_795_000_000.0
DAY = 86400.0
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_"


def yeast(seconds: float) -> str:
    """A time as Node's adapter in memory writes it."""
    number, text = int(seconds * 1000), ""
    while number:
        number, digit = divmod(number, 64)
        text = ALPHABET[digit] + text
    return text


def of_every_kind(seconds: float) -> list[str]:
    """Offsets of all servers, of events sent at this time."""
    milliseconds = int(seconds * 1000)
    return [
        yeast(seconds),  # Node, in memory
        f"{yeast(seconds)}.0",  # another event within the same millisecond
        f"{yeast(seconds)}.1_",
        f"{milliseconds}-0",  # Redis streams
        f"{milliseconds}-17",  # also telex: when it was started, and a number
        f"{int(seconds):08x}a1b2c3d4e5f60718",  # MongoDB
    ]


@pytest.mark.parametrize("age", [0.0, 1.0, 3600.0, DAY, 20 * DAY, -DAY])
def test_offsets(age: float) -> None:
    """Also those of servers whose clock is a little wrong."""
    for offset in of_every_kind(NOW - age):
        assert is_offset(offset, NOW), offset


@given(st.floats(1.71e9, 4e9))
def test_offsets_at_any_time(now: float) -> None:
    for offset in of_every_kind(now):
        assert is_offset(offset, now), offset


def test_offsets_of_node() -> None:
    """Made by its own adapter, just now; some within one millisecond."""
    program = "const {yeast} = require('socket.io-adapter/dist/contrib/yeast');"
    program += "for (let i = 0; i < 100; i++) console.log(yeast())"
    made = subprocess.run(
        [node(), "-e", program], cwd=PEERS, capture_output=True, encoding="ascii", check=True
    )
    offsets = made.stdout.split()
    assert len(offsets) == 100
    assert any("." in offset for offset in offsets)
    for offset in offsets:
        assert is_offset(offset, time.time()), offset


@pytest.mark.parametrize("age", [365 * DAY, 40 * DAY, -7 * DAY])
def test_times_of_other_days_are_no_offsets(age: float) -> None:
    for text in of_every_kind(NOW - age):
        started = age > 0 and "-" in text and text[:13].isdigit()
        assert is_offset(text, NOW) == started, text


def _no_packet(event: object) -> EncodedPacket:
    raise AssertionError("nothing is sent")


def test_a_server_of_telex_that_runs_for_years() -> None:
    """Its offsets begin with the time at which it was started."""
    epoch = int(NOW * 1000)
    log = RecoveryLog(RecoveryMemory(time.monotonic, 120, 45), _no_packet, epoch=epoch)
    assert is_offset(log.next_offset(), NOW)
    assert is_offset(log.next_offset(), NOW + 3 * 365 * DAY)


@pytest.mark.parametrize("offset", of_every_kind(NOW))
def test_a_clock_that_has_not_been_set(offset: str) -> None:
    assert is_offset(offset, 12.0)
    assert not is_offset("hello", 12.0)


@pytest.mark.parametrize(
    "value",
    [
        *("", "hello", "message", "welcome", "goodbye!", "password", "username", "Question"),
        *("2026-11-21", "12-34", "0-0", "1-1", "555-1234", "+49-30-1234567", "1795000000000"),
        *("Quietly", "Quality", "QUALITY", "Q", "-_-_-_-", "........", "a.b.c.d"),
        *("deadbeefdeadbeefdeadbeef", "0123456789abcdef01234567", "f" * 24, "é" * 7),
        *(f"{int(NOW * 1000)}-", f"-{int(NOW * 1000)}", f" {int(NOW * 1000)}-0"),
        *(f"{int(NOW * 1000)}-0\n", f"{yeast(NOW)}.", f"{yeast(NOW)} ", f"x{yeast(NOW)}"),
        *("٣٣٣٣٣٣٣٣٣٣٣٣٣-٠", f"{'9' * 20}-0", f"{'9' * 21}-0"),
    ],
)
def test_ordinary_texts_are_no_offsets(value: str) -> None:
    assert not is_offset(value, NOW)


@pytest.mark.parametrize("value", [None, 5, 1.5, True, b"bytes", ["list"], {"a": 1}])
def test_other_values_are_no_offsets(value: object) -> None:
    assert not is_offset(value, NOW)


@given(st.text(max_size=30))
def test_texts(text: str) -> None:
    """Few texts are; and none whose time cannot be told."""
    assume(not text.startswith(("Q", "0Q")))
    if is_offset(text, NOW):
        assert text.isascii()
        assert "-" in text or len(text) in (7, 8, 24) or "." in text


def test_words_of_a_dictionary() -> None:
    """All words of two letters as beginnings: hardly any makes an offset of now."""
    tails = ("abcde", "ABCDE", "ation", "zzzzz", "00000")
    beginnings = [a + b for a in string.ascii_letters for b in string.ascii_lowercase]
    found = [a + t for a in beginnings for t in tails if is_offset(a + t, NOW)]
    assert not found
