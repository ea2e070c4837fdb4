"""Takes the pictures of the demo in docs/images: `python -m tests.browser.screenshot`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cli.process import demo
from tests.support.node import chromium, run_script
from tests.support.servers import ROOT

SCRIPT = Path(__file__).parent / "screenshot.js"
IMAGES = ROOT / "docs" / "images"


def take(folder: Path, *, endpoint: str | None = None) -> list[Path]:
    """Write the pictures into a folder; in the browser that runs at `endpoint`, if one does."""
    folder.mkdir(parents=True, exist_ok=True)
    with demo() as server:
        shown_by = {"endpoint": endpoint} if endpoint else {"chromium": chromium()}
        scenario = {"url": f"{server.url}/", "folder": str(folder), **shown_by}
        seen = run_script(SCRIPT, scenario, timeout=120)[0]
    assert seen["complaints"] == []
    return [folder / name for name in seen["pictures"]]


if __name__ == "__main__":
    for picture in take(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES):
        print(picture)
