"""Why sessions end, as Node's engine says it."""

from __future__ import annotations

PARSE_ERROR = "parse error"
TRANSPORT_ERROR = "transport error"
TRANSPORT_CLOSE = "transport close"
PING_TIMEOUT = "ping timeout"
FORCED_CLOSE = "forced close"
SLOW_CONSUMER = "slow consumer"
