"""With the compiled dispatch, without it, with nothing compiled: the same messages do the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.native.scenes import compiled_dispatch
from tests.native.transcripts import Pure, Script, Transcript, transcript
from tests.support import strategies
from tests.support.raw import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame

NAMES = (
    *(
        "echo",
        "typed",
        "order",
        "orders",
        "blob",
        "say",
        "everybody",
        "later",
        "soon",
        "task",
        "future",
        "beside",
    ),
    *("args", "number", "nothing", "odd", "fail", "fail later", "ack", "ack maybe", "once"),
    *("twice", "use", "new", "unknown"),
)
ACKS = ("", "7", "0", "007", "1234567890123456", "9999999999999999")

values = st.one_of(st.integers(0, 18), st.integers(), strategies.json_values)
LONG = "x" * 200
ORDER = {"number": 1, "name": LONG}
typed = st.sampled_from(
    [
        *([ORDER], [{"number": "1", "name": LONG}], [{**ORDER, "more": [LONG]}], [ORDER, LONG]),
        *([1, LONG], [LONG], [LONG, LONG], [[ORDER, ORDER]], [[ORDER], 2], [[ORDER, LONG]]),
        *([{"name": LONG}], [{"number": 2**70, "name": LONG}], [[{"number": 1, "name": 2}] * 9]),
        *([{"number": 1.0, "name": LONG}], [{"number": True, "name": LONG}], [LONG, 1]),
    ]
)
arguments = st.one_of(
    st.lists(st.integers(0, 18), min_size=1, max_size=1), st.lists(values, max_size=4), typed
)


@st.composite
def events(draw: st.DrawFn) -> str:
    """An event as clients send it."""
    event = [draw(st.sampled_from(NAMES)), *draw(arguments)]
    escaped = draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(event, ensure_ascii=escaped, separators=separators)
    namespace = draw(st.sampled_from(["", "", "", "/chat,"]))
    return "42" + namespace + draw(st.sampled_from(ACKS)) + text


PAYLOADS = (
    *("[]", "{}", '"x"', "null", "[null]", "[1]", "[1.5]", "[true]", "[[]]", '[""]', "[", ""),
    *('["connect"]', '["disconnecting",1]', '["newListener"]', '["disconnect"]', '["error",1]'),
    *('["echo",1] ', ' ["echo",1]', '["echo",1]x', '["echo",1', '["echo" ,\t1\n]', '["echo",01]'),
    *('["echo",NaN]', '["echo",1e400]', '["echo",-0.0]', '["echo",1E5]', "['echo']", '["echo",]'),
    *(f'["echo",{"9" * size}]' for size in (18, 19, 20, 30, 400)),
    *('["echo",{"a":1,"a":2}]', '["echo","\\u0000"]', '["echo","\x7f"]', '["echo","\x1f"]'),
    *('["echo","\\ud800"]', '["echo","\\ud83d\\ude00"]', '["\\u0065cho",1]', '["echo","\\x"]'),
    *(f'["echo",{"[" * depth}{"]" * depth}]' for depth in (126, 127, 128, 200)),
    *('["echo","' + "[" * 200 + '"]', '["args",' + ",".join(["1"] * 20) + "]"),
    *('["args",' + ",".join(["1"] * 14) + "]", '["number",1,2,3]', '["typed"]', '["typed","x"]'),
    *(f'["typed",1,"\\ud800{LONG}"]', f'["typed",1,"{LONG}\\x"]', f'["ty\\u0070ed",1,"{LONG}"]'),
    *('["blob",{"_placeholder":true,"num":0}]', '["echo","' + "z" * 70_000 + '"]'),
)
HEADERS: tuple[str, ...] = (
    "42",
    "427",
    "42/,",
    "42/chat,",
    "421-",
    "42-1",
    "42 7",
    "42+7",
    "42\u0663",
    "42/",
    *("42/chat,7", "42/chat,007", "42/chat", "42/chat?a=b,", "42/Chat,", "42//,", "42/,7"),
    *("42/chat,12345678901234567", "42/\u00e9,", f"42/{'n' * 300},", "42/chat,,"),
    *("4212345678901234567", "42123456789012345678", "43", "431", "40", "41", "44", "45"),
    *("451-", "452-7", "46", "461-1", "47", "4"),
)
CONTROL = (
    "3",
    "2",
    "1",
    "0",
    "5",
    "6",
    "7",
    "",
    "2probe",
    "3probe",
    "b",
    "bBAAA",
    "40/chat,",
    "41",
)


def _without(text: str, hole: int, size: int) -> str:
    return text[:hole] + text[hole + size :]


odd = st.one_of(
    st.builds(str.__add__, st.sampled_from(HEADERS), st.sampled_from(PAYLOADS)),
    st.builds("427{}".format, st.sampled_from(PAYLOADS)),
    st.sampled_from(CONTROL),
    st.builds(_without, events(), st.integers(0, 30), st.just(1)),
    st.builds(_without, events(), st.integers(0, 30), st.just(100_000)),
    strategies.texts,
)
"""What no client should say; much of it ends the connection."""


def binary_event(name: str, ack: str, blobs: list[bytes]) -> list[str | bytes]:
    """An event with attachments: its parts."""
    holes = [{"_placeholder": True, "num": number} for number in range(len(blobs))]
    return [f"45{len(blobs)}-{ack}{json.dumps([name, *holes])}", *blobs]


binaries = st.builds(
    binary_event,
    st.sampled_from(["blob", "args", "later"]),
    st.sampled_from(ACKS),
    st.lists(st.binary(max_size=5), min_size=1, max_size=2),
)


def _alone(message: str | bytes) -> list[str | bytes]:
    return [message]


good = st.one_of(events().map(_alone), events().map(_alone), binaries)


def _in_a_row(
    before: list[list[str | bytes]], rare: list[str | bytes], after: list[list[str | bytes]]
) -> list[str | bytes]:
    return [message for group in (*before, rare, *after) for message in group]


nothing: list[str | bytes] = []
messages = st.builds(
    _in_a_row,
    st.lists(good, max_size=8),
    st.one_of(
        st.just(nothing),
        odd.map(_alone),
        binaries.map(lambda parts: parts[:1]),
        st.binary(max_size=3).map(_alone),
    ),
    st.lists(good, max_size=4),
)

between = st.one_of(
    *[st.just(b"")] * 6,
    st.just(frame(PING, b"are you there")),
    st.just(frame(PONG, b"by the way")),
    st.sampled_from([frame(TEXT, b'427["echo","\xff"]'), frame(TEXT, b'427["\xff\xfe",1]')]),
    st.sampled_from([frame(TEXT, b'427["echo","\xed\xa0\x80"]'), frame(CONTINUATION, b"")]),
    st.sampled_from([close_frame(1000), frame(BINARY, b""), frame(TEXT, b""), frame(3)]),
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Messages, in frames, in fragments, in pieces."""
    said: list[str | bytes] = draw(messages)
    stream = b""
    for message in said:
        kind = TEXT if isinstance(message, str) else BINARY
        payload = message.encode() if isinstance(message, str) else message
        edges = draw(st.lists(st.integers(0, len(payload)), max_size=2)) if draw(rarely) else []
        for number, (start, end) in enumerate(pairwise([0, *sorted(edges), len(payload)])):
            fin = number == len(edges)
            stream += frame(CONTINUATION if number else kind, payload[start:end], fin=fin)
        stream += draw(between)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=4))
    pieces = [stream[start:end] for start, end in pairwise([0, *sorted(cuts), len(stream)])]
    return Script(tuple(pieces), tuple(said), draw(st.sampled_from([4, 4, 4, 3])))


