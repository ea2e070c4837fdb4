"""The JavaScript parsers of every generation, run by Node beside the tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from tests.support.node import NodeProgram
from tests.support.values import is_a

UNDEFINED = "undefined in JavaScript"
"""Stands for `undefined` in what a JavaScript parser has read."""

PACKET_NAMES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")

SocketIoPacket = tuple[int, str, int | None, Any]
"""A packet of Socket.IO: type, namespace, ack id, data."""


class Verdict(NamedTuple):
    """What a decoder made of some messages: the packets, and what was wrong in the end."""

    packets: list[SocketIoPacket]
    error: str | None


class JavaScriptParsers:
    """One Node process; every method takes and returns a batch."""

    def __init__(self) -> None:
        self._program = NodeProgram(Path(__file__).with_name("parsers.js"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._program.close()

    def _run(self, operation: str, cases: Sequence[object], **options: object) -> list[Any]:
        request = {"operation": operation, "cases": cases, **options}
        answers: list[Any] = self._program.request(request, timeout=30)
        assert len(answers) == len(cases)
        return answers

    # -- Socket.IO ------------------------------------------------------------------------

    def decode(self, revision: Literal[4, 5], cases: Sequence[list[str | bytes]]) -> list[Verdict]:
        """Decode messages, each case with a decoder of its own."""
        sent = [[_tagged(message) for message in messages] for messages in cases]
        answers = self._run("socket.io decode", sent, revision=revision)
        return [_verdict(answer) for answer in answers]

    def encode(
        self, revision: Literal[4, 5], packets: Sequence[SocketIoPacket]
    ) -> list[list[str | bytes]]:
        """The messages of each packet."""
        sent = [(kind, nsp, number, _tagged(data)) for kind, nsp, number, data in packets]
        answers = self._run("socket.io encode", sent, revision=revision)
        return [[_plain(message) for message in messages] for messages in answers]

    def decode_msgpack(self, messages: Sequence[bytes]) -> list[Verdict]:
        """Decode packets of the msgpack parser, each a message."""
        answers = self._run("msgpack decode", [_tagged(message) for message in messages])
        return [_verdict(answer) for answer in answers]

    def encode_msgpack(self, packets: Sequence[SocketIoPacket]) -> list[bytes]:
        """The message of each packet, by the msgpack parser."""
        sent = [(kind, nsp, number, _tagged(data)) for kind, nsp, number, data in packets]
        return [_plain(message) for message in self._run("msgpack encode", sent)]

    # -- Engine.IO --------------------------------------------------------------------------

    def decode_payload4(self, texts: Sequence[str]) -> list[list[str | bytes | None]]:
        """The packets of payloads of revision 4 as messages; `None` ends a wrong one."""
        return [_messages(packets) for packets in self._run("payload 4 decode", texts)]

    def encode_payload4(self, payloads: Sequence[Sequence[str | bytes]]) -> list[str]:
        return self._run("payload 4 encode", [_packets(messages) for messages in payloads])

    def decode_payload3(
        self, payloads: Sequence[str | bytes], *, generation: Literal[1, 2] = 2
    ) -> list[list[str | bytes | None]]:
        """The packets of payloads of revision 3 as messages; `None` ends a wrong one."""
        sent = [_tagged(payload) for payload in payloads]
        answers = self._run("payload 3 decode", sent, generation=generation)
        return [_messages(packets) for packets in answers]

    def encode_payload3(
        self,
        payloads: Sequence[Sequence[str | bytes]],
        *,
        generation: Literal[1, 2] = 2,
        binary: bool,
    ) -> list[str | bytes]:
        """Payloads as this generation sends them, with or without binary XHR."""
        sent = [_packets(messages) for messages in payloads]
        answers = self._run("payload 3 encode", sent, generation=generation, binary=binary)
        return [_plain(answer) for answer in answers]

    # -- JSON and JSONP -----------------------------------------------------------------------

    def parse_json(self, texts: Sequence[str]) -> list[Any]:
        return [_plain(value) for value in self._run("json parse", texts)]

    def stringify(self, values: Sequence[object]) -> list[str]:
        return self._run("json stringify", [_tagged(value) for value in values])

    def run_jsonp(self, scripts: Sequence[tuple[str, str]]) -> list[list[str]]:
        """What each script hands to the callback with the given number."""
        return self._run("jsonp run", scripts)

    def read_jsonp(self, forms: Sequence[str]) -> list[str | None]:
        """The payload that the reference reads in each form."""
        return self._run("jsonp read", forms)


def _verdict(answer: Any) -> Verdict:
    packets: list[SocketIoPacket] = [
        (kind, nsp, None if number == {"$undefined": True} else _plain(number), _plain(data))
        for kind, nsp, number, data in answer["packets"]
    ]
    return Verdict(packets, answer.get("error"))


def as_javascript(value: Any) -> Any:
    """A value as JavaScript has it: every number is a double; a boolean is no number."""
    if is_a(value, bool):
        return ("boolean", value)
    if is_a(value, int):
        return float(value) if abs(value) < 2**1024 else math.inf if value > 0 else -math.inf
    if is_a(value, list, tuple):
        return [as_javascript(item) for item in value]
    if is_a(value, dict):
        return {key: as_javascript(item) for key, item in value.items()}
    return value


def _tagged(value: Any) -> Any:
    if is_a(value, bytes):
        return {"$binary": value.hex()}
    if is_a(value, list, tuple):
        return [_tagged(item) for item in value]
    if is_a(value, dict):
        return {"$object": [[key, _tagged(item)] for key, item in value.items()]}
    return value


def _plain(value: Any) -> Any:
    if is_a(value, list):
        return [_plain(item) for item in value]
    if not is_a(value, dict):
        return value
    if "$binary" in value:
        return bytes.fromhex(value["$binary"])
    if "$number" in value:
        return float(value["$number"].replace("Infinity", "inf"))
    if "$undefined" in value:
        return UNDEFINED
    return {key: _plain(item) for key, item in value["$object"]}


def _packets(messages: Sequence[str | bytes]) -> list[tuple[str, Any]]:
    """Messages as packets of a JavaScript parser: their type's name, and the rest."""
    return [
        ("message", _tagged(message))
        if isinstance(message, bytes)
        else (PACKET_NAMES[int(message[0])], message[1:])
        for message in messages
    ]


def _messages(packets: list[Any]) -> list[str | bytes | None]:
    messages: list[str | bytes | None] = []
    for name, data in packets:
        value = _plain(data)
        # The reference has packets without a type, and pings with binary data: mistakes, too.
        if name not in PACKET_NAMES or (is_a(value, bytes) and name != "message"):
            return [*messages, None]
        if is_a(value, bytes):
            messages.append(value)
        else:
            digit = str(PACKET_NAMES.index(name))
            messages.append(digit if value == UNDEFINED else digit + value)
    return messages
