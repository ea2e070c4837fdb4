"""Compiles `src/telex/native`, the optional part of telex, for the running Python.

Without a C compiler, or on a system without epoll, telex does without it and uses picows.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "src" / "telex" / "native"
FLAGS = ("-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
FAST = ("-O2",)
SANITIZED = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-Werror")
# Method tables of Python leave fields out, and its functions take arguments they do not need.
QUIET = (
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
)


class NotCompiledError(Exception):
    """The module cannot be compiled here; the message says why, in a sentence."""


def target() -> Path:
    """Where the compiled module is to be."""
    return FOLDER / f"_telex{sysconfig.get_config_var('EXT_SUFFIX')}"


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AssertionError("a path has a loader")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checksum() -> int:
    """Of the sources, as `telex.native` computes it; telex itself may not be installed yet."""
    total: int = _load("telex_native", FOLDER / "__init__.py").checksum(FOLDER)
    return total


def _is_made_of(compiled: Path, checksum: int) -> bool:
    """Whether the module comes from the sources with this checksum, as `telex.native` asks."""
    try:
        source: int = _load("_telex", compiled).SOURCE
    except ImportError:
        return False
    return source == checksum


def compile_native() -> Path:
    """Compile the module unless it is there, made of these sources; where it is."""
    compiled = target()
    if not _is_made_of(compiled, _checksum()):
        compile_to(compiled, FAST)
    return compiled


def compile_to(compiled: Path, flags: tuple[str, ...]) -> None:
    """Compile the module with these flags. Raises ``NotCompiledError``."""
    if sys.platform != "linux" or sys.implementation.name != "cpython":
        raise NotCompiledError("It needs CPython on Linux.")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise NotCompiledError("It needs a Python with a GIL.")
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        raise NotCompiledError(f"The headers of this Python are not in {include}.")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    unfinished = compiled.with_name(f"{compiled.name}.{os.getpid()}")
    checksum = f"-DTELEX_SOURCE={_checksum()}UL"
    units = [str(source) for source in sorted(FOLDER.glob("*.c"))]
    command = [*compiler, *flags, *FLAGS, *QUIET, checksum, "-I", str(include), *units]
    command += ["-o", str(unfinished)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotCompiledError(f"There is no C compiler {compiler[0]!r}: {error}") from error
    if done.returncode:
        raise NotCompiledError(f"{shlex.join(command)} failed:\n{done.stderr.strip()}")
    unfinished.replace(compiled)


if __name__ == "__main__":
    try:
        print(compile_native())
    except NotCompiledError as error:
        sys.exit(f"{error}\ntelex does without its compiled part.")
