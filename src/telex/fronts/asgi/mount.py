"""Where an engine answers: at its path, wherever the application is mounted."""

from __future__ import annotations

from collections.abc import Container
from urllib.parse import unquote

from ...types import Response, Scope, local_path, parse_query


def below_path(path: str, scope: Scope, files: Container[str] = ()) -> str | None:
    """What follows the engine's path in a request: ``""``, one of the files, or ``None``.

    The path is looked for below the mount point, and also in the mount point itself: an
    application mounted *at* ``/socket.io`` is reached there, and one that is mounted at
    ``/ws`` with the path ``/ws/socket.io`` at that path.
    """
    asked, start = _asked(scope)
    while start >= 0:
        rest = asked[start:]
        if rest == path or (rest.startswith(path) and not rest[len(path) :].strip("/")):
            return ""  # with any number of slashes: joined URLs often have one too many
        if rest.startswith(path + "/") and rest[len(path) + 1 :] in files:
            return rest[len(path) + 1 :]
        start = asked.rfind("/", 0, start)
    return None


def _asked(scope: Scope) -> tuple[str, int]:
    """The whole path that was asked for, and where the part below the mount point begins."""
    root: str = scope.get("root_path", "")
    local = local_path(scope)
    if not root:  # Litestar takes the mount point from the path, and does not say which it is
        whole = unquote((scope.get("raw_path") or b"").decode("latin-1"))
        below = local.rstrip("/")
        if whole.rstrip("/").endswith(below):
            return whole, len(whole.rstrip("/")) - len(below)
    return root + local, len(root)


def not_found(path: str, scope: Scope) -> Response:
    """The answer to a request for something else than the engine."""
    text = "Not Found"
    if "EIO" in parse_query(scope.get("query_string", b"").decode("latin-1")):
        asked, start = _asked(scope)
        right = _reached_at(path, _printable(asked[:start]))
        text = (
            f"Not Found: the server answers at {right}/, not here. Clients find it with the"
            f' option path: "{right}"; or the server takes the path of the clients:'
            ' Server(path="…"), the mount point included.'
        )
    return Response(404, [("content-type", "text/plain; charset=utf-8")], text.encode())


def _reached_at(path: str, mount: str) -> str:
    """The shortest path at which the engine answers below a mount point."""
    starts = [i for i, character in enumerate(mount) if character == "/"]
    shared = [start for start in starts if f"{path}/".startswith(f"{mount[start:]}/")]
    return mount[: shared[0]] + path if shared else mount + path


def _printable(mount: str) -> str:
    """A mount point, if it can be shown: clients may have chosen a part of it."""
    return mount if mount.isascii() and mount.isprintable() and len(mount) < 100 else ""
