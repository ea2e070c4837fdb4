"""Closing a connection whose client has gone, before the loop has seen that it has."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from telex.deadlines import Schedule
from telex.fronts.uvicorn.closing import ClosingTransport, LingeringClose
from tests.support.doubles import VirtualClock


def lingering(transport: asyncio.Transport, leaving: Any) -> None:
    LingeringClose(transport, leaving)


def closing(transport: asyncio.Transport, leaving: Any) -> None:
    closing = ClosingTransport(transport, leaving)
    closing.complete = False
    closing.close()


@pytest.mark.parametrize("close", [lingering, closing])
async def test_a_client_that_has_reset_the_connection(
    close: Callable[[asyncio.Transport, Any], None],
) -> None:
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    lost = loop.create_future()

    class Host(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_result(None)

    transport, host = await loop.connect_accepted_socket(Host, accepted)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    close(transport, Schedule(VirtualClock()).timeout(5, lambda _: None))
    assert transport.is_closing()
    transport.set_protocol(host)
    async with asyncio.timeout(10):
        await lost
