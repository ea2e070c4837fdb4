"""`telex doctor`: why a Socket.IO connection fails, and what to change.

Every probe is a raw request of the doctor's own, so that nothing is hidden by a client that
retries, falls back or reconnects. Applications see one client that connects to the namespace and
leaves; everything else stays below Socket.IO.
"""

from __future__ import annotations

from . import heartbeat, namespace, network, origin, server, stickiness, transports, upgrade
from .case import Case
from .finding import Finding, Findings
from .report import Lines, to_json

__all__ = ["Case", "Finding", "Findings", "Lines", "examine", "to_json"]


async def examine(case: Case) -> int:
    """Look at everything; findings come one by one. The exit status of the command."""
    if not await network.reach(case):
        return case.findings.status
    if not await server.find_engine(case):
        return case.findings.status
    await transports.polling(case)
    await stickiness.stickiness(case)
    await transports.websocket(case)
    if not await upgrade.upgrade(case):
        await namespace.namespace(case)
    await origin.origins(case)
    await transports.latency(case)
    await heartbeat.heartbeat(case)
    heartbeat.limits(case)
    return case.findings.status
