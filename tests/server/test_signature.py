"""Signatures: each annotation is resolved on its own, and what nothing would check is refused."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

import annotated_types
import fastapi
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telex import Ack, NamespaceHandlers, Socket
from telex.errors import ConfigurationError
from telex.events.handlers import Handler
from telex.events.parameters import InvalidArguments, converter
from tests.events.test_typed_events import event
from tests.server.scenes import Scene

if TYPE_CHECKING:
    from decimal import Decimal as Unknown  # known to type checkers only, as users have it

    from telex import Ack as Answer
    from telex import Socket as Peer

GreaterThanZero = Annotated[int, pydantic.Field(gt=0)]
AtMostThree = Annotated[str, annotated_types.MaxLen(3)]
Even = Annotated[int, annotated_types.Predicate(lambda value: value % 2 == 0)]


class Order(msgspec.Struct):
    number: int


def fits(function: Callable[..., Any], *args: Any, with_socket: bool = False) -> list[Any]:
    return Handler(function, with_socket=with_socket).fit(list(args))


class TestOnItsOwn:
    def test_one_that_cannot_be_resolved_is_refused(self) -> None:
        def handler(number: int, unknown: Unknown) -> None: ...

        with pytest.raises(ConfigurationError, match=r"handler.*'unknown'.*TYPE_CHECKING"):
            Handler(handler)

    def test_in_what_is_ours_to_give_it_does_not_matter(self) -> None:
        def handler(reason: Unknown) -> None: ...

        assert Handler(handler, checked=False).limit == 1

    def test_that_of_the_socket_and_of_the_answer_never_matter(self) -> None:
        def handler(socket: Peer, number: int, ack: Answer | None = None) -> Unknown | None: ...
        def plain(socket: Peer, number: int) -> Unknown | None: ...

        with pytest.raises(ConfigurationError, match="'ack'"):
            Handler(handler, with_socket=True)
        with pytest.raises(InvalidArguments, match="number"):
            fits(plain, "1", with_socket=True)

    def test_an_acknowledgement_is_known_by_its_name(self) -> None:
        def handler(socket: Any, ack: Any = None) -> None: ...

        for text in ("Ack", "telex.Ack", "telex.Ack|None", "telex.types.Ack | None"):
            handler.__annotations__ = {"socket": "Peer", "ack": text}
            assert Handler(handler, with_socket=True).ack == "ack"

    @pytest.mark.parametrize("wrong", ["no such name", "1 +", "missing.Thing", "Order.missing"])
    def test_whatever_evaluating_raises(self, wrong: str) -> None:
        def handler(a: Any, *rest: Any, more: Any = None) -> None: ...

        for name in ("a", "rest", "more"):
            handler.__annotations__ = {"a": "Any", "rest": "Any", "more": "Any", name: wrong}
            with pytest.raises(ConfigurationError, match=f"{name!r} cannot be resolved"):
                Handler(handler)

    @given(st.lists(st.sampled_from(["int", "Order", "list[Order]", "Unknown", "Any"]), min_size=1))
    def test_in_any_company(self, annotations: list[str]) -> None:
        """A handler is refused if one of its annotations is, and checks all of them otherwise."""
        names = [f"a{index}" for index in range(len(annotations))]
        scope: dict[str, Any] = {"__name__": __name__, "Order": Order, "Any": Any}
        exec(f"def handler({', '.join(names)}): ...", scope)  # as many parameters as there are
        scope["handler"].__annotations__ = dict(zip(names, annotations, strict=True))
        if "Unknown" in annotations:
            with pytest.raises(ConfigurationError, match="Unknown"):
                Handler(scope["handler"])
            return
        plan = Handler(scope["handler"])
        assert [convert is None for _, convert in plan.converters] == [
            annotation == "Any" for annotation in annotations
        ]


class TestWhereNamesAre:
    """Wherever a function is, and whatever it is wrapped in, its parameters are checked."""

    def check(self, function: Callable[..., Any]) -> None:
        assert fits(function, {"number": 1}) == [Order(1)]
        with pytest.raises(InvalidArguments, match="number"):
            fits(function, {"number": "1"})

    def test_in_an_object_that_is_called(self) -> None:
        class Called:
            def __call__(self, order: Order) -> None: ...

        self.check(Called())

    def test_in_a_partial(self) -> None:
        def handler(first: int, order: Order) -> None: ...

        self.check(functools.partial(handler, 1))

    def test_in_a_decorated_function(self) -> None:
        def handler(order: Order) -> None: ...

        @functools.wraps(handler)
        def wrapper(*args: Any) -> None: ...

        self.check(wrapper)

    def test_in_a_class(self) -> None:
        class Shop(NamespaceHandlers):
            class Line(msgspec.Struct):
                number: int

            def on_order(self, order: Line) -> None: ...

        plan = Handler(Shop().on_order)
        assert plan.fit([{"number": 1}]) == [Shop.Line(1)]

    def test_around_a_function_that_uses_it(self) -> None:
        class Local(msgspec.Struct):
            number: int

        def handler(order: Local) -> Local:
            return Local(1)

        assert fits(handler, {"number": 1}) == [Local(1)]

    def test_around_a_function_that_does_not(self) -> None:
        class Local(msgspec.Struct):
            number: int

        def handler(order: Local) -> None: ...

        with pytest.raises(ConfigurationError, match=r"'order'.*Local"):
            Handler(handler)

    def test_quoted_within_another(self) -> None:
        def handler(order: list[Any]) -> None: ...

        handler.__annotations__["order"] = list["Order"]
        assert fits(handler, [{"number": 1}]) == [[Order(1)]]

    def test_in_a_struct(self) -> None:
        class Hidden(msgspec.Struct):
            value: Unknown

        with pytest.raises(ConfigurationError, match=r"here cannot be checked.*Unknown"):
            converter(Hidden, "here")


@dataclass
class Bought:
    number: GreaterThanZero


class Sold(TypedDict):
    number: GreaterThanZero


class Both(NamedTuple):
    number: GreaterThanZero
    text: AtMostThree = ""


@dataclass
class Holding:
    """A dataclass that holds a model."""

    model: Model


class Model(pydantic.BaseModel):
    number: GreaterThanZero


@pydantic.dataclasses.dataclass
class OwnDataclass:
    number: GreaterThanZero


class Wrong(msgspec.Struct):
    number: GreaterThanZero


class Defaulted(msgspec.Struct):
    number: int = pydantic.Field(gt=0)


class HoldsModel(msgspec.Struct):
    model: Model


class TestConstraints:
    @pytest.mark.parametrize(
        ("annotation", "right", "wrong"),
        [
            (GreaterThanZero, 1, 0),
            (pydantic.PositiveInt, 1, 0),
            (Annotated[int, annotated_types.Gt(0)], 1, 0),
            (Annotated[int, annotated_types.Interval(ge=1, le=3)], 3, 4),
            (AtMostThree, "abc", "abcd"),
            (Even, 2, 3),
            (Annotated[str, pydantic.StringConstraints(pattern="^a$")], "a", "b"),
            (Annotated[int, pydantic.AfterValidator(lambda value: 1 // value)], 1, "x"),
            (list[GreaterThanZero], [1, 2], [1, 0]),
            (dict[str, list[GreaterThanZero]], {"a": [1]}, {"a": [0]}),
            (GreaterThanZero | None, None, 0),
            *((Bought, {"number": 1}, {"number": 0}), (Both, [1, "abc"], [1, "abcd"])),
            *((Model, {"number": 1}, {"number": 0}), (OwnDataclass, {"number": 1}, {"number": 0})),
            (Holding, {"model": {"number": 1}}, {"model": {"number": 0}}),
            (Annotated[int, msgspec.Meta(gt=0)], 1, 0),
            (Annotated[int, "a number", msgspec.Meta(gt=0)], 1, 0),
        ],
    )
    def test_are_enforced(self, annotation: Any, right: Any, wrong: Any) -> None:
        def handler(value: Any) -> None: ...

        handler.__annotations__["value"] = annotation
        plan = Handler(handler)
        plan.fit([right])
        with pytest.raises(InvalidArguments, match=r"^value"):
            plan.fit([wrong])

    @pytest.mark.parametrize("size", [0, 200])
    async def test_are_enforced_in_events_of_any_length(self, size: int) -> None:
        scene = Scene()

        @scene.root.event
        def buy(socket: Socket, number: GreaterThanZero, note: str) -> int:
            return number

        client, _ = scene.joined()
        client.say(event("buy", 1, "x" * size, ack_id=1), event("buy", 0, "x" * size, ack_id=2))
        good, bad = client.heard()
        assert good == "31[1]"
        assert "ValidationError" in str(bad)

    @pytest.mark.parametrize(
        ("annotation", "sentence"),
        [
            (Annotated[int, object()], "nothing checks object"),
            (Annotated[int, annotated_types.Unit("m")], "nothing checks Unit"),
            (Annotated[int, annotated_types.Timezone(None)], "nothing checks Timezone"),
            (list[Annotated[int, len]], "nothing checks builtin_function"),
            (
                dict[str, Annotated[int, fastapi.Depends(len)]],
                r"Depends\(…\) is resolved by nothing",
            ),
            (Annotated[str, fastapi.Security(len)], r"Security\(…\) is resolved by nothing"),
            (Annotated[str, fastapi.Header()], r"Header\(…\) is resolved by nothing"),
            (Annotated[Model, fastapi.Body()], r"Body\(…\) is resolved by nothing"),
            (Wrong, r"FieldInfo\(…\) in the struct Wrong .* msgspec\.Meta"),
            (list[Wrong], "struct Wrong"),
            (Defaulted, r"FieldInfo\(…\) in the struct Defaulted"),
            (HoldsModel, "Model in the struct HoldsModel"),
            (tuple[Model, Annotated[int, msgspec.Meta(gt=0)]], r"msgspec\.Meta is unknown"),
            (tuple[Model, Order], "Order"),
            (Socket, "a client cannot send a Socket"),
            (list[re.Pattern[str]], "a client cannot send a Pattern"),
        ],
    )
    def test_that_nothing_would_check_are_refused(self, annotation: Any, sentence: str) -> None:
        with pytest.raises(ConfigurationError, match=f"here cannot be checked.*{sentence}"):
            converter(annotation, "here")

    def test_descriptions_are_none(self) -> None:
        described = Annotated[Model, msgspec.Meta(description="a model"), "text", {"more": 1}]
        assert converter(described, "here") is not None


class TestInjection:
    """What asks a framework to fill a parameter is refused: clients would fill it."""

    @pytest.mark.parametrize(
        "default", [fastapi.Depends(len), fastapi.Security(len), fastapi.Query(), fastapi.Header()]
    )
    async def test_as_a_default(self, default: Any) -> None:
        def handler(socket: Any, value: Any = default) -> None: ...
        def keyword(socket: Any, *, value: Any = default) -> None: ...

        scene = Scene()
        for function in (handler, keyword):
            for register in (
                scene.root.event("x"),
                scene.root.on("connection"),
                scene.root.event("disconnect"),
                scene.root.use,
                scene.root.exception_handler(ValueError),
            ):
                with pytest.raises(ConfigurationError, match=r"'value'.*nothing resolves here"):
                    register(function)

    @pytest.mark.parametrize("default", [pydantic.Field(gt=0), msgspec.Meta(gt=0)])
    def test_a_constraint_as_a_default(self, default: Any) -> None:
        def handler(value: int = default) -> None: ...

        with pytest.raises(ConfigurationError, match=r"'value'.*into the annotation"):
            Handler(handler)

    def test_other_defaults(self) -> None:
        def handler(a: int = 1, b: Any = None, c: Any = Order, *, d: Ack | None = None) -> None: ...

        assert Handler(handler).required == 0
