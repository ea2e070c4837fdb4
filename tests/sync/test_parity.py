"""Every class of telex.sync has what its async counterpart has, with the same parameters."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

import pytest

import telex
from telex import sync
from telex.events.flags import FlaggedEmitter
from telex.sync.emitter import BlockingEmitter

SETTABLE = {
    "ack_timeout",
    "auth",
    "randomization_factor",
    "reconnection",
    "reconnection_attempts",
    "reconnection_delay",
    "reconnection_delay_max",
    "timeout",
}

_GIVEN = re.compile(r"^ +self\.([a-z]\w*)(?:: [^=]+)? =", re.MULTILINE)


class Pair(NamedTuple):
    """A class, its blocking face, and the seams between parts of telex that users do not call."""

    asynchronous: type
    blocking: type
    seams: set[str]
    protocols: set[str]
    own: frozenset[str] = frozenset()


PAIRS = [
    Pair(
        telex.ClientSocket,
        sync.ClientSocket,
        {
            "answer",
            "ask_flagged",
            "deliver",
            "dispatch",
            "emit_flagged",
            "left",
            "expects_answers",
            "lifecycle_events",
            "membership",
            "receive_packet",
            "refused",
            "settled",
            "show_outgoing",
            "threadsafe",
            "unhandled",
            "waits",
            "watch_outgoing",
        },
        {"__enter__", "__exit__", "__iter__"},
    ),
    Pair(
        telex.Manager,
        sync.Manager,
        {
            "expects_answers",
            "fire",
            "hold",
            "in_use",
            "known_events",
            "leave",
            "listened",
            "options",
            "read_on",
            "release",
            "root_joined",
            "runtime",
            "send",
            "target",
            "threadsafe",
            "wait_closed",
            "will_retry",
        },
        {"__enter__", "__exit__"},
        frozenset({"face", "lives_in", "of", "settle", "stay"}),
    ),
    Pair(
        telex.ClientEngine,
        sync.ClientEngine,
        {
            "fire",
            "host",
            "known_events",
            "listened",
            "open",
            "session",
            "threadsafe",
        },
        {"__enter__", "__exit__", "__iter__"},
        frozenset({"is_face_of", "live_alone", "opened"}),
    ),
    Pair(FlaggedEmitter, BlockingEmitter, set(), set()),
]


def public(cls: type) -> set[str]:
    """The names for users: those of the class, and of what it gives to each instance."""
    given = _GIVEN.findall(inspect.getsource(vars(cls)["__init__"]))
    return {name for name in {*dir(cls), *given} if not name.startswith("_")}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.blocking.__name__)
def test_names(pair: Pair) -> None:
    asynchronous, blocking = public(pair.asynchronous), public(pair.blocking)
    assert pair.seams <= asynchronous, "a seam that is not there"
    assert blocking - pair.own == asynchronous - pair.seams
    assert all(hasattr(pair.blocking, name) for name in pair.protocols)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.blocking.__name__)
def test_signatures(pair: Pair) -> None:
    compared = 0
    for name in public(pair.asynchronous) - pair.seams:
        there = inspect.getattr_static(pair.asynchronous, name, None)
        here = inspect.getattr_static(pair.blocking, name, None)
        if inspect.isfunction(there):
            assert parameters(there) == parameters(here), name
            compared += 1
        elif isinstance(here, property):
            assert (here.fset is not None) == (name in SETTABLE), name
    assert compared >= 5


def test_aliases() -> None:
    for pair in PAIRS:
        for name, alias in (
            ("connect", "open"),
            ("disconnect", "close"),
            ("off", "remove_listener"),
        ):
            there = getattr(pair.asynchronous, alias, None)
            if there is not None and there is getattr(pair.asynchronous, name, None):
                assert getattr(pair.blocking, alias) is getattr(pair.blocking, name)


def test_functions() -> None:
    assert parameters(sync.connect) == parameters(telex.connect)
    assert parameters(sync.connect_engine) == parameters(telex.connect_engine)
