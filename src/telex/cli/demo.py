"""The chat of `telex demo`: one server, one page, three events anybody can speak and some more.

Events of the smallest chat, for any Socket.IO client of any generation:

* ``req(text)`` is acknowledged with ``hello world``;
* ``chat(text)`` goes to everyone as ``chat("client_<id> says: <text>")``;
* ``hi(text)`` tells the others that somebody came.

The page sends ``auth={"key": …, "name": …, "room": …}`` when it connects and is then spoken to in
richer events: ``welcome``, ``message``, ``private message``, ``joined``, ``left``, ``changed``,
``rooms``, ``activity``, ``typing``, ``replaced``. It sends ``say``, ``private message``,
``enter room``, ``rename``, ``typing`` and ``latency``. Everything a stranger sends is cut to size
here and becomes text in the page; all of it is kept in memory, in bounds.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import secrets
import time
import unicodedata
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict, cast

from telex import Server, Socket

from .pages import Pages

MAX_TEXT = 2000
"""Characters of one message."""
MAX_NAME = 24
"""Characters of the name of a person or a room."""
MAX_ROOMS = 24
"""Rooms open at a time; those that visitors opened close when the last one leaves."""
HISTORY = 50
"""Messages a room remembers."""
BURST, PER_SECOND = 15, 3
"""What one page may say at once, and how fast it may go on."""

HUES = (14, 38, 88, 150, 180, 205, 235, 268, 300, 335)
"""The colours of people, as hues in degrees."""
TOPICS = {
    "lobby": "Everybody starts here, plain Socket.IO clients too",
    "python": "What are you building?",
    "random": "Anything goes, kindly",
}
PAGES = "pages"
"""The Socket.IO room of every socket that speaks the richer events."""
SPOOFS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Invisible characters that turn the direction of what stands around them."""


class Face(TypedDict):
    """The author of a message; ``plain`` are clients that speak only the three events."""

    id: str
    name: str
    hue: int
    plain: bool


class Card(Face):
    """A person who is here."""

    client: str
    transport: str


Entry = TypedDict("Entry", {"id": int, "at": int, "from": Face, "text": str, "nonce": str})
"""A message; ``at`` in milliseconds, ``nonce`` its sender's mark, equal when it is sent again."""


@dataclass(slots=True, eq=False)
class Room:
    """A room: who is in it and what was said last."""

    name: str
    people: dict[str, Person] = field(default_factory=dict[str, "Person"])
    history: deque[Entry] = field(default_factory=lambda: deque[Entry](maxlen=HISTORY))

    @property
    def key(self) -> str:
        """Its Socket.IO room. The prefix keeps visitors out of the rooms named by socket ids."""
        return f"room:{self.name}"


@dataclass(slots=True, eq=False)
class Person:
    """Somebody who is here. A page keeps its ``id`` when it reconnects, under a new socket."""

    id: str
    name: str
    hue: int
    socket: Socket
    plain: bool
    room: Room
    allowance: float = BURST
    counted: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        """Its Socket.IO room, for what is meant for this person alone."""
        return f"person:{self.id}"

    def face(self) -> Face:
        """Who this is, for a message."""
        return {"id": self.id, "name": self.name, "hue": self.hue, "plain": self.plain}

    def card(self) -> Card:
        """Who this is, for the list of people."""
        return {
            **self.face(),
            "client": f"client_{self.socket.id}",
            "transport": self.socket.conn.transport.name,
        }

    def may_speak(self) -> bool:
        """Take one from the allowance, which fills up again with time."""
        now = time.monotonic()
        self.allowance = min(BURST, self.allowance + (now - self.counted) * PER_SECOND)
        self.counted = now
        if self.allowance < 1:
            return False
        self.allowance -= 1
        return True


