"""Put the JavaScript client bundle into `src/telex/client_bundle/files`.

The files come from the npm package socket.io-client. Its version and checksum are read from
`peers/package-lock.json`, so that the client served is the client the tests run against.
`npm pack` fetches the package; nothing is installed and nothing in it is executed.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "peers" / "package-lock.json"
BUNDLE = ROOT / "src" / "telex" / "client_bundle"
FILES = BUNDLE / "files"
BUNDLES = ("socket.io", "socket.io.min", "socket.io.esm.min", "socket.io.msgpack.min")
MEMBERS = {
    **{f"package/dist/{name}.js": f"{name}.js" for name in BUNDLES},
    **{f"package/dist/{name}.js.map": f"{name}.js.map" for name in BUNDLES},
    "package/LICENSE": "LICENSE",
}
NPM_TIMEOUT = 300.0  # seconds


class FetchError(Exception):
    """The bundle cannot be fetched; the message says why and what to do."""


@dataclass(frozen=True)
class Pin:
    """A version of socket.io-client and the checksum of its package, as npm writes it."""

    version: str
    integrity: str


def read_pin() -> Pin:
    """The pin of the newest client in `peers/package-lock.json`."""
    try:
        lock = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
        entry = lock["packages"]["node_modules/socket.io-client-4"]
        return Pin(version=entry["version"], integrity=entry["integrity"])
    except (OSError, ValueError, KeyError) as error:
        raise FetchError(
            f"{LOCK_FILE} does not name the version of socket.io-client to take ({error!r})"
        ) from error


def present(pin: Pin) -> bool:
    """Whether the files of exactly this version are there."""
    try:
        found = (FILES / "VERSION").read_text(encoding="ascii").strip()
    except OSError:
        return False
    return found == pin.version and all((FILES / name).is_file() for name in MEMBERS.values())


def pack(pin: Pin, folder: Path) -> Path:
    """Let npm fetch the package into `folder`; return the path of the archive."""
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            "npm is not on PATH. It comes with Node.js: install that (Debian and Ubuntu: "
            "apt install nodejs npm; others: https://nodejs.org)"
        )
    command = [npm, "pack", f"socket.io-client@{pin.version}", "--loglevel=error"]
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"npm pack did not finish: {error}") from error
    if result.returncode != 0:
        raise FetchError(f"npm pack failed:\n{result.stderr.strip()}")
    archives = sorted(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise FetchError(f"npm pack left {len(archives)} archives where one was expected")
    return archives[0]


def verify(archive: Path, pin: Pin) -> None:
    """Refuse an archive whose checksum is not the one of the lock file."""
    algorithm, _, expected = pin.integrity.partition("-")
    digest = hashlib.new(algorithm, archive.read_bytes()).digest()
    if base64.b64encode(digest).decode("ascii") != expected:
        raise FetchError(
            f"the package socket.io-client {pin.version} does not have the checksum that "
            f"{LOCK_FILE.name} names"
        )


def unpack(archive: Path, pin: Pin, folder: Path) -> None:
    """Write the files of the bundle, and VERSION, into `folder`."""
    with tarfile.open(archive) as package:
        for member, name in MEMBERS.items():
            try:
                content = package.extractfile(member)
            except KeyError:
                content = None
            if content is None:
                raise FetchError(f"socket.io-client {pin.version} has no file {member}")
            (folder / name).write_bytes(content.read())
    (folder / "VERSION").write_text(f"{pin.version}\n", encoding="ascii")


def install(archive: Path, pin: Pin) -> None:
    """Put the files where the old ones were, all of them at once."""
    with tempfile.TemporaryDirectory(prefix=".files-", dir=BUNDLE) as folder:
        new, old = Path(folder, "new"), Path(folder, "old")
        new.mkdir()
        unpack(archive, pin, new)
        if FILES.exists():
            os.rename(FILES, old)
        os.rename(new, FILES)


def fetch() -> str:
    """Make sure that the files are there; return the sentence that tells what was done."""
    pin = read_pin()
    if present(pin):
        (FILES / "VERSION").touch()  # make compares times
        return f"the client bundle of socket.io-client {pin.version} is there"
    try:
        with tempfile.TemporaryDirectory(prefix="telex-client-") as folder:
            archive = pack(pin, Path(folder))
            verify(archive, pin)
            install(archive, pin)
    except OSError as error:
        if not present(pin):  # another build may have put them there at the same moment
            raise FetchError(f"the files cannot be written: {error}") from error
    return f"took the client bundle of socket.io-client {pin.version} from npm"


def main() -> int:
    """Fetch and report; 1 means that the bundle is not there."""
    try:
        print(fetch())
    except FetchError as error:
        print(f"no client bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