rarely = st.integers(0, 5).map(lambda number: number == 0)

AT_ONCE = {"parse error", "transport close", "transport error"}
"""Reasons of an end that lets go of what is still queued."""


def assert_same(one: Transcript, other: Transcript) -> None:
    """Nothing differs, but that an answer which has left cannot be dropped any more.

    Pongs have no place among the messages.
    """
    assert _pongs(one) == _pongs(other)
    one, other = _without_pongs(one), _without_pongs(other)
    if set(one.reasons) & AT_ONCE and one.sent != other.sent:
        kept = _without_end(other.sent)
        found = _without_end(one.sent)
        assert found[: len(kept)] == kept
        assert all(packet[1].startswith(b"43") for packet in found[len(kept) :])
        assert one.sent[len(found) :] == other.sent[len(kept) :]
        other = other._replace(sent=one.sent)
    assert one == other


def _pongs(script: Transcript) -> list[Any]:
    return [packet for packet in script.sent[:-1] if packet[0] == PONG]


def _without_pongs(script: Transcript) -> Transcript:
    sent = [packet for packet in script.sent[:-1] if packet[0] != PONG]
    return script._replace(sent=[*sent, script.sent[-1]])


def _without_end(sent: list[Any]) -> list[Any]:
    """Without the close frame, and what the other client has heard."""
    frames = sent[:-1]
    return frames[:-1] if frames and frames[-1][0] == 8 else frames


