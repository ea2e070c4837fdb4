"""Placeholders: each becomes the attachment it names, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from telex.codec import json as telex_json
from telex.errors import PacketError
from telex.parser.attachments import restore
from tests.support.strategies import json_values, values


class TestRestore:
    @given(values)
    def test_puts_back_what_was_taken_out(self, value: Any) -> None:
        buffers: list[bytes] = []
        text = telex_json.dumps_with(value, buffers)
        assert restore(json.loads(text), buffers) == value

    @given(json_values)
    def test_leaves_alone_what_has_no_placeholders(self, value: Any) -> None:
        assert restore(json.loads(json.dumps(value)), [b"x"]) == value

    @pytest.mark.parametrize("flag", [False, 1, "true", None, [], {}], ids=json.dumps)
    def test_only_true_marks_a_placeholder(self, flag: object) -> None:
        value = {"_placeholder": flag, "num": 0}
        assert restore([value], [b"x"]) == [value]

    def test_ignores_what_else_a_placeholder_holds(self) -> None:
        assert restore({"_placeholder": True, "num": 0, "x": [{"y": 1}]}, [b"a"]) == b"a"

    def test_may_use_an_attachment_twice_or_never(self) -> None:
        second = {"_placeholder": True, "num": 1}
        assert restore([second, dict(second)], [b"a", b"b"]) == [b"b", b"b"]

    @pytest.mark.parametrize(
        "num", [1, -1, True, False, "0", None, 0.5, 0.0, 1e99, [], {"_placeholder": True, "num": 0}]
    )
    def test_refuses_placeholders_that_name_nothing(self, num: object) -> None:
        with pytest.raises(PacketError, match="illegal attachments"):
            restore(["a", {"b": {"_placeholder": True, "num": num}}], [b"x"])

    def test_refuses_placeholders_without_a_number(self) -> None:
        with pytest.raises(PacketError, match="illegal attachments"):
            restore([{"_placeholder": True}], [b"x"])

    def test_reaches_as_deep_as_a_packet_can_nest(self) -> None:
        depth = telex_json.MAX_DEPTH - 1
        text = '{"a":[' * (depth // 2) + '{"_placeholder":true,"num":0}' + "]}" * (depth // 2)
        value = restore(telex_json.loads(text), [b"x"])
        for _ in range(depth // 2):
            value = value["a"][0]
        assert value == b"x"
