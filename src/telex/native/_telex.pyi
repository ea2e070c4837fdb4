from collections.abc import Callable
from typing import Any

from ..engine.flow import Flow as Flow
from ..engine.session import Session
from ..wire import EncodedPacket

SOURCE: int
"""A checksum of the sources that were compiled."""

def configure(
    loads: Callable[[bytes], Any],
    dumps: Callable[[Any, Callable[[Any], Any], int], bytes],
    take_apart: Callable[[Any], Any],
    options: int,
    reserved: frozenset[str],
    struct: type,
    /,
) -> None: ...

class Reactor:
    @property
    def count(self) -> int: ...
    def fileno(self) -> int: ...
    def poll(self) -> None: ...

class Channel:
    session: Session | None
    deaf: bool
    writable: bool
    def open(
        self,
        reactor: Reactor,
        fd: int,
        head: bytes,
        frames: Callable[[EncodedPacket], bytes] | None,
        max_size: int,
        /,
    ) -> None: ...
    @property
    def unsent(self) -> int: ...
    def feed(self, data: bytes, /) -> None: ...
    def write(self, data: bytes, /) -> None: ...
    def send(self, packets: list[EncodedPacket]) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def finish(self, *, drop: bool = False) -> bool: ...
