"""telex: Socket.IO for Python."""

from ._version import __version__
from .app import EngineServer, Server
from .errors import (
    AckTimeout,
    ConfigurationError,
    ConnectError,
    Disconnected,
    EncodeError,
    PacketError,
    ProtocolError,
    TelexError,
    UnknownOptionError,
)
from .server.acks import Ack
from .server.namespace import Namespace
from .server.operators import BroadcastOperator
from .server.socket import Socket
from .types import Request

__all__ = [
    "Ack",
    "AckTimeout",
    "BroadcastOperator",
    "ConfigurationError",
    "ConnectError",
    "Disconnected",
    "EncodeError",
    "EngineServer",
    "Namespace",
    "PacketError",
    "ProtocolError",
    "Request",
    "Server",
    "Socket",
    "TelexError",
    "UnknownOptionError",
    "__version__",
]
