"""Long events of typed handlers: decoded straight into their types, or step by step."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from telex import Socket
from telex.events.dispatch import LONG
from telex.events.handlers import Handler
from telex.parser.default import TextParser
from tests.server.scenes import Scene, note_args, settle

LONG_TEXT = "x" * LONG


class Order(msgspec.Struct):
    number: int
    note: str = ""


class Shop:
    """A server with one client, whose handlers take orders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scene = Scene()
        self.client, self.socket = self.scene.joined()
        self.taken: list[Any] = []
        self.fitted: list[Any] = []
        fit = Handler.fit

        def counted(handler: Handler, args: list[Any]) -> list[Any]:
            self.fitted.append(args)
            return fit(handler, args)

        monkeypatch.setattr(Handler, "fit", counted)
        self.scene.root.event("order")(self.order)
        self.scene.root.event("two")(self.two)

    def order(self, socket: Socket, order: Order) -> int:
        self.taken.append(order)
        return order.number

    def two(self, socket: Socket, anything: Any, order: Order | None) -> None:
        self.taken.append((anything, order))


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(monkeypatch)


def event(name: str, *args: Any, ack_id: int | str = "") -> str:
    return f"2{ack_id}{json.dumps([name, *args], separators=(',', ':'))}"


class TestStraight:
    async def test_with_an_answer(self, shop: Shop) -> None:
        shop.client.say(event("order", {"number": 3, "note": LONG_TEXT, "more": [1]}, ack_id=7))
        assert shop.client.heard() == ["37[3]"]
        assert shop.taken == [Order(3, LONG_TEXT)]
        assert shop.fitted == []

    async def test_with_what_may_be_anything(self, shop: Shop) -> None:
        shop.client.say(event("two", {"a": [LONG_TEXT]}, {"number": 1}))
        shop.client.say(event("two", LONG_TEXT, None))
        assert shop.taken == [({"a": [LONG_TEXT]}, Order(1)), (LONG_TEXT, None)]
        assert shop.fitted == []

    async def test_of_a_sockets_own_handler(self, shop: Shop) -> None:
        def own(order: Order) -> None:
            shop.taken.append(order)

        shop.socket.on("own", own)
        shop.client.say(event("own", {"number": 1, "note": LONG_TEXT}))
        assert shop.taken == [Order(1, LONG_TEXT)]
        assert shop.fitted == []


class TestStepByStep:
    async def test_short_events(self, shop: Shop) -> None:
        shop.client.say(event("order", {"number": 3}))
        assert shop.taken == [Order(3)]
        assert shop.fitted

    @pytest.mark.parametrize(
        "text",
        [
            f'["\\u006frder",{{"number":3,"note":"{LONG_TEXT}"}}]',
            f' ["order",{{"number":3,"note":"{LONG_TEXT}"}}]'.lstrip() + " " * 3,
            f'[ "order",{{"number":3,"note":"{LONG_TEXT}"}}]',
            f'["order",{{"number":3,"note":"{LONG_TEXT}"}},"one too many"]',
        ],
    )
    async def test_unusual_writing(self, shop: Shop, text: str) -> None:
        shop.client.say(f"2{text}")
        assert shop.taken == [Order(3, LONG_TEXT)]

    async def test_half_of_an_emoji(self, shop: Shop) -> None:
        shop.client.say(f'2["order",{{"number":3,"note":"{LONG_TEXT}\\ud800"}}]')
        assert shop.taken == [Order(3, LONG_TEXT + "\ud800")]

    async def test_mistakes_are_explained(self, shop: Shop) -> None:
        shop.client.say(event("order", {"number": "3", "note": LONG_TEXT}, ack_id=7))
        shop.client.say(event("order", ack_id=8) + " " * LONG)
        first, second = shop.client.heard()
        assert "order.number: Expected `int`, got `str`" in str(first)
        assert "expected 1 argument, got 0" in str(second)
        assert shop.taken == []

    @pytest.mark.parametrize(
        "text",
        [
            f'["order",{{"number":3,"note":"{LONG_TEXT}"}}',
            f'["order",{{"number":3,"note":"{LONG_TEXT}","more":{"[" * 130}{"]" * 130}}}]',
            f'["disconnect",{{"number":3,"note":"{LONG_TEXT}"}}]',
            f'["order",{{"number":3,"note":"{LONG_TEXT}","more":"\\x"}}]',
        ],
    )
    async def test_what_no_client_may_send_ends_the_connection(self, shop: Shop, text: str) -> None:
        ends: list[object] = []

        def ended(socket: Socket, order: Order) -> None:
            ends.append(order)

        shop.scene.root.event("disconnect")(ended)
        shop.client.say(f"2{text}")
        await settle()
        assert not shop.client.connected
        assert shop.taken == []
        assert ends == ["forced close"]

    async def test_what_others_see_first(self, shop: Shop) -> None:
        seen: list[Any] = []
        shop.socket.on_any(note_args(seen))
        order = {"number": 3, "note": LONG_TEXT}
        shop.client.say(event("order", order))
        await settle()
        assert seen == [("order", order)]
        assert shop.taken == [Order(3, LONG_TEXT)]

    async def test_what_has_several_handlers(self, shop: Shop) -> None:
        shop.socket.on("order", note_args(shop.taken))
        shop.client.say(event("order", {"number": 3, "note": LONG_TEXT}))
        await settle()
        assert shop.taken == [Order(3, LONG_TEXT), ({"number": 3, "note": LONG_TEXT},)]

    async def test_what_waits_for_an_earlier_event(self, shop: Shop) -> None:
        gate = asyncio.Event()
        shop.socket.on("wait", gate.wait)
        order = event("order", {"number": 3, "note": LONG_TEXT})
        shop.client.say(event("wait"), order, order)
        await settle()
        assert shop.taken == []
        gate.set()
        await settle()
        assert shop.taken == [Order(3, LONG_TEXT)] * 2

    async def test_what_is_handled_by_a_coroutine(self, shop: Shop) -> None:
        async def later(socket: Socket, order: Order) -> int:
            await asyncio.sleep(0)
            return order.number

        shop.scene.root.event("later")(later)
        shop.client.say(event("later", {"number": 3, "note": LONG_TEXT}, ack_id=7))
        await settle()
        assert shop.client.heard() == ["37[3]"]

    async def test_names_that_are_cut_off_or_escaped(self, shop: Shop) -> None:
        def handler(order: Order) -> None:
            shop.taken.append("wrong")

        for name in ("a\\", "", "n" * 62):
            shop.socket.on(name, handler)
        for name in ('a"', "n" * 63, "n" * 200):
            shop.client.say(event(name, {"number": 3, "note": LONG_TEXT}))
        assert shop.taken == []


class TestOtherParsers:
    async def test_their_texts_are_theirs_to_decode(self) -> None:
        class Louder(TextParser):
            def loads(self, text: str) -> Any:
                return json.loads(text.upper())

        scene = Scene(parser=Louder())
        client, socket = scene.joined()
        taken: list[Any] = []

        def order(note: str) -> None:
            taken.append(note)

        socket.on("ORDER", order)
        client.say(event("order", LONG_TEXT))
        client.say(event("ORDER", LONG_TEXT))
        assert taken == [LONG_TEXT.upper()] * 2
