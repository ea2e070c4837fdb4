"""The shapes of load that are compared, and what telex is to reach in each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Workload = Literal["echo", "typed", "binary", "fanout", "ask", "connect"]
Reading = Literal["cpu_us", "bytes_per_connection", "close_cpu_us"]

Role = Literal["floor", "rival", "runtime", "telex", "async", "pure", "asgi", "other"]
"""What a contender is compared for; a `runtime` takes part in the shapes, not in the studies."""

ALL_ROLES: frozenset[Role] = frozenset(
    {"floor", "rival", "runtime", "telex", "async", "pure", "asgi", "other"}
)
WITHOUT_HANDLERS: frozenset[Role] = ALL_ROLES - {"async"}
RIVALS: frozenset[Role] = frozenset({"rival", "runtime", "telex", "other"})
STUDIED: frozenset[Role] = frozenset({"rival", "telex", "other"})
BARE: frozenset[Role] = frozenset({"floor", "rival", "telex", "other"})

MESSAGES = {
    "echo": "message",
    "typed": "message",
    "binary": "message",
    "fanout": "delivery",
    "ask": "acknowledged delivery",
    "connect": "connection",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Goals:
    """How telex is to stand in one shape; a goal that is `None` is not set."""

    node: float | None = None
    """Times less than Node."""
    python_socketio: float | None = None
    """Times less than python-socketio."""
    floor: float | None = None
    """At most this many times what the kernel alone costs."""
    most: float | None = None
    """At most this, in the shape's unit."""


