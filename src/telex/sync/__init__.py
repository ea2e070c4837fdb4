"""telex for programs that block: scripts, threads, gevent.

One event loop, in a thread that runs while a client is in use, serves them all; its clients
are those of telex. ::

    with telex.sync.connect("http://localhost:3000") as socket:
        print(socket.emit_with_ack("sum", 1, 2, timeout=5))
"""

from .connect import connect, connect_engine
from .engine import ClientEngine
from .manager import Manager
from .socket import ClientSocket

__all__ = ["ClientEngine", "ClientSocket", "Manager", "connect", "connect_engine"]
