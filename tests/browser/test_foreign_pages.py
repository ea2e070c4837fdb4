"""Pages of other origins in a real browser: scripts, images, frames and forms need no CORS."""

from __future__ import annotations

import asyncio
from pathlib import Path

from telex import Server, Socket
from tests.support.node import JsonObject, run_script

FOREIGN = Path(__file__).parent / "foreign.js"


async def test_they_open_nothing_and_read_nothing(browser: str) -> None:
    """`localhost` is another site than `127.0.0.1`; another port of it is another origin.

    A page of the server itself reaches it by JSONP.
    """
    sites: list[str] = []
    home, io = Server(), Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        sites.append(socket.handshake.headers["sec-fetch-site"])
        socket.emit("private", "for you")

    await home.listen(port=0)
    await io.listen(port=0)
    server = f"http://127.0.0.1:{io.port}"
    pages = [f"http://localhost:{home.port}", f"http://127.0.0.1:{home.port}", server]
    scenario = {
        "endpoint": browser,
        "policies": ["no-referrer", "unsafe-url"],
        "visits": [
            {"page": f"{page}/socket.io/socket.io.min.js.map", "server": server} for page in pages
        ],
    }

    def play() -> JsonObject:
        return run_script(FOREIGN, scenario, timeout=60)[0]

    try:
        read: list[list[str]] = (await asyncio.to_thread(play))["read"]
    finally:
        await io.close()
        await home.close()
    assert read[:4] == [[]] * 4
    assert all("for you" in "".join(payloads) for payloads in read[4:])
    assert set(sites) == {"same-origin"}
