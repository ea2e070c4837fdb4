"""The little of Socket.IO that the doctor speaks: CONNECT and its verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from .case import Case
from .wire import as_object


@dataclass(frozen=True, slots=True)
class Verdict:
    """A server's answer to CONNECT: accepted with ``sid`` and ``pid``, or refused."""

    accepted: bool
    sid: str | None = None
    pid: str | None = None
    message: str = ""
    data: Any = None


def connect_packet(case: Case, namespace: str) -> str:
    """CONNECT to a namespace, as a message of the engine."""
    if case.revision == 3:
        query = f"?{urlencode(case.place.query)}" if case.place.query else ""
        return f"40{namespace}{query}" if namespace != "/" else "40"
    where = "" if namespace == "/" else f"{namespace},"
    auth = "" if case.auth is None else json.dumps(case.auth, separators=(",", ":"))
    return f"40{where}{auth}"


def read_verdict(packet: str | bytes, namespace: str) -> Verdict | None:
    """The verdict about ``namespace`` in a message of the engine, if it is one."""
    if not isinstance(packet, str) or packet[:2] not in ("40", "44"):
        return None
    rest, named = packet[2:], "/"
    if rest.startswith("/"):
        named, _, rest = rest.partition(",")
    if named.partition("?")[0] != namespace:
        return None
    try:
        data: Any = json.loads(rest) if rest else None
    except (ValueError, RecursionError):
        return None
    known = as_object(data)
    if packet[1] == "0":
        sid, pid = known.get("sid"), known.get("pid")
        return Verdict(True, sid and str(sid), pid and str(pid))
    if isinstance(data, str):
        return Verdict(False, message=data)
    if "message" in known:
        return Verdict(False, message=str(known["message"]), data=known.get("data"))
    return Verdict(False, data=data)  # Socket.IO 2 sends the data instead of the message
