"""Compiles `src/telex/fronts/_native.c`, the optional part of telex, for the running Python.

Without a C compiler, or on a system without epoll, telex does without it and uses picows.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "telex" / "fronts" / "_native.c"
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
    return SOURCE.with_name(f"_native{sysconfig.get_config_var('EXT_SUFFIX')}")


def compile_native() -> Path:
    """Compile the module unless it is newer than its source; where it is."""
    compiled = target()
    if compiled.exists() and compiled.stat().st_mtime >= SOURCE.stat().st_mtime:
        return compiled
    if sys.platform != "linux" or sys.implementation.name != "cpython":
        raise NotCompiledError("It needs CPython on Linux.")
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        raise NotCompiledError(f"The headers of this Python are not in {include}.")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    unfinished = compiled.with_name(f"{compiled.name}.{os.getpid()}")
    checksum = f"-DTELEX_SOURCE={zlib.crc32(SOURCE.read_bytes())}UL"  # see fronts/fast_http.py
    flags = [*FLAGS, *QUIET, checksum, "-I", str(include)]
    command = [*compiler, *flags, str(SOURCE), "-o", str(unfinished)]
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
