"""What a session's host tells users, in which order."""

from __future__ import annotations

from functools import partial

import pytest

import telex
from telex import ConnectError
from tests.client.unit.scripted import Scripted
from tests.features.scripts import Calls, until


@pytest.mark.parametrize("event", ["handshake", "open"])
async def test_closing_while_it_opens(event: str) -> None:
    """A handler closes the connection: nothing is fired after ``close``."""
    async with Scripted() as server:
        engine = telex.connect_engine(server.url, path="/socket.io")
        log = Calls()

        def noted(name: str, *_: object) -> None:
            log(name)

        for name in ("handshake", "open", "close"):
            engine.on(name, partial(noted, name))
        engine.on(event, engine.close)
        if event == "handshake":
            with pytest.raises(ConnectError):
                await engine
        await engine.wait_closed()
        await until(lambda: "close" in log.first)
        assert log.first == ["handshake", *(["open"] if event == "open" else []), "close"]
