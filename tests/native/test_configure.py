"""What Python hands over to the compiled part; an error names what is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from telex.codec import json
from telex.engine.packet import message
from telex.native import _telex
from telex.parser.packet import RESERVED_EVENTS


@pytest.fixture
def core(tmp_path: Path) -> Any:
    """A compiled part that nothing has been handed over to."""
    path = str(copy(str(_telex.__file__), tmp_path / "_telex.so"))
    spec = spec_from_file_location("_telex", path, loader=ExtensionFileLoader("_telex", path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SLOTS = {
    "Dispatch": ["_busy", "interceptors", "handlers", "_shared", "_recipient"],
    "Handlers": ["by_event"],
    "Handler": ["direct", "ack", "typed", "limit", "required", "with_socket", "call", "decode"],
}
METHODS = {
    "Dispatch": ["take", "raised", "returned"],
    "Handler": ["fit"],
    "Socket": ["answer", "deliver"],
    "WebSocket": [
        "on_message",
        "on_ping",
        "on_close",
        "on_violation",
        "on_writable",
        "on_lost",
        "on_error",
    ],
    "Packet": ["frames", "_frames"],
}


def values(missing: str = "") -> dict[str, dict[str, Any]]:
    """What each part gets, from classes without one of their attributes."""
    classes = {}
    for name in {*SLOTS, *METHODS}:
        slots = [slot for slot in SLOTS.get(name, ()) if f"{name}.{slot}" != missing]
        methods = [method for method in METHODS.get(name, ()) if f"{name}.{method}" != missing]
        classes[name] = type(name, (), {"__slots__": slots, **dict.fromkeys(methods)})
    return {
        "dispatch": {
            "loads": json.decode,
            "dumps": json.encode,
            "dumps_hook": json.take_apart,
            "dumps_options": json.OPTIONS,
            "struct_type": json.STRUCT,
            "reserved": RESERVED_EVENTS,
            "max_depth": 128,
            "max_ack_digits": 16,
            "long_text": 192,
            "longest_name": 64,
            **{name: classes[name] for name in ("Dispatch", "Handlers", "Handler", "Socket")},
        },
        "websocket": {
            "max_fragments": 3,
            "WebSocket": classes["WebSocket"],
            "Packet": classes["Packet"],
        },
    }


@pytest.mark.parametrize(("part", "name"), [(p, n) for p, v in values().items() for n in v])
def test_a_value_that_is_missing(core: Any, part: str, name: str) -> None:
    given = values()[part]
    core.configure(part, **given)
    del given[name]
    with pytest.raises(TypeError, match=f"configure needs {name}"):
        core.configure(part, **given)


ATTRIBUTES = [
    f"{name}.{attribute}"
    for table in (SLOTS, METHODS)
    for name, attributes in table.items()
    for attribute in attributes
]


@pytest.mark.parametrize("missing", ATTRIBUTES)
def test_an_attribute_that_is_missing(core: Any, missing: str) -> None:
    part = "websocket" if missing.startswith(("WebSocket", "Packet")) else "dispatch"
    with pytest.raises(AttributeError, match=missing.partition(".")[2]):
        core.configure(part, **values(missing)[part])


def test_a_slot_of_another_class(core: Any) -> None:
    """Its descriptor says nothing about the objects of this class."""
    given = values("Handlers.by_event")["dispatch"]
    given["Handlers"].by_event = values()["dispatch"]["Handlers"].by_event
    with pytest.raises(AttributeError, match="by_event"):
        core.configure("dispatch", **given)


def test_a_peer_with_a_slot_of_another_class() -> None:
    """It is read as Python reads it."""
    owner: Any = type("Owner", (), {"__slots__": ("one", "two", "deliver")})
    peer = type("Peer", (), {"__slots__": (), "deliver": owner.deliver})()
    with pytest.raises(TypeError, match="deliver"):
        vars(_telex)["deliver_all"]([peer], message("x"))


@pytest.mark.parametrize("missing", ["state", "flush", "_make_room", "fast_dispatch"])
def test_a_twin_of_the_session_that_lacks_something(core: Any, missing: str) -> None:
    names = {*vars(_telex.SessionCore), "_receive_unusual", "_control", "_check_type"}
    names |= {"_make_room", "_flushed"}
    twin = type("Twin", (), dict.fromkeys(name for name in names if not name.startswith("__")))
    core.configure("session", SessionCore=twin, open="open")
    delattr(twin, missing)
    with pytest.raises(AttributeError, match=missing):
        core.configure("session", SessionCore=twin, open="open")


def test_a_part_that_is_unknown(core: Any) -> None:
    with pytest.raises(ValueError, match="no part engine"):
        core.configure("engine", open="open")


def test_a_session_before_it_is_configured(core: Any) -> None:
    with pytest.raises(RuntimeError, match="configure"):
        core.SessionCore()


SUBINTERPRETER = """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
interpreter = interpreters.create()
failed = interpreters.run_string(interpreter, '''
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
loader = ExtensionFileLoader("_telex", {path!r})
try:
    module = module_from_spec(spec_from_file_location("_telex", {path!r}, loader=loader))
    loader.exec_module(module)
except ImportError as error:
    print("refused:", error, flush=True)
''')
assert failed is None, failed
"""


def test_sub_interpreters_use_the_twins() -> None:
    """The compiled part keeps its state in static variables."""
    code = SUBINTERPRETER.format(path=_telex.__file__)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("refused: ")
