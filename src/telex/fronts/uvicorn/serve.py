"""Serving with uvicorn: its process manager, TLS and reloader, with the fast WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import ChangeReload, Multiprocess

from ..._log import shown
from ..._logging import with_telex
from ...config import duration, hint
from ...errors import ConfigurationError, UnknownOptionError
from ..asgi.app import AsgiFront
from .announce import announcement
from .shared import hang_up, stop

BACKLOG = 4096
_GLANCE = 0.1
GRACE = 10
"""How long open requests may take when the server stops, in seconds."""

_HTTP = "telex.fronts.uvicorn.protocol:FastHttpProtocol"


_log = logging.getLogger("uvicorn.error")
"""Where the host tells that it runs: the lines about telex stand beside its own."""


class OrderlyServer(uvicorn.Server):
    """uvicorn's server, which closes in order on SIGHUP, too, and ends at once when told twice."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Close on SIGHUP, unless the process is to ignore it (nohup); Windows has none."""
        with super().capture_signals():
            hangup = getattr(signal, "SIGHUP", None)
            main = threading.current_thread() is threading.main_thread()
            if hangup is None or not main or signal.getsignal(hangup) is not signal.SIG_DFL:
                yield
                return
            signal.signal(hangup, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(hangup, signal.SIG_DFL)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come: the second Ctrl-C ends the process."""
        if sig == signal.SIGINT and self.should_exit:
            # Handlers that do not end, and threads, would hold up any other way out.
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, without a wait for connections that are to end anyway."""
        hang_up(self.server_state)  # uvicorn fails on some that are half closed
        await asyncio.sleep(0)
        await super().shutdown(sockets)


class HostServer(OrderlyServer):
    """uvicorn's server that tells what telex serves, and can spread the disconnections."""

    def __init__(self, config: uvicorn.Config, app: Any, drain: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain = drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and tell where."""
        await super().startup(sockets)
        if self.started:
            _announce(self._app, self.config, [s for one in self.servers for s in one.sockets])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no connections any more, send the clients away, then stop."""
        front = _front(self._app)
        if self._drain > 0 and front is not None:
            for server in self.servers:
                server.close()
            closing = asyncio.ensure_future(front.close_connections(self._drain))
            while not (closing.done() or self.force_exit):
                await asyncio.wait([closing], timeout=_GLANCE)
        await super().shutdown(sockets)
        _remove_socket(self.config)


def _front(app: object) -> AsgiFront | None:
    """The front of a telex server; other applications have none."""
    front = getattr(app, "front", None)
    return front if isinstance(front, AsgiFront) else None


def _remove_socket(config: uvicorn.Config) -> None:
    """A Unix socket is a file, which stays unless it is removed."""
    if config.uds is not None:
        with contextlib.suppress(OSError):
            os.unlink(config.uds)


def _announce(app: Any, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    """Tell where the server listens, and whom it admits."""
    host: str | None = None
    if config.uds is not None:
        address = f"unix:{config.uds}:"
    elif config.fd is not None:
        address = f"file descriptor {config.fd}: "
    else:
        host, port = config.host, sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        address = f"{'https' if config.is_ssl else 'http'}://{name}:{port}"
    for line in announcement(_front(app), address, host):
        _log.info("%s", shown(line))


class EmbeddedServer(OrderlyServer):
    """uvicorn's server without its signal handlers: the loop's owner decides about those."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Listening:
    """A server that runs in a loop of the application's; ``port`` is where it listens."""

    def __init__(self, server: EmbeddedServer, task: asyncio.Task[None], port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def stop(self) -> None:
        """Stop listening and wait until everything has ended."""
        self._server.should_exit = True
        await self._task
        stop(self._server.server_state)


def _config(app: Any, host: str, port: int, **options: Any) -> uvicorn.Config:
    known = inspect.signature(uvicorn.Config).parameters
    for name in options:
        if name not in known:
            raise UnknownOptionError(f"unknown option {name!r}: {hint(name, known)}")
    settings: dict[str, Any] = {
        "host": host,
        "port": port,
        "http": _HTTP,
        "ws": "telex.fronts.uvicorn.host_websocket:HostWebSocket",
        "lifespan": "auto",
        "backlog": BACKLOG,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
        **options,
    }
    return uvicorn.Config(app, **settings)


async def listen(app: Any, *, host: str, port: int, **options: Any) -> Listening:
    """Serve ``app`` in the running loop; return when it accepts connections."""
    config = _config(app, host, port, **{"log_config": None, "access_log": False, **options})
    sock = _bind(host, port)
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
    looked through at once is small, so that clients do not wait for it for long.
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
    drain: float = 0.0,
    **options: Any,
) -> None:
    """Serve ``app`` until the process is told to stop (blocking).

    Several ``workers``, and ``reload``, start processes of their own, which import the
    application by its ``import_string`` (``"module:name"``). When the server is told to
    stop, the disconnections are spread over ``drain`` seconds, which needs one process that
    serves a ``telex.Server``. Further options are uvicorn's.
    """
    if (reload or workers > 1) and import_string is None:
        raise ConfigurationError(
            "several workers, or reload, need the application's name: telex serve module:io"
        )
    target = import_string if reload or workers > 1 else app
    if drain:
        duration("drain", drain)
    if drain and (target is not app or _front(app) is None):
        raise ConfigurationError(
            "drain needs a telex.Server that runs in one process, without workers and reload;"
            " an application that contains one closes it by itself: await io.close(drain=…)"
        )
    if "log_config" not in options:
        options["log_config"] = with_telex(LOGGING_CONFIG, options.get("log_level"))
    config = _config(target, host, port, workers=workers, reload=reload, **options)
    _calm_collector()
    if config.should_reload or config.workers > 1:
        sockets = [config.bind_socket()]
        _announce(app, config, sockets)
        if config.should_reload:
            ChangeReload(config, target=OrderlyServer(config).run, sockets=sockets).run()
        else:
            Multiprocess(config, sockets=sockets).run()
        _remove_socket(config)
    else:
        with contextlib.suppress(KeyboardInterrupt):
            HostServer(config, app, drain).run()