class Chat:
    """Who is here, in which room, and what was said."""

    def __init__(self, io: Server) -> None:
        self.io = io
        self.people: dict[str, Person] = {}
        self.rooms = {name: Room(name) for name in TOPICS}
        self.numbers = itertools.count(1)

    def connection(self, socket: Socket) -> None:
        """Greet a newcomer, and listen."""
        socket.broadcast.emit("hi", f"I'm coming, my name: client_{socket.id}.")
        person = self.arrive(socket)

        @socket.on("req")
        def req() -> str:
            return "hello world"

        @socket.on("chat")
        def chat(message: object = "undefined") -> None:
            text = clean(as_text(message), MAX_TEXT)
            self.io.emit("chat", f"client_{socket.id} says: {text}")
            self.rooms["lobby"].history.append(self.entry(person, text))

        @socket.on("disconnect")
        def disconnect() -> None:
            self.depart(person)

        if not person.plain:
            Visit(self, person).listen()
            socket.join([PAGES, person.key])
            socket.emit(
                "welcome", {"you": person.card(), "rooms": self.listing(), **self.view(person.room)}
            )

    def arrive(self, socket: Socket) -> Person:
        """Make a person of a socket, in the room it asks for."""
        auth = as_mapping(socket.handshake.auth)
        room = self.rooms["lobby"]
        if "key" not in auth:
            name = f"client_{socket.id}"
            person = Person(name, name, 0, socket, plain=True, room=room)
        else:
            key = as_text(auth["key"])[:64]
            if len(key) < 16:
                key = secrets.token_hex(16)
            ident = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:16]
            before = self.people.get(ident)
            if before is not None:
                before.socket.emit("replaced")
                self.depart(before)
                before.socket.disconnect()
            name = self.free_name(auth.get("name"))
            room = self.room(auth.get("room")) or room
            person = Person(ident, name, self.free_hue(ident), socket, plain=False, room=room)
            socket.conn.on("upgrade", lambda: self.changed(person))
        self.people[person.id] = person
        self.enter(person, room)
        return person

    def depart(self, person: Person) -> None:
        """Forget somebody; nothing happens the second time."""
        if self.people.get(person.id) is person:
            del self.people[person.id]
            self.leave(person)
            self.io.to(PAGES).emit("rooms", self.listing())

    def enter(self, person: Person, room: Room) -> None:
        """Put somebody into a room and tell those who are there."""
        person.room = room
        self.io.to(room.key).emit("joined", person.card())
        room.people[person.id] = person
        if not person.plain:
            person.socket.join(room.key)
        self.io.to(PAGES).emit("rooms", self.listing())

    def leave(self, person: Person) -> None:
        """Take somebody out of the room, and close it if nobody is left and nobody will miss it."""
        room = person.room
        room.people.pop(person.id, None)
        person.socket.leave(room.key)
        self.io.to(room.key).emit("left", person.id)
        if not room.people and room.name not in TOPICS:
            self.rooms.pop(room.name, None)

    def changed(self, person: Person) -> None:
        """Tell the room that a name or a transport is another now."""
        if self.people.get(person.id) is person:
            self.io.to(person.room.key).emit("changed", person.card())

    def entry(self, person: Person, text: str, nonce: str = "") -> Entry:
        """A new message."""
        return {
            "id": next(self.numbers),
            "at": int(time.time() * 1000),
            "from": person.face(),
            "text": text,
            "nonce": nonce,
        }

    def view(self, room: Room) -> dict[str, object]:
        """What somebody who enters a room is shown."""
        return {
            "room": room.name,
            "people": [person.card() for person in room.people.values()],
            "history": list(room.history),
        }

    def listing(self) -> list[dict[str, object]]:
        """All rooms."""
        return [
            {"name": name, "topic": TOPICS.get(name, ""), "people": len(room.people)}
            for name, room in self.rooms.items()
        ]

    def room(self, name: object) -> Room | None:
        """The room of this name, opened if need be; None if it cannot be."""
        slug = "-".join(clean_name(name).lower().lstrip("#").split())
        room = self.rooms.get(slug)
        if room is None and slug and len(self.rooms) < MAX_ROOMS:
            room = self.rooms[slug] = Room(slug)
        return room

    def free_name(self, wanted: object, besides: Person | None = None) -> str:
        """A name nobody else has here, close to the one wanted."""
        taken = {one.name.casefold() for one in self.people.values() if one is not besides}
        base = name = clean_name(wanted) or random_name()
        for number in itertools.count(2):
            if name.casefold() not in taken:
                return name
            name = f"{base[: MAX_NAME - 5]} {number}"
        raise AssertionError("counting does not end")

    def free_hue(self, ident: str) -> int:
        """The same colour for the same person, or the next one that nobody here has."""
        first = int(ident, 16) % len(HUES)
        taken = {one.hue for one in self.people.values()}
        free = [hue for hue in HUES[first:] + HUES[:first] if hue not in taken]
        return free[0] if free else HUES[first]


