"""What a user may not write: a type checker complains about each line that ends in `# error`."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware

import telex
from telex import EngineServer, Manager, Server, Socket, connect, connect_engine

Server(pingInterval=25)  # error
Server(ping_intervall=25)  # error
Server(ping_interval="25")  # error
Server(transports=["flashsocket"])  # error
Server(cors={"origin": "*"})  # error
Server(cookie={"httpOnly": True})  # error
Server(connection_state_recovery={"max_disconnection_duration": "2 min"})  # error
Server(slow_consumer="wait")  # error
Server(id_source="uuid")  # error
Server(parser="xml")  # error
Server(adapter=5)  # error
Server(allow_request=lambda: True)  # error
EngineServer(connect_timeout=45)  # error
EngineServer(http_compression="gzip")  # error

connect("http://localhost:3000", reconection=True)  # error
connect("http://localhost:3000", timeout="20")  # error
connect("http://localhost:3000", transports="pooling")  # error
connect("http://localhost:3000", transport_options={"polling": {"header": {}}})  # error
connect("http://localhost:3000", headers={"X-Token": None})  # error
connect_engine("http://localhost:3000", auth={"token": 1})  # error
connect_engine("http://localhost:3000", ssl=True)  # error
Manager("http://localhost:3000", reconnection_attempts="3")  # error
Manager("http://localhost:3000", ping_interval=25)  # error
telex.sync.connect("http://localhost:3000", reconection=True)  # error
telex.sync.connect("http://localhost:3000", retries="many")  # error
telex.sync.connect_engine("http://localhost:3000", retries=2)  # error
telex.sync.Manager("http://localhost:3000", autoConnect=False)  # error


async def served(io: Server, engine: EngineServer, socket: Socket) -> None:
    await io.listen(0, acces_log=True)  # error
    await engine.listen(0, workers=2)  # error
    io.run(3000, ssl_keyfile=1)  # error
    engine.run(3000, drain="5")  # error
    io.emit("news", room="a")  # error
    io.engine.use(CORSMiddleware, allow_origin="*")  # error
    socket.server.emits("news")  # error
    print(socket.conn.transport.nam)  # error
    connect("http://localhost:3000").io.reconnexion = False  # error
    telex.sync.connect("http://localhost:3000").io.opn()  # error
