"""Text beyond ASCII in the string payloads of Engine.IO 3.

Socket.IO 1.x encodes every text packet of a string payload twice: its UTF-8 bytes,
taken for characters, become UTF-8 again; and it expects the same back. Socket.IO 2.x
encodes once. Both say ``EIO=3`` and send the same headers, so which of the two a client
is can only be seen in what it sends. WebSocket frames and binary payloads are alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain

from ..errors import PacketError

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_C1_CONTROL = re.compile("[\x80-\x9f]")
_NAMESPACE_WITHOUT_COMMA = re.compile(r"4[01]/[^,]*\Z")
_NAMESPACE_WITH_COMMA = re.compile(r"4[01]/[^,]*,\Z")
_HEADER = re.compile(r"4[0-6](?:[0-9]+-)?/[^,]*")
_WIDER_THAN_LATIN_1 = re.compile("[\xc4-\xdf]")

ONCE, TWICE = "2.x", "1.x"

_LOOKED_AT = 100
"""How many packets are looked at before the first is handed on, where that can matter."""


class LegacyText:
    """Reads and writes the text of one session's string payloads.

    ``generation`` is ``None`` until the client has proved to be ``"1.x"`` or ``"2.x"``.
    """

    __slots__ = ("_json", "generation")

    def __init__(self, *, json_text: bool) -> None:
        self._json = json_text
        self.generation: str | None = None

    def write(self, text: str) -> str:
        r"""Text as this client reads it.

        JSON is sent in ASCII, with ``\\uXXXX`` for the rest, which both generations read
        alike. Other text (a namespace's name, too) can only follow what is known of the
        client.
        """
        if not self._json:
            return self._follow(text)
        header = _HEADER.match(text)
        end = header.end() if header is not None else 0
        rest = _BEYOND_ASCII.sub(lambda char: json.dumps(char[0])[1:-1], text[end:])
        return self._follow(text[:end]) + rest

    def _follow(self, text: str) -> str:
        if self.generation == TWICE:
            return text.encode("utf-8", "surrogatepass").decode("latin-1")
        return text

    def read(self, payload: str, packets: Iterator[str | bytes]) -> Iterator[str | bytes]:
        """The ``packets`` of a ``payload``, one by one, with their text as the user wrote it."""
        if payload.isascii():
            return self._learning(packets)
        return self._read(payload, packets)

    def _learning(self, packets: Iterator[str | bytes]) -> Iterator[str | bytes]:
        for packet in packets:
            if self._json and self.generation is None and isinstance(packet, str):
                self._learn(packet)
            yield packet

    def _read(self, payload: str, packets: Iterator[str | bytes]) -> Iterator[str | bytes]:
        if self._json and self.generation is None:
            packets = self._look_ahead(self._learning(packets))
        twice = self._encoded_twice(payload)
        for packet in packets:
            yield _decode(packet) if twice and isinstance(packet, str) else packet

    def _look_ahead(self, packets: Iterator[str | bytes]) -> Iterator[str | bytes]:
        """The same packets, after what the first of them prove has been learnt."""
        first: list[str | bytes] = []
        try:
            for packet in packets:
                first.append(packet)
                if self.generation is not None or len(first) == _LOOKED_AT:
                    break
        except PacketError as mistake:
            return chain(first, _raise(mistake))
        return chain(first, packets)

    def _learn(self, text: str) -> None:
        """Clients write a namespace without data, the one generation with a comma."""
        if _NAMESPACE_WITHOUT_COMMA.match(text):
            self.generation = TWICE
        elif _NAMESPACE_WITH_COMMA.match(text):
            self.generation = ONCE

    def _encoded_twice(self, text: str) -> bool:
        if self.generation is not None:
            return self.generation == TWICE
        try:
            text.encode("latin-1").decode("utf-8", "surrogatepass")
        except UnicodeError:
            self.generation = ONCE
            return False
        if _C1_CONTROL.search(text):  # half of all continuation bytes, and never in real text
            self.generation = TWICE
            return True
        # Pairs that could be either, such as "Ã©": taken for Latin-1 letters encoded
        # twice, unless that would turn ordinary text ("É®") into rare letters.
        return _WIDER_THAN_LATIN_1.search(text) is None


def _decode(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text


def _raise(mistake: PacketError | None) -> Iterator[str | bytes]:
    if mistake is not None:
        raise mistake
    yield from ()
