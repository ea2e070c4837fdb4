"""Type checkers know every option: a small project of a user, checked as strictly as they can."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Path(__file__).with_name("project")
FILES = [str((PROJECT / name).relative_to(ROOT)) for name in ("right.py", "wrong.py")]


def marked() -> list[tuple[str, int]]:
    """File and number of each line that is said to be wrong."""
    lines = (PROJECT / "wrong.py").read_text("utf-8").splitlines()
    return [("wrong.py", n) for n, line in enumerate(lines, 1) if line.endswith("  # error")]


def output(*command: str) -> str:
    """What a checker prints; it ends with 1, because it finds something."""
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=110,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stdout


def test_mypy() -> None:
    printed = output("mypy", "--strict", *FILES)
    found = re.findall(r"^tests/typing/project/(\w+\.py):(\d+): error", printed, re.MULTILINE)
    assert sorted({(file, int(line)) for file, line in found}) == marked(), printed


def test_pyright() -> None:
    project = str(PROJECT.relative_to(ROOT))
    printed = output("pyright", "-p", project, "--pythonpath", sys.executable, "--outputjson")
    found: list[dict[str, Any]] = json.loads(printed)["generalDiagnostics"]
    lines = {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1)
        for each in found
        if each["severity"] == "error"
    }
    assert sorted(lines) == marked(), printed
