"""Runs `tests/native` and the fuzzer on a compiled part that checks its own memory accesses.

`make sanitize` compiles it with AddressSanitizer and UndefinedBehaviorSanitizer, which end the
process at the first wrong access.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
COMPILED = ROOT / ".venv" / "sanitized" / "_telex.so"
SEED = COMPILED.parent / "seed"
LOADED = "TELEX_SANITIZED"
"""The variable of the environment that tells a process that it runs with the sanitizers."""

NAME = "telex.native._telex"

ENVIRONMENT = {
    # Leaks of the interpreter itself would hide those of the compiled part.
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "PYTHONMALLOC": "malloc",  # so that every object is known to AddressSanitizer
    "PYTHONFAULTHANDLER": "1",
    LOADED: "1",
}


def compile_sanitized() -> None:
    """Compile the module with the sanitizers; warnings are errors."""
    sys.path.insert(0, str(ROOT / "tools"))
    tool: Any = import_module("compile_native")
    COMPILED.parent.mkdir(parents=True, exist_ok=True)
    tool.compile_to(COMPILED, tool.SANITIZED)


def library(name: str) -> str:
    """The path of a library that belongs to the compiler."""
    command = [os.environ.get("CC", "cc"), f"-print-file-name={name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def load() -> None:
    """Put the sanitized module in the place of the other, before telex is imported."""
    loader = ExtensionFileLoader(NAME, str(COMPILED))
    spec = spec_from_file_location(NAME, COMPILED, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[NAME] = module


def spare_orjson() -> None:
    """End a shortage of memory before orjson meets it, which would crash."""
    orjson: Any = import_module("orjson")
    testcapi: Any = import_module("_testcapi")
    dumps = orjson.dumps

    def spared(*values: Any) -> Any:
        testcapi.remove_mem_hooks()
        return dumps(*values)

    orjson.dumps = spared


def run(arguments: argparse.Namespace) -> int:
    """Run the tests and the fuzzer in this process, which runs with the sanitizers."""
    load()
    spare_orjson()
    import pytest

    if not arguments.fuzz_only and arguments.seed is None:
        failed = pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "tests/native"])
        if failed:
            return failed
    from telex import native
    from tests.native import fuzz

    assert native.core is sys.modules[NAME]
    if arguments.seed is not None:
        fuzz.play(arguments.seed)
        return 0
    print(f"{fuzz.fuzz(arguments.seconds, SEED)} rounds of the fuzzer")
    return 0


def main() -> int:
    """Compile, and start again with the sanitizers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long the fuzzer runs")
    parser.add_argument("--seed", type=int, help="play this round of the fuzzer alone")
    parser.add_argument("--fuzz-only", action="store_true", help="leave tests/native out")
    arguments = parser.parse_args()
    if LOADED in os.environ:
        return run(arguments)
    compile_sanitized()
    SEED.unlink(missing_ok=True)
    preload = f"{library('libasan.so')} {library('libubsan.so')}"
    environment = {**os.environ, **ENVIRONMENT, "LD_PRELOAD": preload}
    command = [sys.executable, "-m", "tests.native.sanitize", *sys.argv[1:]]
    failed = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if SEED.exists():
        seed = SEED.read_text()
        print(f"again: {sys.executable} -m tests.native.sanitize --seed {seed}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
