"""The JavaScript client bundle: the files of socket.io-client that a server hands to browsers.

The files are not part of the source tree. `make client` and every build take them from the npm
package, at the version named in `peers/package-lock.json`, into the folder `files` beside this
module.
"""

from importlib import resources
from pathlib import Path
from typing import Final

__all__ = ["FILES", "directory", "version"]

FILES: Final = (
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
)


def directory() -> Path | None:
    """The folder that holds every one of `FILES`, or None if the bundle is not there."""
    folder = resources.files(__name__) / "files"
    if not isinstance(folder, Path):  # imported from a zip archive
        return None
    if not all((folder / name).is_file() for name in FILES):
        return None
    return folder


def version() -> str | None:
    """The version of socket.io-client that the bundle was taken from, or None without a bundle."""
    folder = directory()
    if folder is None:
        return None
    try:
        return (folder / "VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
