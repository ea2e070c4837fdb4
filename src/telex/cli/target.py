"""`module:object` on the command line: found, or refused with the nearest right name."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType, ModuleType


class TargetError(Exception):
    """There is no application under this name; the message says what to write instead.

    ``report`` is the traceback of a module that fails while it is imported, else empty.
    """

    def __init__(self, sentence: str, report: str = "") -> None:
        super().__init__(sentence)
        self.report = report


def load(target: str) -> object:
    """The application that `module:object` or `module:factory()` names.

    The module may lie in the current directory; ``object`` may be dotted.

    Raises:
        TargetError: there is none.
    """
    name, colon, path = target.partition(":")
    if name.endswith(".py") or "/" in name or "\\" in name:
        dotted = ".".join(Path(name).with_suffix("").parts).lstrip(".")
        raise TargetError(f"{name!r} is a file: name the module, {dotted}:{path or 'io'}.")
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"{target!r} names no application: write module:object, such as app:io.")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _module(name)
    if not path:
        found = _applications(module)
        choice = " or ".join(f"{name}:{one}" for one in found) or f"{name}:io"
        verb = "Write" if colon or found else "Name the object too, such as"
        raise TargetError(f"Which object of {name!r}? {verb} {choice}.")
    made = path.endswith("()")
    value = _attribute(module, path.removesuffix("()"))
    return _call(value, target) if made else _application(value, target)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name != missing and not name.startswith(f"{missing}."):
            raise TargetError(
                f"{name!r} cannot be imported: it needs {missing!r}, which is not installed.",
                _report(error),
            ) from error
        near = _nearest(missing.rpartition(".")[2], _siblings(missing))
        raise TargetError(
            f"There is no module {missing!r} in {os.getcwd()} or among the installed packages."
            + _did_you_mean(near)
        ) from None
    except Exception as error:
        raise TargetError(
            f"{name!r} cannot be imported: {type(error).__name__}: {error}", _report(error)
        ) from error


def _attribute(module: ModuleType, path: str) -> object:
    found: object = module
    where = repr(module.__name__)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = _nearest(part, [one for one in dir(found) if not one.startswith("_")])
            if found is module:
                names = [*_applications(module), *names]
            raise TargetError(f"There is no {part!r} in {where}." + _did_you_mean(names)) from None
        where = f"{part!r} of {module.__name__!r}"
    return found


def _call(factory: object, target: str) -> object:
    if not callable(factory):
        raise TargetError(f"{target!r} cannot be called: leave out the parentheses.")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise TargetError(f"{target!r} cannot be called without arguments: {error}.") from None
    except ValueError:  # some builtins have no signature
        pass
    try:
        made: object = factory()
    except Exception as error:
        raise TargetError(
            f"{target!r} failed: {type(error).__name__}: {error}", _report(error)
        ) from error
    if inspect.iscoroutine(made):
        made.close()
        raise TargetError(f"{target!r} is async; an application has to be made without waiting.")
    return _application(made, target)


def _application(found: object, target: str) -> object:
    maker = isinstance(found, FunctionType | type)
    if not callable(found):
        kind = type(found).__name__
        raise TargetError(f"{target!r} is a {kind}, not a Server or another ASGI application.")
    if _is_wsgi(found):
        raise TargetError(
            f"{target!r} is a WSGI application, and telex serves ASGI. Put it behind a Server:"
            " io = Server(a2wsgi.WSGIMiddleware(app)), with pip install a2wsgi; Django has an"
            " asgi.py for this."
        )
    if maker:
        try:
            inspect.signature(found).bind(None, None, None)
        except TypeError:
            raise TargetError(
                f"{target!r} makes an application rather than being one: write {target}()."
            ) from None
    return found


def _is_wsgi(found: object) -> bool:
    from telex.engine_server import is_wsgi

    return is_wsgi(found)


def _applications(module: ModuleType) -> list[str]:
    """Names in a module that hold applications, as far as one can see from outside."""
    from telex import EngineServer, Server

    kinds = (Server, EngineServer)
    return [name for name, value in vars(module).items() if isinstance(value, kinds)]


def _siblings(name: str) -> list[str]:
    """Modules that might have been meant: those beside, and in the current directory first."""
    package = name.rpartition(".")[0]
    paths: Iterable[str] | None = None
    if package:
        paths = getattr(sys.modules.get(package), "__path__", ())
    return [one.name for one in pkgutil.iter_modules(paths)]


def _nearest(name: str, names: list[str]) -> list[str]:
    return difflib.get_close_matches(name, list(dict.fromkeys(names)), n=2, cutoff=0.5)


def _did_you_mean(names: list[str]) -> str:
    names = list(dict.fromkeys(names))[:2]
    return f" Did you mean {' or '.join(map(repr, names))}?" if names else ""


def _report(error: BaseException) -> str:
    """The traceback from where the user's own code begins."""
    lines = traceback.TracebackException.from_exception(error)
    hidden = (__file__, importlib.__file__)
    kept = [
        frame
        for frame in lines.stack
        if frame.filename not in hidden and not frame.filename.startswith("<frozen importlib")
    ]
    lines.stack = traceback.StackSummary.from_list(kept)
    return "".join(lines.format())
