"""Whether the requests of one session reach the server that knows it."""

from __future__ import annotations

from .case import Case
from .transports import cached
from .wire import NoAnswer, read_open

REQUESTS = 5
"""Requests of one session."""


async def stickiness(case: Case) -> None:
    """Several sessions, each with several requests over connections of their own."""
    if not case.polling:
        return
    asked = lost = 0
    sids: list[str] = []
    cookies: list[str] = []
    try:
        for _ in range(case.sessions):
            session = await _session(case, cookies=True)
            if session is None:
                continue
            sids.append(session.sid)
            asked += session.asked
            lost += session.lost
            cookies += session.cookies
        cookies = list(dict.fromkeys(cookies))
        without = await _session(case, cookies=False) if cookies and not lost else None
    except NoAnswer as reason:
        case.findings.add(
            "stickiness",
            "problem",
            f"A request on a new connection was not answered: {reason}",
            "One of the servers behind the address does not answer.",
            "Look which of them the balancer still sends requests to.",
        )
        return
    if len(set(sids)) < len(sids):
        cached(case, "two handshakes gave the same session")
    data = {"sessions": len(sids), "requests": asked, "lost": lost, "cookies": cookies}
    if not sids:
        return
    case.sticky = not lost
    if lost:
        case.findings.add(
            "stickiness",
            "problem",
            f"{lost} of {asked} requests were answered “Session ID unknown” (code 1)",
            "Requests of one client reach different servers, or different worker processes of one "
            "server, and only one of them knows the session. Unless they are a cluster, what one "
            "of them broadcasts reaches its own clients only, too.",
            "Worker processes that share a port (--workers, gunicorn -w): run one; no balancer can "
            "tell them apart. Separate servers behind a balancer: make it sticky, by a cookie or "
            "by the client's address (nginx: ip_hash or hash; HAProxy: cookie … insert; AWS: "
            "stickiness of the target group).",
            data=data,
        )
    elif without is not None and without.lost:
        case.affinity = cookies
        case.findings.add(
            "stickiness",
            "ok",
            f"Requests find their session again, by the cookie {' or '.join(cookies)}",
            "Without cookies "
            f"{without.lost} of {without.asked} requests were answered “Session ID unknown”.",
            "Clients must keep cookies; pages of other origins need withCredentials: true and "
            "CORS with credentials.",
            data=data,
        )
    else:
        case.findings.add(
            "stickiness",
            "ok",
            f"{asked} requests of {len(sids)} sessions, each on a new connection: all found their "
            "session",
            data=data,
        )


class _Session:
    """How the requests of one session went."""

    def __init__(self, sid: str, cookies: list[str]) -> None:
        self.sid = sid
        self.cookies = cookies
        self.asked = 0
        self.lost = 0


async def _session(case: Case, *, cookies: bool) -> _Session | None:
    async with case.visitor(fresh=True, cookies=cookies) as visitor:
        answer = await visitor.handshake()
        opened = read_open(answer)
        if opened is None:
            return None
        session = _Session(opened.sid, list(answer.cookies))
        for _ in range(REQUESTS):
            sent = await visitor.post(opened.sid, visitor.heartbeat())
            session.asked += 1
            session.lost += sent.refusal is not None and sent.refusal.code == 1
        await visitor.leave(opened.sid)
        return session
