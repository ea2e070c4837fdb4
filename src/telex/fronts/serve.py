"""Serving with uvicorn: its process manager, TLS and reloader, with the fast WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
from collections.abc import Generator
from typing import Any

import uvicorn
from uvicorn.supervisors import ChangeReload, Multiprocess

from ..errors import ConfigurationError
from . import fast_http

BACKLOG = 4096
GRACE = 10
"""How long open requests may take when the server stops, in seconds."""

_HTTP = "telex.fronts.fast_http:FastHttpProtocol"


class EmbeddedServer(uvicorn.Server):
    """uvicorn's server without its signal handlers: the loop's owner decides about those."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Listening:
    """A server that runs in somebody's loop; ``port`` is where it listens."""

    def __init__(self, server: EmbeddedServer, task: asyncio.Task[None], port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def stop(self) -> None:
        """Stop listening and wait until everything has ended."""
        self._server.should_exit = True
        await self._task
        fast_http.stop(self._server.server_state)


def _config(app: Any, host: str, port: int, **options: Any) -> uvicorn.Config:
    settings: dict[str, Any] = {
        "host": host,
        "port": port,
        "http": _HTTP,
        "ws": "websockets-sansio",
        "lifespan": "auto",
        "backlog": BACKLOG,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
        **options,
    }
    return uvicorn.Config(app, **settings)


async def listen(app: Any, *, host: str, port: int, **options: Any) -> Listening:
    """Serve ``app`` in the running loop; return when it accepts connections."""
    sock = _bind(host, port)
    config = _config(app, host, port, **{"log_config": None, "access_log": False, **options})
    server = EmbeddedServer(config)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
    while not server.started:
        if task.done():
            await task
            raise ConfigurationError("the application's startup failed")
        await asyncio.sleep(0.001)
    return Listening(server, task, sock.getsockname()[1])


def _bind(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _calm_collector() -> None:
    """Tell the garbage collector that what is there now stays, and that many objects will come.

    A server keeps objects for every connection; looking through all of them again and
    again while clients connect would cost a third of the time of a connection. What is
    looked through at once is small, so that nobody waits for it for long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 100)


def run(
    app: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 3000,
    workers: int = 1,
    reload: bool = False,
    import_string: str | None = None,
    **options: Any,
) -> None:
    """Serve ``app`` until the process is told to stop (blocking).

    Several ``workers``, and ``reload``, start processes of their own, which import the
    application by its ``import_string`` (``"module:name"``). Further options are uvicorn's.
    """
    if (reload or workers > 1) and import_string is None:
        raise ConfigurationError(
            "several workers, or reload, need the application's name: telex serve module:io"
        )
    target = import_string if reload or workers > 1 else app
    config = _config(target, host, port, workers=workers, reload=reload, **options)
    server = uvicorn.Server(config)
    _calm_collector()
    if config.should_reload:
        ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
    elif config.workers > 1:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    else:
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
