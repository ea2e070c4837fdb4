"""The same packets in JavaScript: shared vectors, both ways, and the same verdict on mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telex.codec.json import MAX_DEPTH
from telex.parser.packet import ACK, CONNECT, DISCONNECT, EVENT, MAX_NAMESPACE
from tests.parser.reading import decode, encode
from tests.support.examples import examples
from tests.support.parsers import (
    UNDEFINED,
    JavaScriptParsers,
    SocketIoPacket,
    Verdict,
    as_javascript,
)
from tests.support.strategies import SAFE_INTEGER, arguments, events, json_values, keys, namespaces
from tests.support.vectors import load

Revision = Literal[4, 5]
REVISIONS: list[Revision] = [5, 4]

PACKETS = load("packets.json")
ACCEPTED = load("accepted.json")
REFUSED = load("refused.json")


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScriptParsers]:
    with JavaScriptParsers() as parsers:
        yield parsers


def comparable(packet: SocketIoPacket) -> object:
    """A packet as both sides have it: JavaScript has one kind of number, and `undefined`."""
    kind, nsp, ack_id, data = packet
    kind = kind - 3 if kind > 4 else kind  # revision 4 keeps BINARY_EVENT and BINARY_ACK
    return kind, nsp, as_javascript(ack_id), None if data == UNDEFINED else as_javascript(data)


def comparables(verdict: Verdict) -> list[object]:
    return [comparable(packet) for packet in verdict.packets]


def same(ours: Verdict, theirs: Verdict) -> bool:
    refused = (ours.error is not None, theirs.error is not None)
    return refused in ((True, True), (False, False)) and comparables(ours) == comparables(theirs)


def vector_packet(vector: dict[str, Any]) -> SocketIoPacket:
    kind, nsp, ack_id, data = vector["packet"]
    return kind, nsp, ack_id, data


def vector_name(vector: dict[str, Any]) -> str:
    return str(vector.get("name") or vector.get("note") or vector["messages"])


class TestVectors:
    @pytest.mark.parametrize("vector", PACKETS, ids=vector_name)
    def test_packets(self, javascript: JavaScriptParsers, vector: dict[str, Any]) -> None:
        packet, messages = vector_packet(vector), vector["messages"]
        assert encode(packet) == messages
        assert decode(messages) == Verdict([packet], None)
        for revision in vector.get("revisions", REVISIONS):
            assert javascript.encode(revision, [packet]) == [messages]
            (theirs,) = javascript.decode(revision, [messages])
            assert theirs.error is None
            assert comparables(theirs) == [comparable(packet)]

    @pytest.mark.parametrize("vector", ACCEPTED, ids=vector_name)
    def test_unusual_packets(self, javascript: JavaScriptParsers, vector: dict[str, Any]) -> None:
        assert decode(vector["messages"]) == Verdict([vector_packet(vector)], None)
        (theirs,) = javascript.decode(5, [vector["messages"]])
        assert theirs.error is None
        assert comparables(theirs) == [comparable(vector_packet(vector))]

    @pytest.mark.parametrize("vector", REFUSED, ids=vector_name)
    def test_malformed_packets(self, javascript: JavaScriptParsers, vector: dict[str, Any]) -> None:
        ours = decode(vector["messages"])
        assert ours.error is not None
        (theirs,) = javascript.decode(5, [vector["messages"]])
        if "reference" in vector:  # says in which respect the reference is more lenient
            assert theirs.error is None
        else:
            assert theirs.error is not None
            assert comparables(theirs) == comparables(ours)


objects = st.dictionaries(keys, json_values, max_size=3)
safe_ids = st.one_of(st.none(), st.integers(0, SAFE_INTEGER))
packets = st.one_of(
    st.tuples(st.just(CONNECT), namespaces, st.none(), st.one_of(st.none(), objects)),
    st.tuples(st.just(DISCONNECT), namespaces, st.none(), st.none()),
    st.tuples(st.just(EVENT), namespaces, safe_ids, events),
    st.tuples(st.just(ACK), namespaces, safe_ids, arguments),
)


@pytest.mark.parametrize("revision", REVISIONS)
class TestBothWays:
    """What one side encodes, the other decodes to the same packet."""

    @given(packet=packets)
    def test_from_here_to_there(
        self, javascript: JavaScriptParsers, revision: Revision, packet: Any
    ) -> None:
        (theirs,) = javascript.decode(revision, [few_attachments(encode(packet))])
        assert theirs.error is None
        assert comparables(theirs) == [comparable(packet)]

    @given(packet=packets)
    def test_from_there_to_here(
        self, javascript: JavaScriptParsers, revision: Revision, packet: Any
    ) -> None:
        (messages,) = javascript.encode(revision, [packet])
        ours = decode(few_attachments(messages))
        assert ours.error is None
        assert comparables(ours) == [comparable(packet)]


def few_attachments(messages: list[str | bytes]) -> list[str | bytes]:
    """Neither side reads more than ten attachments unless it is told to."""
    return messages if len(messages) <= 11 else ['2["too many"]']


# -- mistakes ---------------------------------------------------------------------------------


Applies = Callable[[list[str | bytes], Verdict, Verdict], bool]


class Difference(NamedTuple):
    """A respect in which the two may differ, and why that is right."""

    reason: str
    applies: Applies


def head(messages: list[str | bytes]) -> str:
    return messages[0] if messages and isinstance(messages[0], str) else ""


def stricter(pattern: str) -> Applies:
    """The reference accepts a header of this form, and we refuse it."""
    compiled = re.compile(pattern, re.DOTALL)

    def applies(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
        further = theirs.error is None or len(theirs.packets) > len(ours.packets)
        return ours.error is not None and further and bool(compiled.match(head(messages)))

    return applies


def without_payload(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
    return ours.error is not None and any(
        kind not in (CONNECT, DISCONNECT) and data == UNDEFINED
        for kind, _, _, data in theirs.packets
    )


def unfinished(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
    return theirs.error == "invalid payload" and ours == Verdict([], None) and head(messages) > "5"


def placeholder(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
    return "a placeholder names no attachment" in str(ours.error) and theirs.error is None


def from_client_only(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
    return head(messages)[:1] == "4"


def complaint(text: str) -> Applies:
    """We refuse it with these words, and the reference does not."""

    def applies(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
        return text in str(ours.error)

    return applies


# White space as JavaScript's Number() has it.
_SPACE = r"[\s\ufeff]"
_SPACE_IN_ID = re.compile(rf"[0-6](?:[^/-]*-)?(?:/[^,]*,)?[0-9]*{_SPACE}")


def space_in_id(messages: list[str | bytes], ours: Verdict, theirs: Verdict) -> bool:
    return _SPACE_IN_ID.match(head(messages)) is not None


ALLOWED_DIFFERENCES = [
    Difference(
        "the reference takes an empty packet, or white space, for type 0",
        stricter(rf"(?:\Z|{_SPACE})"),
    ),
    Difference(
        "the reference reads counts of attachments with Number(): 1e0, 0x1, ' 1', +1, 1.0",
        stricter(r"[56](?![0-9]+-)[^-]*(?:e-[0-9]+)?-"),
    ),
    Difference(
        "the reference takes white space for digits of an ack id",
        space_in_id,
    ),
    Difference(
        "ack ids have at most 16 digits: the reference makes inexact numbers of longer ones",
        stricter(r"[0-6](?:[^/-]*-)?(?:/[^,]*,)?[0-9]{17}"),
    ),
    Difference(
        "names of namespaces are limited",
        stricter(rf"[0-6](?:[^/-]*-)?/[^,]{{{MAX_NAMESPACE}}}"),
    ),
    Difference(
        "numbers beyond a double are refused: they would go out as Infinity, which is no JSON",
        stricter(r".*[0-9](?:[eE]\+?[0-9]{3,}|[0-9]{300,})"),
    ),
    Difference("nesting is limited", complaint(f"nested deeper than {MAX_DEPTH}")),
    Difference("an event or acknowledgement needs a payload", without_payload),
    Difference("the payload of a binary packet is read when it is complete", unfinished),
    Difference("the index of a placeholder is an integer", placeholder),
    Difference(
        "CONNECT_ERROR never comes from a client, so its payload is not looked at",
        from_client_only,
    ),
]

REVISION_4_DIFFERENCES = [
    Difference(
        "revision 4 did not know reserved names",
        complaint("reserved event name"),
    ),
    Difference(
        "revision 4 took any object, list or null for the payload of CONNECT",
        complaint("CONNECT carries an object"),
    ),
]


def difference(
    messages: list[str | bytes], ours: Verdict, theirs: Verdict, revision: Revision
) -> str | None:
    """Why the verdicts may differ, if they may."""
    allowed = ALLOWED_DIFFERENCES + (REVISION_4_DIFFERENCES if revision == 4 else [])
    for reason, applies in allowed:
        if applies(messages, ours, theirs):
            return reason
    return None


VALID: list[list[str | bytes]] = [
    *(vector["messages"] for vector in PACKETS + ACCEPTED if vector["packet"][0] < 4),
    ['2/admin,12["a",{"b":[1,2.5,-3,null,true]},"\\u0041\\n"]'],
    ['0/chat,{"token":"abc","n":1}'],
]

INSERTED = [
    "\x1e",
    "\x00",
    ",",
    "-",
    " ",
    "/",
    "[",
    "]",
    '"',
    "\ud83d",
    "1",
    "e",
    ".",
    "+",
    "\u00a0",
]
NUMBERS = [
    "1e0",
    "0x1",
    "+1",
    "-1",
    "1.0",
    "00",
    "9" * 16,
    "9" * 17,
    "9" * 400,
    "1e400",
    "-0",
    "٣",
    "²",
]


@st.composite
def mutated(draw: st.DrawFn) -> list[str | bytes]:
    """A valid packet with one to three mistakes in its text."""
    messages = list(draw(st.sampled_from(VALID)))
    text = messages[0]
    assert isinstance(text, str)
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from(MUTATIONS))(draw, text)
    messages[0] = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if draw(st.integers(0, 9)) == 0:
        messages = messages[:-1] or messages
    return messages


def _place(draw: st.DrawFn, text: str) -> int:
    # Mistakes in the header tell more than mistakes deep in the JSON.
    last = len(text) if draw(st.booleans()) else min(len(text), 8)
    return draw(st.integers(0, last))


def insert(draw: st.DrawFn, text: str) -> str:
    place = _place(draw, text)
    return text[:place] + draw(st.sampled_from(INSERTED)) + text[place:]


def delete(draw: st.DrawFn, text: str) -> str:
    place = _place(draw, text)
    return text[:place] + text[place + 1 :]


def duplicate(draw: st.DrawFn, text: str) -> str:
    place = _place(draw, text)
    return text[:place] + text[place : place + 1] * 2 + text[place + 1 :]


def swap_type(draw: st.DrawFn, text: str) -> str:
    return draw(st.sampled_from("01235678xb")) + text[1:]


def replace_number(draw: st.DrawFn, text: str) -> str:
    numbers = list(re.finditer(r"[0-9]+", text[1:]))
    if not numbers:
        return text
    found = draw(st.sampled_from(numbers))
    other = draw(st.sampled_from(NUMBERS))
    return text[: found.start() + 1] + other + text[found.end() + 1 :]


def nest(draw: st.DrawFn, text: str) -> str:
    place = text.find("[") + 1
    depth = draw(st.sampled_from([1, 50, 200]))
    return text[:place] + "[" * depth + "1" + "]" * depth + "," + text[place:] if place else text


def truncate(draw: st.DrawFn, text: str) -> str:
    return text[: _place(draw, text)]


def escape(draw: st.DrawFn, text: str) -> str:
    return text.replace('["', '["\\u' + draw(st.sampled_from(["d800", "0031", "zz", "dc00x"])), 1)


MUTATIONS: list[Callable[[st.DrawFn, str], str]] = [
    insert,
    delete,
    duplicate,
    swap_type,
    replace_number,
    nest,
    truncate,
    escape,
]


@pytest.mark.parametrize("revision", REVISIONS)
class TestMistakes:
    @settings(max_examples=examples(100))
    @given(messages=mutated())
    def test_get_the_same_verdict(
        self, javascript: JavaScriptParsers, revision: Revision, messages: list[str | bytes]
    ) -> None:
        ours = decode(messages)
        (theirs,) = javascript.decode(revision, [messages])
        if same(ours, theirs):
            return
        allowed = difference(messages, ours, theirs, revision)
        assert allowed is not None, (
            f"\nmessages: {json.dumps([str(message) for message in messages])}"
            f"\nours:     {ours}\ntheirs:   {theirs}"
        )

    def test_every_allowed_difference_is_one(
        self, javascript: JavaScriptParsers, revision: Revision
    ) -> None:
        """The list says nothing that the parsers do not do: each entry has an example."""
        examples: list[list[str | bytes]] = [
            [""],
            ['51e0-["a",{"_placeholder":true,"num":0}]', b"x"],
            ['2 ["a"]'],
            ["2" + "1" * 17 + '["a"]'],
            ["0/" + "x" * MAX_NAMESPACE + ","],
            ['2["a",1e400]'],
            ['2["a",' + "[" * 200 + "]" * 200 + "]"],
            ["2"],
            ["51-x"],
            ['51-["a",{"_placeholder":true,"num":0.0}]', b"x"],
            ["4true"],
            ['2["connect"]'],
            ["0[]"],
        ]
        found: set[str] = set()
        verdicts = javascript.decode(revision, examples)
        for messages, theirs in zip(examples, verdicts, strict=True):
            ours = decode(messages)
            if not same(ours, theirs):
                found.add(str(difference(messages, ours, theirs, revision)))
        allowed = ALLOWED_DIFFERENCES + (REVISION_4_DIFFERENCES if revision == 4 else [])
        assert found == {reason for reason, _ in allowed}
