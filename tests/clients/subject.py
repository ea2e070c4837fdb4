"""The server under test: telex, or Node's socket.io with `TELEX_BEHAVIOUR_SERVER=node`.

Node's server shows that the suite asks for what Socket.IO does, and not for what telex does.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.clients import topics
from tests.clients.javascript import Generation, Transport
from tests.clients.topics import Topic
from tests.support.node import node
from tests.support.servers import ServerProcess, start_application

REFERENCE = os.environ.get("TELEX_BEHAVIOUR_SERVER", "telex") == "node"


def start_server(*arguments: str, port: int = 0) -> ServerProcess:
    if not REFERENCE:
        return start_application("behaviour", *arguments, port=port)
    script = Path(__file__).with_name("reference_server.js")
    return ServerProcess([node(), str(script), "--port", str(port), *arguments])


def expected_of_server(generation: Generation, transport: Transport, topic: Topic) -> bool:
    """Whether the server under test is known to do this."""
    if not REFERENCE:
        return True
    # Node's server takes the text of 1.x over polling, which is encoded twice, for plain text:
    # what the client says is garbled, and what it is told breaks the connection.
    texts = (topics.text, topics.text_acks, topics.binary, topics.binary_acks, topics.rooms)
    texts_before_upgrade = (topics.refusal, topics.namespace, topics.namespaces_at_once)
    if generation == 1 and transport != "websocket" and topic in texts_before_upgrade:
        return False
    if generation == 1 and transport == "polling" and topic in texts:
        return False
    # It refuses an unknown namespace to 1.x and 2.x with an object where theirs sent a string.
    return not (generation < 3 and topic is topics.unknown_namespace)


def expected_to_notice_silence(generation: Generation, transport: Transport) -> bool:
    """Whether the server under test is known to notice a client that falls silent."""
    # Node's server drops its deadline for 1.x and 2.x at the upgrade, until they ping again.
    return not (REFERENCE and generation < 3 and transport == "upgrade")
