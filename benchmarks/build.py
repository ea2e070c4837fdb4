"""Compiles the C and Rust programs of the benchmarks into `benchmarks/build`."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.errors import BenchmarkError

FOLDER = Path(__file__).resolve().parent / "build"


def compile_program(name: str, source: Path) -> Path:
    """The executable of a C file, or of all in a folder, compiled if one of them is newer.

    `CC` names another compiler.
    """
    program = FOLDER / name
    files = sorted(source.glob("*.[ch]")) if source.is_dir() else [source]
    newest = max(file.stat().st_mtime for file in files)
    if program.exists() and program.stat().st_mtime > newest:
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BenchmarkError(
            "A C compiler is missing: install `cc` (gcc or clang), or name one with CC=…"
        )
    FOLDER.mkdir(exist_ok=True)
    # Compiled beside its place and moved there: another run may be using the old one.
    fresh = program.with_name(f"{program.name}.{os.getpid()}")
    units = [str(file) for file in files if file.suffix == ".c"]
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", "-o", str(fresh), *units],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{name} does not compile here:\n{done.stderr.strip()}")
    fresh.replace(program)
    return program


@functools.cache
def build_crate(manifest: Path) -> Path:
    """The executable of a Rust crate, built in release; its name is the name of its folder.

    cargo finds out what has changed and shows its progress; the first time it fetches the crates
    of `Cargo.lock`, and takes minutes.
    """
    cargo = shutil.which("cargo")
    if cargo is None:
        raise BenchmarkError("cargo is missing: install Rust to compare with it.")
    name = manifest.parent.name
    target = FOLDER / name
    done = subprocess.run(
        [cargo, "build", "--release", "--locked", "--manifest-path", str(manifest)],
        env={**os.environ, "CARGO_TARGET_DIR": str(target)},
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{name} does not build here; what cargo said stands above.")
    return target / "release" / f"{name}-server"
