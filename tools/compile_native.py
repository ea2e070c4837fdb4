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

FOLDER = Path(__file__).resolve().parent.parent / "src" / "telex" / "native"
FLAGS = ("-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
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


def _checksum() -> int:
    """Of the sources, as `telex.native` computes it; telex itself may not be installed yet."""
    spec = importlib.util.spec_from_file_location("telex_native", FOLDER / "__init__.py")
    if spec is None or spec.loader is None:
        raise AssertionError("a path has a loader")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    total: int = module.checksum(FOLDER)
    return total


def compile_native() -> Path:
    """Compile the module unless it is newer than its source; where it is."""
    compiled = target()
    sources = sorted(FOLDER.glob("*.[ch]"))
    newest = max(source.stat().st_mtime for source in sources)
    if compiled.exists() and compiled.stat().st_mtime >= newest:
        return compiled
    if sys.platform != "linux" or sys.implementation.name != "cpython":
        raise NotCompiledError("It needs CPython on Linux.")
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        raise NotCompiledError(f"The headers of this Python are not in {include}.")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    unfinished = compiled.with_name(f"{compiled.name}.{os.getpid()}")
    checksum = f"-DTELEX_SOURCE={_checksum()}UL"
    units = [str(source) for source in sources if source.suffix == ".c"]
    command = [*compiler, *FLAGS, *QUIET, checksum, "-I", str(include), *units]
    command += ["-o", str(unfinished)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotCompiledError(f"There is no C compiler {compiler[0]!r}: {error}") from error
    if done.returncode:
        raise NotCompiledError(f"{shlex.join(command)} failed:\n{done.stderr.strip()}")
    unfinished.replace(compiled)
    return compiled


if __name__ == "__main__":
    try:
        print(compile_native())
    except NotCompiledError as error:
        sys.exit(f"{error}\ntelex does without its compiled part.")
