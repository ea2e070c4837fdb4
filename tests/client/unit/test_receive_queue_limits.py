"""What waits for `receive()` is bounded; what a program leaves open does no harm."""

import asyncio
import os
import subprocess
import sys

import pytest

from telex import Server
from telex.client import receive_queue
from telex.client.receive_queue import ReceiveQueue

LEFT_OPEN = """
import asyncio, sys, telex

async def main():
    socket = await telex.connect(sys.argv[1], transports=[sys.argv[2]])
    await asyncio.sleep(0.05)

asyncio.run(main())
print("done")
"""


async def test_a_heavy_mailbox_drops_the_oldest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(receive_queue, "HEAVIEST", 100)
    mail: ReceiveQueue[str] = ReceiveQueue(10)
    for name in "abcd":
        mail.put(name, 40)
    assert [await mail.get(), await mail.get()] == ["c", "d"]
    assert "oldest 2 were dropped" in caplog.text
    mail.put("alone", 1000)
    assert await mail.get() == "alone"
    assert len(mail) == 0


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_program_that_ends_without_a_word(transport: str) -> None:
    """Python says nothing of resources that were left open."""
    io = Server()
    await io.listen(port=0)
    url = f"http://127.0.0.1:{io.port}"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", LEFT_OPEN, url, transport],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"},
    )
    await io.close()
    assert (done.stdout, done.stderr) == ("done\n", "")
