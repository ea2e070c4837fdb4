"""Compiles the C programs of the benchmarks into `benchmarks/build`."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.errors import BenchmarkError

FOLDER = Path(__file__).resolve().parent / "build"


def compile_program(source: Path) -> Path:
    """The executable of a C file, compiled if the file is newer. `CC` names another compiler."""
    program = FOLDER / source.stem
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BenchmarkError(
            "A C compiler is missing: install `cc` (gcc or clang), or name one with CC=…"
        )
    FOLDER.mkdir(exist_ok=True)
    # Compiled beside its place and moved there: another run may be using the old one.
    fresh = program.with_name(f"{program.name}.{os.getpid()}")
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-o", str(fresh), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{source.name} does not compile here:\n{done.stderr.strip()}")
    fresh.replace(program)
    return program
