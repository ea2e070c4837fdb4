"""A signature becomes a plan: what a handler takes, needs, and answers with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Optional

import pytest

from telex import Ack
from telex.errors import ConfigurationError
from telex.events.handlers import Handler, Handlers
from telex.events.parameters import InvalidArguments


def nothing() -> None: ...
def one(a: Any) -> None: ...
def two(a: Any, b: Any) -> None: ...
def optional(a: Any, b: Any = None) -> None: ...
def everything(*args: Any) -> None: ...
def rest(a: Any, *args: Any) -> None: ...
def options(a: Any, *, b: Any = None, **more: Any) -> None: ...
def positional(a: Any, b: Any, /) -> None: ...
async def later(a: Any) -> None: ...
def hands_on(a: Any) -> Any:
    return later(a)


def typed_rest(a: str, *more: int) -> None: ...


class Methods:
    def method(self, a: Any) -> None: ...

    async def async_method(self) -> None: ...

    def __call__(self, a: Any, b: Any) -> None: ...


class AsyncCallable:
    async def __call__(self, a: Any) -> None: ...


PLANS: list[tuple[Callable[..., Any], int | None, int]] = [
    (nothing, 0, 0),
    (one, 1, 1),
    (two, 2, 2),
    (optional, 2, 1),
    (everything, None, 0),
    (rest, None, 1),
    (options, 1, 1),
    (positional, 2, 2),
    (later, 1, 1),
    (lambda: None, 0, 0),
    (Methods().method, 1, 1),
    (Methods(), 2, 2),
    (functools.partial(two, 1), 1, 1),
    (functools.partial(two, b=1), 1, 1),
    (dict, None, 0),
]
ASYNC: list[tuple[Callable[..., Any], bool]] = [
    (one, False),
    (later, True),
    (Methods().async_method, True),
    (AsyncCallable(), True),
    (functools.partial(later, 1), True),
    (hands_on, False),
]


class TestPlan:
    @pytest.mark.parametrize(("function", "limit", "required"), PLANS)
    def test_arguments(
        self, function: Callable[..., Any], limit: int | None, required: int
    ) -> None:
        handler = Handler(function)
        assert (handler.limit, handler.required) == (limit, required)

    @pytest.mark.parametrize(
        ("function", "limit", "required"),
        [(one, 0, 0), (two, 1, 1), (optional, 1, 0), (everything, None, 0), (rest, None, 0)],
    )
    def test_the_socket_comes_first(
        self, function: Callable[..., Any], limit: int | None, required: int
    ) -> None:
        handler = Handler(function, with_socket=True)
        assert (handler.limit, handler.required) == (limit, required)

    @pytest.mark.parametrize(("function", "is_async"), ASYNC)
    def test_async(self, function: Callable[..., Any], is_async: bool) -> None:
        handler = Handler(function)
        assert handler.is_async is is_async
        assert handler.direct

    def test_what_is_not_called_directly(self) -> None:
        assert Handler(one).direct
        assert Handler(one, thread=True).direct
        assert not Handler(one, once=True).direct
        assert not Handler(one, concurrent=True).direct


class TestAcknowledgement:
    def test_by_a_parameter(self) -> None:
        def last(a: Any, ack: Ack) -> None: ...
        def keyword(*args: Any, ack: Ack) -> None: ...
        def with_default(a: Any, ack: Ack | None = None) -> None: ...
        def old_style(a: Any, done: Optional[Ack] = None) -> None: ...  # noqa: UP045
        def none(a: Any) -> None: ...

        plans = [
            (plan.ack, plan.ack_required, plan.limit)
            for plan in [Handler(each) for each in (last, keyword, with_default, old_style, none)]
        ]
        assert plans == [
            ("ack", True, 1),
            ("ack", True, None),
            ("ack", False, 1),
            ("done", False, 1),
            (None, False, 1),
        ]

    def test_beside_the_socket(self) -> None:
        def handler(socket: Any, a: Any, ack: Ack) -> None: ...

        plan = Handler(handler, with_socket=True)
        assert (plan.ack, plan.limit, plan.required) == ("ack", 1, 1)


class TestRefused:
    """A signature that cannot work is refused when it is registered, with its name."""

    def test_what_cannot_be_called(self) -> None:
        wrong: Any = "not a function"
        with pytest.raises(ConfigurationError, match="must be callable, not 'not a function'"):
            Handler(wrong)

    def test_a_parameter_that_nothing_fills(self) -> None:
        def handler(*, needed: int) -> None: ...

        with pytest.raises(ConfigurationError, match=r"handler.*'needed'"):
            Handler(handler)

    def test_no_place_for_the_socket(self) -> None:
        with pytest.raises(ConfigurationError, match="first parameter is the socket"):
            Handler(nothing, with_socket=True)

    def test_an_acknowledgement_that_is_not_last(self) -> None:
        def handler(ack: Ack, a: Any) -> None: ...

        with pytest.raises(ConfigurationError, match="must come last"):
            Handler(handler)

    def test_an_acknowledgement_that_cannot_be_named(self) -> None:
        def handler(ack: Ack, /) -> None: ...

        with pytest.raises(ConfigurationError, match="positional-only"):
            Handler(handler)

    def test_a_coroutine_function_in_a_thread(self) -> None:
        with pytest.raises(ConfigurationError, match="thread"):
            Handler(later, thread=True)

    def test_an_annotation_that_cannot_be_checked(self) -> None:
        def handler(a: list[int] | set[int]) -> None: ...

        with pytest.raises(ConfigurationError, match=r"handler.*'a'.*cannot be checked"):
            Handler(handler)


class TestFit:
    @pytest.mark.parametrize(
        ("function", "args", "fitting"),
        [
            (nothing, [1, 2], []),
            (one, [1, 2], [1]),
            (two, [1, 2], [1, 2]),
            (optional, [1], [1]),
            (optional, [1, 2, 3], [1, 2]),
            (everything, [1, 2, 3], [1, 2, 3]),
            (rest, [1, 2, 3], [1, 2, 3]),
        ],
    )
    def test_further_arguments_are_dropped(
        self, function: Callable[..., Any], args: list[int], fitting: list[int]
    ) -> None:
        assert Handler(function).fit(args) == fitting

    def test_too_few_are_a_mistake(self) -> None:
        with pytest.raises(InvalidArguments, match="expected 2 arguments, got 1"):
            Handler(two).fit([1])

    def test_the_argument_of_an_event_in_place_of_the_socket(self) -> None:
        def handler(text: str) -> None: ...

        for annotation in ("str", str):  # with and without ``from __future__ import annotations``
            handler.__annotations__["text"] = annotation
            with pytest.raises(ConfigurationError, match="is the socket: add one before 'text'"):
                Handler(handler, with_socket=True)
            assert Handler(handler).fit(["x"]) == ["x"]

    def test_types_are_checked_and_converted(self) -> None:
        def handler(a: int, b: float, c: Any, d: list[str] | None = None) -> None: ...

        plan = Handler(handler)
        assert plan.fit([1, 2, "x", ["y"], "dropped"]) == [1, 2.0, "x", ["y"]]
        with pytest.raises(InvalidArguments, match=r"^a: Expected `int`, got `str`$"):
            plan.fit(["1", 2, None])
        with pytest.raises(InvalidArguments, match=r"^d\[1\]: Expected `str`, got `int`$"):
            plan.fit([1, 2, None, ["x", 3]])

    def test_what_is_ours_is_not_checked(self) -> None:
        def handler(reason: int) -> None: ...

        assert Handler(handler, checked=False).fit(["ping timeout"]) == ["ping timeout"]


class TestHandlers:
    def test_are_kept_in_order(self) -> None:
        handlers = Handlers()
        for function in (one, two, one):
            handlers.add("x", Handler(function))
        handlers.add("x", Handler(nothing), first=True)
        assert handlers.functions("x") == [nothing, one, two, one]
        assert handlers.functions("y") == []

    def test_removing_one_takes_its_first_registration(self) -> None:
        handlers = Handlers()
        for function in (one, two, one):
            handlers.add("x", Handler(function))
        handlers.remove("x", one)
        assert handlers.functions("x") == [two, one]
        handlers.remove("x", nothing)
        assert handlers.functions("x") == [two, one]
        handlers.remove("x")
        assert handlers.by_event == {}
        handlers.remove("x")

    def test_bound_methods_can_be_removed(self) -> None:
        handlers = Handlers()
        methods = Methods()
        handlers.add("x", Handler(methods.method))
        handlers.remove("x", methods.method)
        assert handlers.by_event == {}

    def test_a_handler_is_used_up_once(self) -> None:
        handlers = Handlers()
        first, second = Handler(one, once=True), Handler(one, once=True)
        handlers.add("x", first)
        handlers.add("x", second)
        assert handlers.discard("x", first)
        assert not handlers.discard("x", first)
        assert handlers.discard("x", second)
        assert handlers.by_event == {}

    def test_changing_them_leaves_those_alone_who_are_being_called(self) -> None:
        handlers = Handlers()
        handlers.add("x", Handler(one))
        calling = handlers.by_event["x"]
        handlers.add("x", Handler(two))
        handlers.clear()
        assert [handler.function for handler in calling] == [one]

    @pytest.mark.parametrize("event", [1, None, b"x", ("x",)])
    def test_names_of_events_are_text(self, event: Any) -> None:
        with pytest.raises(ConfigurationError, match="is text"):
            Handlers().add(event, Handler(one))


class TestTypedRest:
    """`*args` with an annotation: every argument that goes there is checked."""

    def test_is_converted(self) -> None:
        handler = Handler(typed_rest)
        assert handler.typed
        assert handler.fit(["x"]) == ["x"]
        assert handler.fit(["x", 1, 2]) == ["x", 1, 2]

    def test_mistakes_have_a_place(self) -> None:
        with pytest.raises(InvalidArguments, match=r"^more\[1\]: Expected `int`, got `str`$"):
            Handler(typed_rest).fit(["x", 1, "2"])

    def test_anything_goes_without_an_annotation(self) -> None:
        assert not Handler(rest).typed
        assert Handler(everything).rest is None
