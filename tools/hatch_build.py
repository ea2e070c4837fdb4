"""The build hook: the client bundle in every build, the compiled part in wheels and checkouts."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT = "TELEX_WITHOUT_CLIENT"
"""The variable of the environment that allows a build without the JavaScript client."""


class TelexBuildHook(BuildHookInterface[Any]):
    """Runs `tools/fetch_client.py` and `tools/compile_native.py`.

    A build fails without the client bundle, because pip hides the warnings of
    the builds it runs; an editable install and `TELEX_WITHOUT_CLIENT=1` go on. The compiled part
    may be missing.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a build."""
        self._fetch_client(needed=version != "editable" and not os.environ.get(WITHOUT))
        if self.target_name == "wheel":
            self._compile(build_data)

    def _fetch_client(self, *, needed: bool) -> None:
        script = Path(self.root) / "tools" / "fetch_client.py"
        result = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=False
        )
        if result.returncode == 0:
            return
        why = result.stderr.strip()
        if needed:
            self.app.abort(
                f"{why}\nThe JavaScript client would be missing: the server could not serve "
                f"/socket.io/socket.io.js. Put npm on PATH, or set {WITHOUT}=1 to build without it."
            )
        self.app.display_warning(
            f"{why}\nThe JavaScript client is missing: the server cannot serve "
            "/socket.io/socket.io.js until it is fetched (with npm on PATH: make client)."
        )

    def _compile(self, build_data: dict[str, Any]) -> None:
        tool = self._load_tool("compile_native")
        try:
            compiled: Path = tool.compile_native()
        except tool.NotCompiledError as error:
            self.app.display_warning(f"{error}\nThe build goes on without the compiled part.")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(str(compiled.relative_to(self.root)))

    def _load_tool(self, name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(
            name, Path(self.root) / "tools" / f"{name}.py"
        )
        if spec is None or spec.loader is None:
            raise AssertionError("a path has a loader")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