class Visit:
    """What one page may ask for. Refusals are answers: ``{"error": sentence}``."""

    def __init__(self, chat: Chat, person: Person) -> None:
        self.chat = chat
        self.person = person
        self.socket = person.socket

    def listen(self) -> None:
        """Register the richer events."""
        self.socket.on("say", self.say)
        self.socket.on("private message", self.private_message)
        self.socket.on("enter room", self.enter_room)
        self.socket.on("rename", self.rename)
        self.socket.on("typing", self.typing)
        self.socket.on("latency", self.latency)

    def say(self, room: object = "", text: object = "", nonce: object = "") -> dict[str, object]:
        """A message to the room; one that was heard before (same nonce) is only acknowledged."""
        here = self.person.room
        if room != here.name:
            return {"error": "You are in another room now."}
        mark = clean(as_text(nonce), 32)
        for entry in here.history:
            if mark and entry["nonce"] == mark and entry["from"]["id"] == self.person.id:
                return {"at": entry["at"]}
        body, refusal = self.check(text)
        if refusal:
            return {"error": refusal}
        entry = self.chat.entry(self.person, body, mark)
        here.history.append(entry)
        self.socket.to(here.key).emit("message", here.name, entry)
        self.socket.to(PAGES).except_(here.key).volatile.emit("activity", here.name)
        if here.name == "lobby":
            plain = self.chat.io.except_(PAGES)
            plain.emit("chat", f"client_{self.socket.id} says: {body}")
        return {"at": entry["at"]}

    def private_message(
        self, to: object = "", text: object = "", nonce: object = ""
    ) -> dict[str, object]:
        """A message to one person; nobody else sees it and nothing keeps it."""
        other = self.chat.people.get(to) if isinstance(to, str) else None
        if other is None or other.plain:
            return {"error": "Nobody of that name is here now."}
        body, refusal = self.check(text)
        if refusal:
            return {"error": refusal}
        entry = self.chat.entry(self.person, body, clean(as_text(nonce), 32))
        self.socket.to(other.key).emit("private message", entry)
        return {"at": entry["at"]}

    def enter_room(self, name: object = "") -> dict[str, object]:
        """Change to another room."""
        if not self.person.may_speak():
            return {"error": "Not so fast, please."}
        room = self.chat.room(name)
        if room is None:
            return {"error": "No room could be opened under that name."}
        if room is not self.person.room:
            self.chat.leave(self.person)
            self.chat.enter(self.person, room)
        return self.chat.view(room)

    def rename(self, name: object = "") -> dict[str, object]:
        """Take another name."""
        if not clean_name(name):
            return {"error": "A name needs at least one visible character."}
        if not self.person.may_speak():
            return {"error": "Not so fast, please."}
        self.person.name = self.chat.free_name(name, besides=self.person)
        self.chat.changed(self.person)
        return {"you": self.person.card()}

    def typing(self, on: object = False) -> None:
        """Tell the room who is writing; nobody misses this on a slow line, so it is volatile."""
        room = self.socket.to(self.person.room.key)
        room.volatile.emit("typing", self.person.id, on is True)

    def latency(self) -> None:
        """Acknowledged at once: the page measures how long that takes."""

    def check(self, text: object) -> tuple[str, str]:
        """The text as it may be said, and why it may not."""
        body = clean(as_text(text), MAX_TEXT).strip()
        if not body:
            return body, "There is nothing in this message."
        if not self.person.may_speak():
            return body, "Not so fast, please."
        return body, ""


def create() -> Server:
    """The demo as an ASGI application; each call makes a chat of its own."""
    io = Server(Pages(), max_http_buffer_size=100_000)
    io.on("connection", Chat(io).connection)
    return io


def clean(text: str, limit: int) -> str:
    """Text cut to a length, without control characters, lone surrogates and direction tricks."""
    text = unicodedata.normalize("NFC", text[: limit * 2])
    kept = [
        char
        for char in text
        if (unicodedata.category(char) not in ("Cc", "Cs") or char in "\n\t") and char not in SPOOFS
    ]
    return "".join(kept[:limit])


def clean_name(name: object) -> str:
    """A name on one line, cut to size; empty if nothing is left of it."""
    text = clean(name, 2 * MAX_NAME) if isinstance(name, str) else ""
    return " ".join(text.split())[:MAX_NAME].strip()


def as_text(value: object, depth: int = 4) -> str:
    """What a JavaScript template string makes of a value."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value[: 4 * MAX_TEXT]).decode("utf-8", "replace")
    if isinstance(value, list) and depth:
        items = cast("list[object]", value)[:MAX_TEXT]
        return ",".join("" if item is None else as_text(item, depth - 1) for item in items)
    return "[object Object]"


def as_mapping(value: object) -> Mapping[str, object]:
    """The value if it is an object with names, else an empty one."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def random_name() -> str:
    """A name for somebody who brought none."""
    first = "Amber Brisk Calm Clear Early Gentle Golden Lively Lucky Merry Quiet Silver"
    second = "Badger Crane Falcon Finch Fox Heron Lynx Otter Owl Panda Robin Wren"
    return f"{random.choice(first.split())} {random.choice(second.split())}"
