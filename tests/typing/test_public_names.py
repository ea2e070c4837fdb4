"""Public names: those of ``telex.__all__``, typed throughout; only what users send is ``Any``."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_overloads

import pytest

import telex

DATA = {
    "args": "arguments of events",
    "auth": "credentials",
    "context": "the exception behind an error",
    "data": "payloads, and what users keep with a socket",
    "event": "an event with its arguments",
    "extra": "what handshake_extra gives",
    "handshake": "a handshake, credentials included",
    "result": "what a handler returns",
    "responses": "acknowledgements",
}
"""Parameters and attributes whose values are the user's, in any class."""

ANSWERS = {
    "ask_flagged": "an acknowledgement",
    "describe": "data of a socket",
    "emit_with_ack": "acknowledgements",
    "eos": "a part of what handshake_extra gives",
    "server_side_emit_with_ack": "answers of other servers",
    "to_dict": "a handshake, credentials included",
}
"""Methods that return what is the user's."""

FUNCTIONS = r"Callable\[\.\.\., Any\]|Callable\[\[str, Any\], bool|Coroutine\[Any, Any, \w+\]"
"""Functions of users, and coroutines of which only the result matters."""


MADE = (
    telex.Server,
    telex.EngineServer,
    telex.Manager,
    telex.sync.Manager,
    telex.TelexError,
)
"""Classes of which users make objects."""


class Place(NamedTuple):
    """Something with an annotation."""

    owner: str
    member: str
    name: str
    annotation: str


def public(module: Any) -> list[Any]:
    return [getattr(module, name) for name in module.__all__]


def annotated(owner: str, member: str, function: Callable[..., Any]) -> Iterator[Place]:
    for each in get_overloads(function) or [function]:
        for name, annotation in each.__annotations__.items():
            yield Place(owner, member, name, str(annotation))


def members(cls: type) -> Iterator[Place]:
    """Methods, properties and attributes of a class and of its bases in telex."""
    for base in cls.__mro__:
        if not base.__module__.startswith("telex"):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") and not (name == "__init__" and issubclass(cls, MADE)):
                continue
            if isinstance(member, property):
                accessors: list[Any] = [each for each in (member.fget, member.fset) if each]
            else:
                plain: Any = getattr(member, "__func__", member)  # of a classmethod
                accessors = [plain] if inspect.isfunction(plain) else []
            for function in accessors:
                yield from annotated(base.__name__, name, function)
        for name, annotation in vars(base).get("__annotations__", {}).items():
            yield Place(base.__name__, name, name, str(annotation))
        yield from given(base)


def given(cls: type) -> Iterator[Place]:
    """Attributes that ``__init__`` gives to each instance, with an annotation."""
    if "__init__" in vars(cls) and inspect.isfunction(vars(cls)["__init__"]):
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(vars(cls)["__init__"])))):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                name = node.target.attr
                yield Place(cls.__name__, name, name, ast.unparse(node.annotation))


def places() -> Iterator[Place]:
    for thing in [*public(telex), *public(telex.sync)]:
        if inspect.isclass(thing):
            yield from members(thing)
        elif inspect.isfunction(thing):
            yield from annotated(thing.__module__, thing.__name__, thing)


def test_any_stands_for_data_of_users_only() -> None:
    found = sorted(
        {
            place
            for place in places()
            if not place.name.startswith("_")
            and re.search(r"\bAny\b", re.sub(FUNCTIONS, "", place.annotation))
            and place.name not in DATA
            and place.member not in (ANSWERS if place.name == "return" else ())
            and not (place.name == "return" and place.member in DATA)
        }
    )
    assert found == []


@pytest.mark.parametrize("module", [telex, telex.sync], ids=lambda module: module.__name__)
def test_names_are_there_and_sorted(module: Any) -> None:
    assert len(public(module)) == len(set(module.__all__))
    assert module.__all__ == sorted(module.__all__)
    assert all(inspect.getdoc(thing) for thing in public(module) if callable(thing))


def test_servers_show_what_is_for_users_and_one_front() -> None:
    """``front`` is what HTTP servers in front of telex ask; all else is for users."""
    hosted = {
        "attach",
        "close",
        "engine",
        "front",
        "listen",
        "on",
        "path",
        "port",
        "run",
        "threadsafe",
    }
    handlers = {"event", "event_names", "exception_handler", "listeners", "off", "once", "use"}
    removing = {"remove_all_listeners", "remove_listener"}
    emitting = {"emit", "emit_with_ack", "send", "server_side_emit", "server_side_emit_with_ack"}
    rooms = {
        "disconnect_sockets",
        "fetch_sockets",
        "sockets_join",
        "sockets_leave",
        "clients",
        "count",
    }
    flags = {"binary", "compress", "except_", "in_", "local", "timeout", "to", "volatile"}
    server = {"adapter", "bind", "lifespan", "of", "on_connection", "origins", "register"}
    more = {"serve_client", "server", "sockets"}
    both = hosted | handlers | removing | emitting | rooms | flags | server | more
    assert {name for name in dir(telex.Server()) if not name.startswith("_")} == both
    engine = hosted | {"clients_count"}
    assert {name for name in dir(telex.EngineServer()) if not name.startswith("_")} == engine
