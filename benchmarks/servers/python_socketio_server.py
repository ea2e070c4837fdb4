"""The comparison's server on python-socketio: ASGI under uvicorn, with the fastest parts it has.

    python -m benchmarks.servers.python_socketio_server [--parser json|msgpack]
                                                        [--ping-interval SECONDS]

uvloop, httptools and the websockets-sansio implementation, no access log, everything else as
python-socketio's documentation starts it.
"""

import argparse
import asyncio
import importlib
import socket
from typing import Any

import uvicorn
import uvloop

from benchmarks.servers.watch import Watch

# The package has no type information.
socketio: Any = importlib.import_module("socketio")


def make_server(parser: str, ping_interval: float) -> Any:
    """The server with its handlers; `namespaces="*"` lets clients into all that are named."""
    server = socketio.AsyncServer(
        async_mode="asgi",
        namespaces="*",
        ping_interval=ping_interval,
        serializer="msgpack" if parser == "msgpack" else "default",
    )
    watch = Watch()

    async def echo(sid: str, argument: Any) -> Any:
        return argument

    async def bcast(sid: str, payload: Any) -> None:
        await server.emit("msg", payload)

    async def bcast_in_namespace(namespace: str, sid: str, payload: Any) -> None:
        await server.emit("msg", payload, namespace=namespace)

    async def room(sid: str, rooms: Any, payload: Any) -> None:
        await server.emit("msg", payload, to=rooms)

    async def join(sid: str, rooms: list[str]) -> int:
        for name in rooms:
            await server.enter_room(sid, name)
        return len(rooms)

    async def ask(sid: str, payload: Any) -> int:
        # Its acknowledgements come one by one; somebody has to count them.
        wanted = sum(1 for _ in server.manager.get_participants("/", None))
        all_have = asyncio.get_running_loop().create_future()
        answers: list[Any] = []

        def answered(*answer: Any) -> None:
            answers.append(answer)
            if len(answers) == wanted:
                all_have.set_result(None)

        await server.emit("msg", payload, callback=answered)
        await all_have
        return len(answers)

    async def setup(sid: str, wanted: dict[str, int]) -> bool:
        for number in range(wanted.get("rooms", 0)):
            await server.enter_room(sid, f"held{number}")
        for number in range(wanted.get("namespaces", 0)):
            # Namespaces begin to exist with their handlers.
            server.on("echo", echo, namespace=f"/n{number}")
        return True

    async def start_watch(sid: str) -> bool:
        watch.start()
        return True

    async def watched(sid: str) -> float:
        return watch.stop()

    async def waiting_echo(sid: str, argument: Any) -> Any:
        await asyncio.sleep(0)
        return argument

    async def enter_crowd(sid: str, environ: Any, auth: Any) -> None:
        if not auth or auth.get("token") != "secret":
            raise socketio.exceptions.ConnectionRefusedError("who is it?")
        await server.enter_room(sid, "crowd", namespace="/crowd")

    async def kick(sid: str) -> None:
        connections = [one for _, one in server.manager.get_participants("/crowd", None)]
        for connection in connections:
            await server.eio.disconnect(connection)

    handlers = {
        "echo": echo,
        "typed": echo,
        "binary": echo,
        "bcast": bcast,
        "room": room,
        "join": join,
        "ask": ask,
        "setup": setup,
        "watch": start_watch,
        "watched": watched,
    }
    for name, handler in handlers.items():
        server.on(name, handler)
    server.on("bcast", bcast_in_namespace, namespace="*")
    server.on("echo", waiting_echo, namespace="/waiting")
    server.on("echo", echo, namespace="/guarded")  # there are no middlewares of events
    server.on("connect", enter_crowd, namespace="/crowd")
    server.on("kick", kick, namespace="/crowd")
    return server


async def main() -> None:
    """Serve on a free port until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parser", choices=["json", "msgpack"], default="json")
    parser.add_argument("--ping-interval", type=float, default=25)
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        socketio.ASGIApp(make_server(arguments.parser, arguments.ping_interval)),
        ws="websockets-sansio",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
    print(f"PORT {listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
