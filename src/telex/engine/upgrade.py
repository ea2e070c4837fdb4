"""The probe: a second transport that a session may move to."""

from __future__ import annotations

from collections.abc import Callable

from .heartbeat import Heartbeat
from .packet import (
    PROBE,
    PROBE_ANSWER,
    UPGRADE,
)
from .transport import Transport


class Probe:
    """A transport that is being tried, while the session goes on over polling.

    Engine.IO, Upgrade: the client sends ``2probe``, the server answers ``3probe`` and
    keeps releasing the polls; when the client has stopped polling it sends ``5``. Some
    devices send nothing but the ``5``. Any other packet, or silence, closes the new
    transport; the session is not affected.
    """

    __slots__ = ("_done", "_ended", "_heartbeat", "_probed", "_release", "_transport")

    def __init__(
        self,
        transport: Transport,
        heartbeat: Heartbeat,
        release: Callable[[], None],
        ended: Callable[[Transport, bool], None],
    ) -> None:
        self._transport = transport
        self._heartbeat = heartbeat
        self._release = release
        self._ended = ended
        self._done = False
        self._probed = False
        heartbeat.upgrade.start(self)

    def receive(self, data: str | bytes) -> bool:
        """Take a message from the new transport; whether the session has moved to it."""
        if data == PROBE:
            if not self._probed:
                # A server that was held up answers late: the client has the whole time from now.
                self._probed = True
                self._heartbeat.upgrade.start(self)
            self._transport.send([PROBE_ANSWER])
            self.release_poll()
        elif data == UPGRADE:
            self._finish(upgraded=True)
            return True
        else:
            self.abandon()
        return False

    def release_poll(self) -> None:
        """Release a pending poll, now and again until the client has stopped polling."""
        self._release()
        self._heartbeat.noop.start(self)

    def timed_out(self) -> None:
        """``upgrade_timeout`` has passed."""
        upgrade = self._heartbeat.upgrade
        self._heartbeat.notes.note("upgrade_timeout", f"no upgrade within {upgrade.delay:g} s")
        self.abandon()

    def transport_ended(self, transport: Transport, reason: str) -> None:
        """The new transport has gone; the session stays where it is."""
        self._finish(upgraded=False)

    def drained(self) -> None:
        """Nothing waits for a transport that is being tried."""

    def abandon(self) -> None:
        """Close the new transport; the session stays where it is."""
        if not self._done:
            self._finish(upgraded=False)
            self._transport.close()

    def _finish(self, *, upgraded: bool) -> None:
        if self._done:  # its connection ends later than it: the session may be trying another
            return
        self._done = True
        self._heartbeat.upgrade.stop(self)
        self._heartbeat.noop.stop(self)
        self._ended(self._transport, upgraded)
