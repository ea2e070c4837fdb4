"""telex.sync and processes that fork."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

import telex
from telex.sync import ClientSocket


def child(inherited: ClientSocket, url: str) -> None:
    """What happens in a child process."""
    assert (inherited.connected, inherited.active, inherited.id) == (False, False, None)
    engine = inherited.io.engine
    assert engine is not None
    assert inherited.io.ready_state == engine.ready_state == "closed"
    for call in (inherited.connect, inherited.disconnect, lambda: inherited.emit("echo")):
        try:
            call()
        except telex.ConfigurationError:
            continue
        raise AssertionError("the socket of the parent was used")
    with telex.sync.connect(url) as own:
        assert own.emit_with_ack("answer", "child", timeout=20) == "child"
        assert "telex loop" in [thread.name for thread in threading.enumerate()]
    assert threading.active_count() == 1


def main(url: str) -> None:
    socket = telex.sync.connect(url, transports=["websocket"])
    polling = telex.sync.connect(url, transports=["polling"])
    with polling:
        number = os.fork()
        if not number:
            child(socket, url)
            sys.exit(0)
        assert os.waitpid(number, 0)[1] == 0
    polling.connect()
    process = multiprocessing.get_context("fork").Process(target=child, args=(polling, url))
    process.start()
    process.join()
    assert process.exitcode == 0
    for mine in (socket, polling):
        assert mine.emit_with_ack("answer", "parent", timeout=20) == "parent"
        mine.disconnect()
    assert threading.active_count() == 1

    # A child does not keep the parent's connections open: here it outlives the parent.
    print(socket.connect().id, flush=True)
    if os.fork():
        os._exit(0)
    sys.stdin.readline()
    print("done", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