AHEAD = Goals(node=1, python_socketio=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One kind of load: what the generator does, what is read off, what is hoped for."""

    name: str
    title: str
    workload: Workload
    connections: int
    goals: Goals = Goals()
    roles: frozenset[Role] = ALL_ROLES
    """Who takes part."""
    window: int = 1
    payload: int = 64
    transport: Literal["websocket", "polling", "upgrade"] = "websocket"
    parser: Literal["json", "msgpack"] = "json"
    namespace: str = ""
    namespaces: int = 0
    """The clients are spread over so many, whose names begin with `namespace`."""
    auth: str = ""
    rooms: int = 0
    members: int = 1
    """Clients in every room."""
    named: int = 1
    """Rooms that one emit names."""
    urgent: bool = False
    """The generator goes before other processes of its core."""
    setup: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the servers are asked to have (`rooms`, `namespaces`) before the load begins."""
    fresh: bool = False
    """Every reading is taken from a process that has just started."""
    reads: Reading = "cpu_us"
    """Where the figure stands in what the generator says about a slice."""
    large: bool = False
    """Only part of a full run."""

    @property
    def memory(self) -> bool:
        """Whether it reads the memory of idle connections instead of CPU time."""
        return self.reads == "bytes_per_connection"

    @property
    def core(self) -> bool:
        """Whether it stands in the table of the first goals: echo, fan-out, connections."""
        return self.roles != RIVALS

    @property
    def unit(self) -> str:
        """What one figure of this shape counts."""
        if self.memory:
            return "bytes per idle connection"
        if self.reads == "close_cpu_us":
            return "µs per disconnect"
        return f"µs per {MESSAGES[self.workload]}"

    @property
    def generator_arguments(self) -> list[str]:
        """The shape in the words of the load generator."""
        numbers = {
            "--connections": self.connections,
            "--window": self.window,
            "--payload": self.payload,
            "--namespaces": self.namespaces,
            "--rooms": self.rooms,
            "--members": self.members,
            "--named": self.named,
        }
        words = {
            "--transport": self.transport,
            "--parser": self.parser,
            "--namespace": self.namespace,
            "--auth": self.auth,
        }
        arguments = [self.workload, *(["--urgent"] if self.urgent else [])]
        for option, value in {**numbers, **words}.items():
            if value:
                arguments += [option, str(value)]
        return arguments


CORE = (
    Shape(
        name="echo",
        title="echo, 100 clients, 1 in flight",
        workload="echo",
        connections=100,
        goals=Goals(node=2.5, python_socketio=10),
    ),
    Shape(
        name="echo-8",
        title="echo, 100 clients, 8 in flight",
        workload="echo",
        connections=100,
        window=8,
        goals=Goals(node=5, python_socketio=30),
    ),
    Shape(
        name="fanout-100",
        title="fan-out to 100",
        workload="fanout",
        connections=100,
        goals=Goals(node=1.5, python_socketio=8, floor=1.3),
    ),
    Shape(
        name="fanout-1000",
        title="fan-out to 1,000",
        workload="fanout",
        connections=1000,
        goals=Goals(node=1.8, python_socketio=8, floor=1.3),
    ),
    Shape(
        name="fanout-100-8",
        title="fan-out to 100, 8 in flight",
        workload="fanout",
        connections=100,
        window=8,
        goals=Goals(node=5, python_socketio=30),
    ),
    Shape(
        name="connect-2000",
        title="connect 2,000 to a fresh process",
        workload="connect",
        connections=2000,
        roles=WITHOUT_HANDLERS,
        fresh=True,
        goals=Goals(node=2, python_socketio=4),
    ),
    Shape(
        name="idle-2000",
        title="memory of 2,000 idle connections",
        workload="connect",
        connections=2000,
        roles=WITHOUT_HANDLERS,
        fresh=True,
        reads="bytes_per_connection",
        goals=Goals(node=2, python_socketio=5, most=8192),
    ),
    Shape(
        name="reconnect-2000",
        title="connect 2,000 again",
        workload="connect",
        connections=2000,
        roles=WITHOUT_HANDLERS,
        goals=Goals(node=2, python_socketio=4),
    ),
    Shape(
        name="connect-10000",
        title="connect 10,000 to a fresh process",
        workload="connect",
        connections=10_000,
        roles=WITHOUT_HANDLERS,
        fresh=True,
        large=True,
        goals=Goals(node=2, python_socketio=4),
    ),
    Shape(
        name="idle-10000",
        title="memory of 10,000 idle connections",
        workload="connect",
        connections=10_000,
        roles=WITHOUT_HANDLERS,
        fresh=True,
        reads="bytes_per_connection",
        large=True,
        goals=Goals(node=2, python_socketio=5, most=8192),
    ),
    Shape(
        name="reconnect-10000",
        title="connect 10,000 again",
        workload="connect",
        connections=10_000,
        roles=WITHOUT_HANDLERS,
        large=True,
        goals=Goals(node=2, python_socketio=4),
    ),
)

BEYOND = (
    Shape(
        name="rooms",
        title="emits to one of 1,000 rooms of 10",
        workload="fanout",
        connections=1000,
        rooms=1000,
        members=10,
        window=8,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="rooms-overlap",
        title="emits to three overlapping rooms",
        workload="fanout",
        connections=1000,
        rooms=1000,
        members=10,
        named=3,
        window=8,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="namespaces",
        title="emits to one of 100 namespaces of 10",
        workload="fanout",
        connections=1000,
        namespace="/n",
        namespaces=100,
        setup={"namespaces": 100},
        window=8,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="waiting",
        title="echo by handlers that wait",
        workload="echo",
        connections=100,
        namespace="/waiting",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="waiting-8",
        title="echo by handlers that wait, 8 in flight",
        workload="echo",
        connections=100,
        namespace="/waiting",
        window=8,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="guarded",
        title="echo behind a middleware of the socket",
        workload="echo",
        connections=100,
        namespace="/guarded",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="typed",
        title="echo of a typed argument of 1 KB",
        workload="typed",
        connections=100,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="binary",
        title="echo of an attachment of 64 KB",
        workload="binary",
        connections=20,
        payload=65536,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="broadcast-ack",
        title="fan-out to 100 with acknowledgements",
        workload="ask",
        connections=100,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="msgpack-echo",
        title="msgpack: echo, 8 in flight",
        workload="echo",
        connections=100,
        window=8,
        parser="msgpack",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="msgpack-fanout",
        title="msgpack: fan-out to 100, 8 in flight",
        workload="fanout",
        connections=100,
        window=8,
        parser="msgpack",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="polling",
        title="long-polling: echo, 1 in flight",
        workload="echo",
        connections=50,
        transport="polling",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="polling-8",
        title="long-polling: echo, 8 in flight",
        workload="echo",
        connections=50,
        window=8,
        transport="polling",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="handshake-polling",
        title="connect over long-polling",
        workload="connect",
        connections=500,
        transport="polling",
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="handshake-websocket",
        title="connect over WebSocket",
        workload="connect",
        connections=500,
        roles=RIVALS,
        goals=AHEAD,
    ),
    Shape(
        name="upgrade",
        title="connect over long-polling and upgrade",
        workload="connect",
        connections=500,
        transport="upgrade",
        roles=RIVALS,
        goals=AHEAD,
    ),
)

SHAPES = CORE + BEYOND
