"""Write docs/options.md, and the options in docstrings, from the types of the keyword arguments.

    python tools/write_options.py            writes what has changed
    python tools/write_options.py --check    names the files that would change

An option's line is the docstring below its name in ``src/telex/options.py`` or
``src/telex/client/options.py``; its last sentence gives the name in Node's or JavaScript's API.
Defaults are those of the frozen options that the keywords become.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from telex.client.options import ClientOptions, EngineClientOptions
from telex.config import EngineOptions, Recovery, ServerOptions

ROOT = Path(__file__).resolve().parents[1]
TYPES = ("src/telex/options.py", "src/telex/client/options.py")
PAGE = "docs/options.md"

SETTINGS: dict[str, type[Any]] = {
    "EngineKeywords": EngineOptions,
    "ServerKeywords": ServerOptions,
    "RecoveryKeywords": Recovery,
    "EngineClientKeywords": EngineClientOptions,
    "ClientKeywords": ClientOptions,
}
"""Where the defaults of options stand. The lines of all others say what holds without them."""

DOCSTRINGS = [
    ("src/telex/app.py", "Server.__init__", "ServerKeywords"),
    ("src/telex/engine_server.py", "Hosted.listen", "ListenKeywords"),
    ("src/telex/engine_server.py", "Hosted.run", "RunKeywords"),
    ("src/telex/engine_server.py", "EngineServer.__init__", "EngineKeywords"),
    ("src/telex/client/manager.py", "Manager.__init__", "ClientKeywords"),
    ("src/telex/client/connect.py", "connect", "ClientKeywords"),
    ("src/telex/client/connect.py", "connect_engine", "EngineClientKeywords"),
    ("src/telex/sync/manager.py", "Manager.__init__", "ClientKeywords"),
    ("src/telex/sync/connect.py", "connect", "ClientKeywords"),
    ("src/telex/sync/connect.py", "connect_engine", "EngineClientKeywords"),
]
"""File, function, and the type of its keywords."""

OPENING = "Options, as keywords; durations are seconds, sizes bytes"
"""The line of a docstring after which everything is written by this script."""

_ELSEWHERE = re.compile(r" (Node|JavaScript): (.+)\.$")


class Option(NamedTuple):
    """An option: ``meaning`` is one line, ``node`` the name that ``side`` has for it."""

    name: str
    default: str | None
    meaning: str
    node: str | None
    side: str | None


def keywords() -> dict[str, list[Option]]:
    """The options by the names of their types; inherited ones come first."""
    found: dict[str, list[Option]] = {}
    for file in reversed(TYPES):
        for node in ast.parse((ROOT / file).read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Keywords"):
                base = ast.unparse(node.bases[0])
                own = list(_options(node))
                inherited = [_with_default(node.name, option) for option in found.get(base, [])]
                found[node.name] = inherited + own
    return found


def _options(node: ast.ClassDef) -> Iterator[Option]:
    for name, text in zip(node.body, node.body[1:], strict=False):
        if not isinstance(name, ast.AnnAssign) or not isinstance(name.target, ast.Name):
            continue
        if not isinstance(text, ast.Expr) or not isinstance(text.value, ast.Constant):
            raise SystemExit(f"{node.name}.{name.target.id} has no line below it")
        line = " ".join(str(text.value.value).split())
        elsewhere = _ELSEWHERE.search(line)
        meaning = line[: elsewhere.start()] if elsewhere else line
        side, node_name = elsewhere.groups() if elsewhere else (None, None)
        option = Option(name.target.id, None, meaning, node_name, side)
        yield _with_default(node.name, option)


def _with_default(kind: str, option: Option) -> Option:
    if kind not in SETTINGS:
        return option
    field = {field.name: field for field in dataclasses.fields(SETTINGS[kind])}[option.name]
    made = field.default_factory
    default: object = field.default if made is dataclasses.MISSING else made()
    if type(default) is int and default >= 10_000:
        return option._replace(default=f"{default:_}")
    return option._replace(default=repr(default).replace("'", '"'))


# -- docstrings ---------------------------------------------------------------------------


def listing(options: list[Option], indent: str) -> str:
    """The options for a docstring, a line each; a long one goes on below."""
    lines = [f"{indent}{OPENING} (docs/options.md):", ""]
    for option in options:
        name = option.name if option.default is None else f"{option.name}={option.default}"
        node = "" if option.node is None else f" {option.side}: {option.node}."
        text = f"``{name}``: {option.meaning}{node}"
        lines += textwrap.wrap(
            text,
            100 - len(indent),
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(indent + line if line and OPENING not in line else line for line in lines)


def with_docstring(source: str, function: str, options: list[Option]) -> str:
    """A file in which the docstring of a function ends with these options."""
    body: list[ast.stmt] = ast.parse(source).body
    for name in function.split("."):
        node = next(
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name == name
        )
        body = node.body
    lines = source.split("\n")
    start, end = body[0].lineno - 1, body[0].end_lineno or 0
    at = next((n for n in range(start, end) if OPENING in lines[n]), None)
    if at is None:
        raise SystemExit(f"the docstring of {function} has no line {OPENING!r}")
    indent = " " * body[0].col_offset
    lines[at:end] = [*listing(options, indent).split("\n"), f'{indent}"""']
    return "\n".join(lines)


