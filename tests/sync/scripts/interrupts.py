"""Ctrl-C while telex.sync waits: the test sends it each time this program says `waiting`."""

from __future__ import annotations

import sys
from collections.abc import Callable

import telex

url, silent = sys.argv[1:]
socket = telex.sync.connect(url, reconnection=False)


def interrupted(wait: Callable[[], object]) -> None:
    """Wait until the interrupt comes."""
    try:
        print("waiting", flush=True)
        wait()
    except KeyboardInterrupt:
        return
    raise AssertionError("nobody has interrupted it")


interrupted(socket.receive)
interrupted(socket.wait)
interrupted(lambda: socket.emit_with_ack("nobody handles this"))
interrupted(lambda: telex.sync.connect(silent, timeout=None))
interrupted(lambda: telex.sync.connect_engine(silent))
for numbers in range(2):
    interrupted(lambda: list(socket))
    socket.emit("echo", numbers)
    assert socket.receive(timeout=10) == ["echo", numbers]
print("waiting", flush=True)
socket.wait()
