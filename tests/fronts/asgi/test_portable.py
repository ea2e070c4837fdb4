"""A telex server under another ASGI host needs nothing of uvicorn."""

from __future__ import annotations

import subprocess
import sys

_SERVE_WITH_HYPERCORN = """
import asyncio, sys, urllib.request
from hypercorn.asyncio import serve
from hypercorn.config import Config
import telex

io = telex.Server()


async def main():
    sock = __import__("socket").create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{sock.fileno()}"]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(io, config, shutdown_trigger=stop.wait))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}/socket.io/?EIO=4&transport=polling"
    answer = await asyncio.to_thread(urllib.request.urlopen, url, timeout=30)
    print(answer.status, answer.read()[:7])
    answer.close()
    stop.set()
    await serving


asyncio.run(main())
print(sorted({"uvicorn", "httptools"} & sys.modules.keys()))
"""


def test_a_server_under_hypercorn_imports_neither_uvicorn_nor_httptools() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SERVE_WITH_HYPERCORN],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["200 b'0{\"sid\"'", "[]"], done.stderr
