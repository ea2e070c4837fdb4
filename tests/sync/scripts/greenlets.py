"""telex.sync in a process whose threads gevent has replaced."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

# gevent has no types.
gevent: Any = import_module("gevent")
event: Any = import_module("gevent.event")
monkey: Any = import_module("gevent.monkey")
queue: Any = import_module("gevent.queue")
threadpool: Any = import_module("gevent.threadpool")

monkey.patch_all()

import telex  # noqa: E402

get_ident = monkey.get_original("_thread", "get_ident")
main = get_ident()
url = sys.argv[1].replace("127.0.0.1", "localhost")  # the name is looked up, too
turns = 0


def others() -> None:
    """What runs while others wait."""
    global turns
    while True:
        gevent.sleep(0.001)
        turns += 1


def passed(wait: Any) -> None:
    before = turns
    wait()
    assert turns > before, "nobody else ran meanwhile"


def counts() -> tuple[int, int]:
    """Threads and open files."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


background = gevent.spawn(others)
sockets: list[telex.sync.ClientSocket] = []
passed(lambda: sockets.append(telex.sync.connect(url, reconnection=False)))
[socket] = sockets

# Handlers run in greenlets of the main thread, and may block.
answered = queue.Queue()


@socket.on("question")
def question(*args: object) -> Any:
    assert get_ident() == main
    gevent.sleep(0.001)
    return socket.emit_with_ack("answer", *args, timeout=10)


@socket.on("answered")
def answers(values: list[Any]) -> None:
    assert get_ident() == main
    answered.put(values)


@socket.on("number", concurrent=True)
def number(count: int) -> None:
    assert get_ident() == main


@socket.on("echo")
async def echo(what: str) -> None:
    assert get_ident() != main, "the loop has a thread of the operating system"


socket.emit("push", 3)
socket.emit("echo", "async")
socket.emit("ask", 1, 2)
assert answered.get(timeout=10) == [1, 2]


# Many greenlets at once, and a thread that is one.
def work(which: int) -> list[Any]:
    return [socket.emit_with_ack("answer", which, n, timeout=20) for n in range(10)]


jobs = [gevent.spawn(work, which) for which in range(10)]
gevent.joinall(jobs, raise_error=True)
assert [job.value for job in jobs] == [[(which, n) for n in range(10)] for which in range(10)]
assert threadpool.ThreadPool(1).apply(work, (0,)) == work(0)
passed(lambda: socket.emit_with_ack("answer later", 20, timeout=10))

# Waiting can be given up; the connection stays, and nothing is lost.
try:
    with gevent.Timeout(0.02):
        socket.receive()
except gevent.Timeout:
    pass
else:
    raise AssertionError("there was nothing to receive")
waiting = gevent.spawn(socket.receive)
gevent.sleep(0.01)
waiting.kill()
socket.off("echo")
socket.emit("echo", "kept")
assert socket.receive(timeout=10) == ["echo", "kept"]

# Only a handler can end this wait: gevent must not take it for a deadlock.
background.kill()
over = event.Event()
socket.on("echo", over.set)
socket.emit("echo")
over.wait()

# Nothing is left, however often clients come and go.
socket.disconnect()
before = counts()
for _ in range(3):
    with telex.sync.connect(url) as other:
        assert other.emit_with_ack("answer", 1, timeout=10) == 1
with gevent.Timeout(20):  # threads that look names up take a moment to end
    while any(now > then for now, then in zip(counts(), before, strict=True)):
        gevent.sleep(0.005)
socket.connect()
print("done")
