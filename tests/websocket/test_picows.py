"""With a version of picows that does not fit, WebSockets take the host's road and clients poll."""

from __future__ import annotations

import subprocess
import sys

import pytest

from telex.websocket import picows

_WITHOUT_ITS_PARTS = """
import asyncio, logging, sys
from picows import picows

{change}
import telex
from websockets.asyncio.client import connect

logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(sys.stdout))
io = telex.Server()


@io.event
def echo(socket, value):
    return value


async def main():
    await io.listen(port=0)
    url = f"ws://127.0.0.1:{{io.port}}/socket.io/?EIO=4&transport=websocket"
    async with connect(url) as websocket:
        print((await websocket.recv())[:7])
    client = await telex.connect(f"http://127.0.0.1:{{io.port}}")
    print(await client.emit_with_ack("echo", 1), client.io.engine.transport.name)
    await client.disconnect()
    try:
        await telex.connect(f"http://127.0.0.1:{{io.port}}", transports=["websocket"])
    except telex.ConnectError as error:
        print("pip install 'picows>=2.3,<3'" in str(error))
    await io.close()


asyncio.run(main())
"""
_CHANGES = {
    "gone": "del picows.WSProtocol",
    "other arguments": """
class WSProtocol(picows.WSProtocol):
    def __init__(self, options):
        pass

picows.WSProtocol = WSProtocol
""",
}


@pytest.mark.parametrize("change", list(_CHANGES))
def test_a_picows_that_does_not_fit(change: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_ITS_PARTS.format(change=_CHANGES[change])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[1:] == ['0{"sid"', "1 polling", "True"], done.stdout + done.stderr
    assert "pip install 'picows>=2.3,<3'" in lines[0]


async def test_the_installed_one_fits() -> None:
    assert picows.problem() is None
