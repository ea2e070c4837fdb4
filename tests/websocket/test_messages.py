"""Messages and close frames, without a connection: the rows of RFC 6455."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex.websocket import close
from telex.websocket.messages import (
    BINARY,
    CONTINUATION,
    TEXT,
    MessageAssembler,
    Violation,
)

Frames = list[tuple[int, bool, bytes]]


def assembled(frames: Frames, limit: int = 100, most: int | None = 4) -> list[str | bytes]:
    assembler = MessageAssembler(limit, most)
    taken = [assembler.take(opcode, fin, memoryview(payload)) for opcode, fin, payload in frames]
    assert assembler.fragments is None
    return [message for message in taken if message is not None]


@pytest.mark.parametrize(
    ("frames", "messages"),
    [
        ([(TEXT, True, b"")], [""]),
        ([(TEXT, True, "ä".encode()), (BINARY, True, b"\xff")], ["ä", b"\xff"]),
        ([(TEXT, False, b"\xc3"), (CONTINUATION, True, b"\xa4")], ["ä"]),
        ([(BINARY, False, b""), (CONTINUATION, False, b""), (CONTINUATION, True, b"")], [b""]),
        ([(TEXT, False, b"a" * 60), (CONTINUATION, True, b"a" * 40)], ["a" * 100]),
    ],
)
def test_messages(frames: Frames, messages: list[str | bytes]) -> None:
    assert assembled(frames) == messages


@pytest.mark.parametrize(
    ("frames", "code", "size"),
    [
        ([(CONTINUATION, True, b"a")], close.PROTOCOL_ERROR, None),
        ([(TEXT, False, b"a"), (TEXT, True, b"a")], close.PROTOCOL_ERROR, None),
        ([(TEXT, True, b"\xff")], close.INVALID_TEXT, None),
        ([(TEXT, False, b"\xff"), (CONTINUATION, True, b"")], close.INVALID_TEXT, None),
        ([(BINARY, True, b"a" * 101)], close.MESSAGE_TOO_BIG, 101),
        ([(TEXT, False, b"a" * 60), (CONTINUATION, True, b"a" * 41)], close.MESSAGE_TOO_BIG, 101),
        ([(TEXT, False, b""), *[(CONTINUATION, False, b"")] * 4], close.POLICY_VIOLATION, None),
    ],
)
def test_violations(frames: Frames, code: int, size: int | None) -> None:
    with pytest.raises(Violation) as raised:
        assembled(frames)
    assert (raised.value.code, raised.value.size) == (code, size)
    assert code in close.VIOLATIONS


@given(text=st.text(max_size=20), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_wherever_a_text_is_cut(text: str, cuts: list[int]) -> None:
    data = text.encode()
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    frames: Frames = []
    begin = 0
    for number, end in enumerate(ends):
        opcode = CONTINUATION if number else TEXT
        frames.append((opcode, number == len(ends) - 1, data[begin:end]))
        begin = end
    assert assembled(frames, most=None) == [text]


@pytest.mark.parametrize(
    ("payload", "mistake"),
    [
        (b"", 0),
        (b"\x03\xe8", 0),
        (b"\x03\xe8bye", 0),
        (b"\x0b\xb8", 0),
        (b"\x13\x87", 0),
        (b"\x03", close.PROTOCOL_ERROR),
        (b"\x03\xe7", close.PROTOCOL_ERROR),
        (b"\x03\xed", close.PROTOCOL_ERROR),
        (b"\x13\x88", close.PROTOCOL_ERROR),
        (b"\x03\xe8\xff", close.INVALID_TEXT),
    ],
)
def test_close_frames(payload: bytes, mistake: int) -> None:
    assert close.mistake_in(payload) == mistake
