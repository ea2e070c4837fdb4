"""The seam between a cluster's adapters and what carries their messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .messages import ClusterMessage


class Broker(Protocol):
    """Carries messages between the servers of a cluster.

    The messages of one server and namespace arrive in the order in which they were published, once
    or, if they are lost, never. Whether a server receives its own is up to the broker.
    """

    async def start(
        self, nsp: str, node: str, on_message: Callable[[ClusterMessage], object]
    ) -> None:
        """Receive what is published for a namespace, and the responses to ``node``.

        ``on_message`` is called on the running loop. Returns when nothing is missed any more.
        """
        ...

    async def publish(self, message: ClusterMessage) -> None:
        """Send a message to all servers; returns when it has been taken."""
        ...

    async def publish_response(self, node: str, message: ClusterMessage) -> None:
        """Send a message to one server."""
        ...

    async def close(self, nsp: str, node: str) -> None:
        """End what ``start`` began: receive nothing for a namespace any more."""
        ...