# -- the page -----------------------------------------------------------------------------

_HEAD = """\
# Options

<!-- Written by `make options` from src/telex/options.py and src/telex/client/options.py. -->

Every option is a keyword argument. Durations are seconds (in Node and JavaScript milliseconds), at
most an hour, and sizes are bytes. A name that does not exist raises `UnknownOptionError`, a value
that cannot be meant `ConfigurationError`; both say what to write. Type checkers and editors know
names and types, too. `telex.options` has them for functions of your own:
`def serve(**options: Unpack[ServerKeywords])`.
"""

_SECTIONS = [
    (
        "Server",
        "`telex.Server(…)`. Those of Engine.IO come first.",
        "ServerKeywords",
        "Node",
    ),
    (
        "`cors`",
        "The parts of the server's option `cors`, all optional.",
        "CorsKeywords",
        "Node",
    ),
    (
        "`cookie`",
        "The parts of the server's option `cookie`, all optional.",
        "CookieKeywords",
        "Node",
    ),
    (
        "`connection_state_recovery`",
        "The parts of the server's option `connection_state_recovery`; `True` takes the defaults.",
        "RecoveryKeywords",
        "Node",
    ),
    (
        "Engine",
        "`telex.EngineServer(…)` has the server's options from `path` to `slow_consumer`, but:",
        "EngineKeywords",
        "Node",
    ),
    (
        "Client",
        (
            "`telex.connect(url, …)`, `telex.Manager(url, …)`, and both in `telex.sync`. Sockets of"
            " one server share a connection if all other options than `auth`, `ack_timeout`,"
            " `retries` and `auto_connect` agree."
        ),
        "ClientKeywords",
        "JavaScript",
    ),
    (
        "`transport_options`",
        (
            "The parts of the client's option `transport_options` for one transport, as in"
            ' `{"polling": {"headers": {…}}}`.'
        ),
        "TransportKeywords",
        "JavaScript",
    ),
    (
        "Engine client",
        "`telex.connect_engine(url, …)` has the client's options from `path` to `protocol`, but:",
        "EngineClientKeywords",
        "JavaScript",
    ),
    (
        "Listening",
        "`await io.listen(port, host, …)` and `io.run(port, host, …)`. They are uvicorn's.",
        "ListenKeywords",
        None,
    ),
    (
        "Running",
        "`io.run(port, host, …)` takes these, too; `drain` and `import_string` are telex's own.",
        "RunKeywords",
        None,
    ),
]


_ALSO = {"EngineKeywords": "ServerKeywords", "EngineClientKeywords": "ClientKeywords"}
"""Options that another table of the page has, unless their defaults differ."""


def page() -> str:
    """The text of docs/options.md."""
    known = keywords()
    parts = [_HEAD]
    for title, text, kind, elsewhere in _SECTIONS:
        options = known[kind]
        if kind == "RunKeywords":
            options = options[len(known["ListenKeywords"]) :]
        elif kind in _ALSO:
            options = [option for option in options if option not in known[_ALSO[kind]]]
        level = "###" if title.startswith("`") else "##"
        parts.append(
            f"{level} {title}\n\n{textwrap.fill(text, 100)}\n\n{_table(options, elsewhere)}"
        )
    return "\n".join(parts)


def _table(options: list[Option], elsewhere: str | None) -> str:
    defaults = any(option.default is not None for option in options)
    head = ["option", *(["default"] if defaults else []), "meaning", *filter(None, [elsewhere])]
    rows = [head, ["---"] * len(head)]
    for option in options:
        row = [f"`{option.name}`"]
        if defaults:
            row.append(f"`{option.default}`")
        row.append(option.meaning.replace("``", "`").replace("|", "\\|"))
        if elsewhere is not None:
            row.append("–" if option.node in (None, "none") else option.node.replace("``", "`"))
        rows.append(row)
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def files() -> dict[str, str]:
    """What the files have to contain, by their paths below the project's folder."""
    known = keywords()
    written = {PAGE: page()}
    for file, function, kind in DOCSTRINGS:
        source = written.get(file) or (ROOT / file).read_text("utf-8")
        written[file] = with_docstring(source, function, known[kind])
    return written


def stale() -> list[str]:
    """The files that are not as their options say."""
    return [
        file
        for file, text in files().items()
        if not (ROOT / file).exists() or (ROOT / file).read_text("utf-8") != text
    ]


def main() -> int:
    """Write the files, or name those that would change."""
    old = stale()
    if "--check" in sys.argv:
        print(*[f"{file} is not as its options say: make options" for file in old], sep="\n")
        return 1 if old else 0
    for file, text in files().items():
        if file in old:
            (ROOT / file).write_text(text, "utf-8")
            print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
