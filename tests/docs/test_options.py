"""Options are documented once: where their types stand. Page, docstrings and settings follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
import uvicorn

import telex
from telex import options
from telex.engine.cors import CorsPolicy
from telex.engine.handshake import SessionCookie
from tools import write_options

KNOWN = write_options.keywords()

LISTED: dict[Callable[..., Any], str] = {
    telex.Server.__init__: "ServerKeywords",
    telex.Server.listen: "ListenKeywords",
    telex.Server.run: "RunKeywords",
    telex.EngineServer.__init__: "EngineKeywords",
    telex.Manager.__init__: "ClientKeywords",
    telex.connect: "ClientKeywords",
    telex.connect_engine: "EngineClientKeywords",
    telex.sync.Manager.__init__: "ClientKeywords",
    telex.sync.connect: "ClientKeywords",
    telex.sync.connect_engine: "EngineClientKeywords",
}


def test_the_page_and_the_docstrings_are_as_the_types_say() -> None:
    assert write_options.stale() == [], "run make options"


@pytest.mark.parametrize("function", LISTED, ids=lambda each: f"{each.__module__}:{each.__name__}")
def test_help_has_a_line_for_each_option(function: Callable[..., Any]) -> None:
    kind = LISTED[function]
    hints = get_type_hints(function, include_extras=True)
    assert kind in str(hints["options"]), "its keywords are of another type"
    text = inspect.getdoc(function) or ""
    for option in KNOWN[kind]:
        assert f"\n- ``{option.name}" in text


@pytest.mark.parametrize("kind", write_options.SETTINGS)
def test_every_option_has_a_type_and_a_line(kind: str) -> None:
    settings = {field.name for field in fields(write_options.SETTINGS[kind]) if field.init}
    named = [option.name for option in KNOWN[kind]]
    assert len(named) == len(set(named))
    assert set(named) == settings - {"enabled"} == set(get_type_hints(_type(kind)))
    assert all(option.node is not None for option in KNOWN[kind]), "its name in Node's API"


def test_parts_of_options() -> None:
    """Each part that has a type is known, and the other way round."""
    cors: Any = dict.fromkeys(get_type_hints(options.CorsKeywords), ())
    CorsPolicy.from_options(None, {**cors, "max_age": 1, "credentials": False, "methods": ["GET"]})
    parameters = set(inspect.signature(CorsPolicy.__init__).parameters) - {"self"}
    assert parameters == set(cors)
    cookie: Any = dict.fromkeys(get_type_hints(options.CookieKeywords))
    SessionCookie({**cookie, "name": "io"})
    with pytest.raises(telex.ConfigurationError, match="unknown key 'priority'"):
        SessionCookie({"priority": "high"})


def test_uvicorn_knows_what_is_passed_on_to_it() -> None:
    ours = {"drain", "import_string"}
    passed = set(get_type_hints(options.RunKeywords)) - ours
    assert passed <= set(inspect.signature(uvicorn.Config).parameters)


def _type(kind: str) -> Any:
    return getattr(options, kind, None)
