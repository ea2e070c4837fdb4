"""The comparison's server on python-socketio: ASGI under uvicorn, with the fastest parts it has.

uvloop, httptools and the websockets-sansio implementation, no access log, everything else as
python-socketio's documentation starts it.
"""

import importlib
import socket
from typing import Any

import uvicorn
import uvloop

# The package has no type information.
socketio: Any = importlib.import_module("socketio")

server = socketio.AsyncServer(async_mode="asgi")


async def echo(sid: str, argument: Any) -> Any:
    return argument


async def bcast(sid: str, payload: Any) -> None:
    await server.emit("msg", payload)


server.on("echo", echo)
server.on("bcast", bcast)


async def main() -> None:
    """Serve on a free port until the process is ended."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        socketio.ASGIApp(server),
        ws="websockets-sansio",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
    print(f"PORT {listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
