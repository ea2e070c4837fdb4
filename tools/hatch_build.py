"""The build hook: every wheel, source distribution and editable install has the client bundle."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientBundleHook(BuildHookInterface[Any]):
    """Runs `tools/fetch_client.py`, which does nothing when the files are there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a build."""
        script = Path(self.root) / "tools" / "fetch_client.py"
        result = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            self.app.display_warning(
                f"{result.stderr.strip()}\n"
                "The build goes on without it: the server will not be able to serve "
                "/socket.io/socket.io.js until the client bundle is fetched "
                "(with npm on PATH: make client)."
            )
