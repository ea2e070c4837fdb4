"""The shapes of load that are compared, and what telex is to reach in each."""

from dataclasses import dataclass
from typing import Literal

Workload = Literal["echo", "fanout", "connect"]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One kind of load: what the generator does, what is read off, what is hoped for."""

    name: str
    title: str
    workload: Workload
    connections: int
    goals: Goals
    window: int = 1
    fresh: bool = False
    """Every reading is taken from a process that has just started."""
    memory: bool = False
    """Read the memory of idle connections instead of the CPU time."""
    large: bool = False
    """Only part of a full run."""

    @property
    def unit(self) -> str:
        """What one figure of this shape counts."""
        if self.memory:
            return "bytes per idle connection"
        what = {"echo": "message", "fanout": "delivery", "connect": "connection"}[self.workload]
        return f"µs per {what}"

    @property
    def field(self) -> str:
        """Where the figure stands in what the generator says about a slice."""
        return "bytes_per_connection" if self.memory else "cpu_us"


SHAPES = (
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
        fresh=True,
        goals=Goals(node=2, python_socketio=4),
    ),
    Shape(
        name="idle-2000",
        title="memory of 2,000 idle connections",
        workload="connect",
        connections=2000,
        fresh=True,
        memory=True,
        goals=Goals(node=2, python_socketio=5, most=8192),
    ),
    Shape(
        name="reconnect-2000",
        title="connect 2,000 again",
        workload="connect",
        connections=2000,
        goals=Goals(node=2, python_socketio=4),
    ),
    Shape(
        name="connect-10000",
        title="connect 10,000 to a fresh process",
        workload="connect",
        connections=10_000,
        fresh=True,
        large=True,
        goals=Goals(node=2, python_socketio=4),
    ),
    Shape(
        name="idle-10000",
        title="memory of 10,000 idle connections",
        workload="connect",
        connections=10_000,
        fresh=True,
        memory=True,
        large=True,
        goals=Goals(node=2, python_socketio=5, most=8192),
    ),
    Shape(
        name="reconnect-10000",
        title="connect 10,000 again",
        workload="connect",
        connections=10_000,
        large=True,
        goals=Goals(node=2, python_socketio=4),
    ),
)
