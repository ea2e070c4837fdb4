"""The project itself: one version, the make targets, the client bundle, the pins."""

import asyncio
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from telex import client_bundle

ROOT = Path(__file__).resolve().parent.parent
VERSION_FILE = ROOT / "src" / "telex" / "_version.py"


def read_version() -> str:
    match = re.search(r'^__version__ = "(.+)"$', VERSION_FILE.read_text("utf-8"), re.MULTILINE)
    assert match, f"{VERSION_FILE} does not assign __version__"
    return match[1]


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def git(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False)


def make(*args: str) -> str:
    result = subprocess.run(
        ["make", "--no-print-directory", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


class TestVersion:
    def test_installed_metadata_has_the_version_of_the_source(self) -> None:
        assert importlib.metadata.version("telex") == read_version(), (
            "the installed package is older than the source: run make venv"
        )

    def test_is_written_in_one_place(self) -> None:
        project = read_toml(ROOT / "pyproject.toml")["project"]
        assert "version" in project["dynamic"]
        assignments = [
            path
            for folder in ("src", "tools")
            for path in (ROOT / folder).rglob("*.py")
            if re.search(r"""(?m)^(__version__|VERSION)\b.*= *["']\d""", path.read_text("utf-8"))
        ]
        assert assignments == [VERSION_FILE]

    def test_is_in_the_changelog(self) -> None:
        headings = re.findall(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"))
        assert headings[0] in {"Unreleased", read_version()}


class TestMake:
    def test_without_a_target_lists_the_targets(self) -> None:
        lines = [line.split(maxsplit=1) for line in make().splitlines()[1:]]
        listed = {name: text for name, text in lines if text}
        assert {
            "venv", "peers", "browser", "compiler", "client", "demo", "test",
            "lint", "format", "types", "bench", "clean",
        } <= listed.keys()  # fmt: skip

    def test_lists_every_phony_target(self) -> None:
        makefile = (ROOT / "Makefile").read_text("utf-8")
        phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
        assert phony
        assert [line.split()[0] for line in make().splitlines()[1:]] == phony[1].split()

    def test_ci_runs_make_test(self) -> None:
        script = ROOT / ".ci" / "run"
        assert script.stat().st_mode & 0o111
        assert script.read_text("utf-8").splitlines()[-1].endswith("make --no-print-directory test")

    @pytest.mark.parametrize(
        ("tool", "sentence"),
        [("python", "Python 3.11 or newer"), ("node", "Node.js 18 or newer"), ("git", "git")],
    )
    def test_a_missing_tool_is_named_with_the_way_to_get_it(
        self, tmp_path: Path, tool: str, sentence: str
    ) -> None:
        result = subprocess.run(
            ["/bin/sh", str(ROOT / "tools" / "need.sh"), tool],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1
        assert f"missing: {sentence}" in result.stderr
        assert "apt install" in result.stderr

    def test_an_old_python_is_refused(self, tmp_path: Path) -> None:
        old = tmp_path / "python3"
        old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
        old.chmod(0o755)
        result = subprocess.run(
            ["/bin/sh", str(ROOT / "tools" / "need.sh"), "python"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1
        assert "Python 3.11 or newer (python3 is Python 3.9.2)" in result.stderr


class TestClientBundle:
    def test_is_complete_in_the_development_tree(self) -> None:
        folder = client_bundle.directory()
        assert folder is not None, "the client bundle is not there: run make client"
        names = {path.name for path in folder.iterdir()}
        assert names == {*client_bundle.FILES, "LICENSE", "VERSION"}
        assert all((folder / name).stat().st_size > 1000 for name in client_bundle.FILES)

    def test_scripts_name_their_version_and_their_map(self) -> None:
        folder = client_bundle.directory()
        assert folder is not None
        version = client_bundle.version()
        for name in client_bundle.FILES:
            text = (folder / name).read_text("utf-8")
            if name.endswith(".map"):
                assert json.loads(text)["version"] == 3
            else:
                assert f"Socket.IO v{version}\n" in text
                assert text.rstrip().endswith(f"//# sourceMappingURL={name}.map")

    def test_is_the_version_that_the_tests_run_against(self) -> None:
        lock = json.loads((ROOT / "peers" / "package-lock.json").read_text("utf-8"))
        pinned = lock["packages"]["node_modules/socket.io-client-4"]["version"]
        assert client_bundle.version() == pinned
        assert pinned.startswith("4.8.")

    def test_is_not_committed(self) -> None:
        folder = client_bundle.directory()
        assert folder is not None
        assert git("check-ignore", str(folder / "socket.io.js")).returncode == 0
        assert git("ls-files", str(folder)).stdout == ""

    def test_an_incomplete_bundle_counts_as_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "client_bundle_copy"
        package.mkdir()
        shutil.copy(Path(client_bundle.__file__), package / "__init__.py")
        files = client_bundle.directory()
        assert files is not None
        shutil.copytree(files, package / "files")
        program = (
            "import sys; sys.path.insert(0, '.'); import client_bundle_copy as bundle;"
            "print(bundle.directory() is not None, bundle.version())"
        )

        def ask() -> list[str]:
            return subprocess.run(
                [sys.executable, "-c", program],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()

        assert ask() == ["True", client_bundle.version()]
        (package / "files" / "socket.io.min.js.map").unlink()
        assert ask() == ["False", "None"]


@pytest.mark.parametrize("folder", ["peers", "benchmarks/peers"])
class TestPeers:
    def test_are_pinned_to_one_version_each(self, folder: str) -> None:
        package = json.loads((ROOT / folder / "package.json").read_text("utf-8"))
        for name, wanted in package["dependencies"].items():
            assert re.fullmatch(r"(npm:[a-z.-]+@)?\d+\.\d+\.\d+", wanted), f"{name}: {wanted}"

    def test_lock_file_names_checksums_and_no_hosts(self, folder: str) -> None:
        text = (ROOT / folder / "package-lock.json").read_text("utf-8")
        entries = json.loads(text)["packages"]
        assert all("integrity" in entry for path, entry in entries.items() if path)
        assert '"resolved"' not in text


async def test_event_loops_are_in_debug_mode() -> None:
    assert asyncio.get_running_loop().get_debug()


class TestBuild:
    """The wheel, built where npm is not on PATH."""

    @staticmethod
    def build(tree: Path, **env: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            "wheel",
            "-d",
            str(tree / "out"),
        ]
        return subprocess.run(
            command,
            cwd=tree,
            env={"PATH": str(tree), **env},
            capture_output=True,
            text=True,
            check=False,
        )

    @staticmethod
    def wheels(tree: Path) -> list[list[str]]:
        """The names of the files of each wheel."""
        found: list[list[str]] = []
        for path in (tree / "out").glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                found.append(wheel.namelist())
        return found

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        for name in ("src", "tools"):
            shutil.copytree(
                ROOT / name,
                tmp_path / name,
                ignore=shutil.ignore_patterns("__pycache__", "*.so", "files"),
            )
        (tmp_path / "peers").mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE", "peers/package-lock.json"):
            shutil.copy(ROOT / name, tmp_path / name)
        return tmp_path

    def test_without_the_client_it_fails(self, tree: Path) -> None:
        """Unless that is wanted: then it says so."""
        done = self.build(tree)
        assert done.returncode == 1
        assert "The JavaScript client would be missing" in done.stdout + done.stderr
        assert "npm is not on PATH" in done.stdout + done.stderr
        assert self.wheels(tree) == []
        done = self.build(tree, TELEX_WITHOUT_CLIENT="1")
        assert done.returncode == 0, done.stderr
        assert "The JavaScript client is missing" in done.stdout + done.stderr
        [names] = self.wheels(tree)
        assert "telex/app.py" in names

    def test_with_the_client_it_needs_no_npm(self, tree: Path) -> None:
        """As from a source distribution, which contains it."""
        folder = client_bundle.directory()
        assert folder is not None
        shutil.copytree(folder, tree / "src" / "telex" / "client_bundle" / "files")
        done = self.build(tree)
        assert done.returncode == 0, done.stderr
        [names] = self.wheels(tree)
        assert {f"telex/client_bundle/files/{name}" for name in client_bundle.FILES} <= set(names)
