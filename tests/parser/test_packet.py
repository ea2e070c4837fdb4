"""The rules for payloads that hold for every parser."""

from __future__ import annotations

import pytest

from telex.errors import PacketError
from telex.parser.packet import RESERVED_EVENTS, ack_arguments, connect_payload, event_arguments


class TestEvents:
    @pytest.mark.parametrize(
        "data", [["a"], [""], [1], [1.5], [-1, "x"], ["error"], ["*"], ["a", {}]]
    )
    def test_begin_with_a_name(self, data: list[object]) -> None:
        assert event_arguments(data) is data

    @pytest.mark.parametrize(
        "data",
        [
            *(None, [], {}, "a", 1, b"a", ("a",)),
            *([None], [True], [False], [{}], [["a"]], [b"a"], [{"toString": "foo"}]),
        ],
    )
    def test_that_are_none(self, data: object) -> None:
        with pytest.raises(PacketError, match="invalid payload"):
            event_arguments(data)

    @pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
    def test_reserved_names(self, name: str) -> None:
        with pytest.raises(PacketError, match=f"'{name}' is a reserved event name"):
            event_arguments([name, 1])

    def test_the_reserved_names_are_those_of_the_protocol(self) -> None:
        assert {
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
            "removeListener",
        } == RESERVED_EVENTS


class TestAcknowledgements:
    @pytest.mark.parametrize("data", [[], [None], [["a"], {}]])
    def test_are_lists(self, data: list[object]) -> None:
        assert ack_arguments(data) is data

    @pytest.mark.parametrize("data", [None, {}, "a", 1, b"a", (1,)])
    def test_that_are_none(self, data: object) -> None:
        with pytest.raises(PacketError, match="an acknowledgement is a list"):
            ack_arguments(data)


class TestConnect:
    def test_carries_an_object_or_nothing(self) -> None:
        assert connect_payload(None) == {}
        assert connect_payload({"token": 1}) == {"token": 1}

    @pytest.mark.parametrize("data", [[], "x", 1, True, b"x"])
    def test_that_carries_something_else(self, data: object) -> None:
        with pytest.raises(PacketError, match="CONNECT carries an object or nothing"):
            connect_payload(data)
