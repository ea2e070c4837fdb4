"""telex: Socket.IO for Python."""

from . import sync
from ._logging import log
from ._version import __version__
from .app import Server
from .client.connect import connect, connect_engine
from .client.engine import ClientEngine
from .client.manager import Manager
from .client.socket import ClientSocket
from .engine_server import EngineServer
from .errors import (
    AckTimeout,
    ClusterTimeout,
    ConfigurationError,
    ConnectError,
    Disconnected,
    EncodeError,
    PacketError,
    ProtocolError,
    PublishError,
    TelexError,
    TransportError,
    UnknownOptionError,
)
from .events.acks import Ack
from .server.broadcast import BroadcastOperator
from .server.class_based import NamespaceHandlers
from .server.dynamic import ParentNamespace
from .server.engine_socket import EngineSocket
from .server.handshake import Handshake
from .server.namespace import Namespace
from .server.remote_socket import RemoteSocket
from .server.socket import Socket
from .types import Request

__all__ = [
    "Ack",
    "AckTimeout",
    "BroadcastOperator",
    "ClientEngine",
    "ClientSocket",
    "ClusterTimeout",
    "ConfigurationError",
    "ConnectError",
    "Disconnected",
    "EncodeError",
    "EngineServer",
    "EngineSocket",
    "Handshake",
    "Manager",
    "Namespace",
    "NamespaceHandlers",
    "PacketError",
    "ParentNamespace",
    "ProtocolError",
    "PublishError",
    "RemoteSocket",
    "Request",
    "Server",
    "Socket",
    "TelexError",
    "TransportError",
    "UnknownOptionError",
    "__version__",
    "connect",
    "connect_engine",
    "log",
    "sync",
]