@pytest.fixture(scope="module")
def pure() -> Iterator[Pure]:
    with Pure() as process:
        yield process


def _script(*messages: str | bytes) -> Script:
    frames = [frame(TEXT if isinstance(message, str) else BINARY, message) for message in messages]
    return Script((b"".join(frames),), messages)


FEW_PAYLOADS = ('["args",1]', '["args"', "[1]", "{}", "")


half = settings(max_examples=settings().max_examples // 2)
"""Every example is played two or three times."""


class TestOverAWebSocket:
    @half
    @given(script=scripts())
    @example(script=_script('427["echo",1]', "x"))
    @example(script=_script('427["echo",1]', '428["use",9]', '429["echo",1]', '421["echo",2]'))
    def test_compiled_and_declined(self, script: Script) -> None:
        found = transcript(script)
        with compiled_dispatch(False):
            assert_same(found, transcript(script))

    @half
    @given(script=scripts())
    @example(script=_script('42["echo",0]', '427["echo",0]', '42["task",12]'))
    def test_compiled_and_in_python(self, pure: Pure, script: Script) -> None:
        assert_same(transcript(script), pure.transcript(script))

    @pytest.mark.parametrize(
        "packet",
        [
            *[f"427{payload}" for payload in PAYLOADS],
            *[header + payload for header in HEADERS for payload in FEW_PAYLOADS],
        ],
        ids=range(len(PAYLOADS) + len(HEADERS) * len(FEW_PAYLOADS)),
    )
    def test_every_payload_and_every_header(self, pure: Pure, packet: str) -> None:
        script = _script('421["args",1]', packet, '422["args",2]')
        assert_same(transcript(script), pure.transcript(script))

    @pytest.mark.parametrize("name", ["echo", "typed", "say", "later", "task", "args", "odd"])
    def test_every_handler_behind_every_change(self, pure: Pure, name: str) -> None:
        for change in range(19):
            asked = [f'42{ack}["{name}",{kind}]' for ack in ("", "7") for kind in (0, 13)]
            script = _script(f'421["use",{change}]', *asked, '422["echo",2]')
            assert_same(transcript(script), pure.transcript(script))

    def test_every_task_before_and_behind_others(self, pure: Pure) -> None:
        for first in range(13):
            for ack in ("", "8"):
                asked = [f'427["task",{first}]', '427["task",4]', f'42{ack}["task",{first}]']
                script = _script(*asked, '421["soon",1]', '422["echo",2]')
                assert_same(transcript(script), pure.transcript(script))


class TestOverOtherTransports:
    @half
    @given(script=scripts())
    def test_compiled_and_in_python(self, pure: Pure, script: Script) -> None:
        found = transcript(script, websocket=False)
        assert found == pure.transcript(script, websocket=False)
        with compiled_dispatch(False):
            assert found == transcript(script, websocket=False)
