"""What the doctor is told, and what it has learnt so far."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..place import Place
from .finding import Findings
from .wire import Open, Visitor


@dataclass(slots=True)
class Case:
    """One examination. The first block is asked for by the user, the second is found out.

    ``tls`` is what connections verify with, ``proxy`` what they go through; ``intermediary`` is
    what stands before the server, as far as its answers tell.
    """

    place: Place
    findings: Findings
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    auth: Any = None
    origin: str | None = None
    insecure: bool = False
    timeout: float = 10.0
    wait: bool = False
    sessions: int = 4

    tls: ssl.SSLContext | bool = True
    proxy: str | None = None
    revision: int = 4
    opened: Open | None = None
    polling: bool = False
    websocket: bool = False
    sticky: bool = True
    affinity: list[str] = field(default_factory=list[str])
    intermediary: str = ""
    websocket_seconds: list[float] = field(default_factory=list[float])

    def visitor(self, *, fresh: bool = False, cookies: bool = True) -> Visitor:
        """A client for this case."""
        return Visitor(
            self.place,
            self.headers,
            self.tls,
            self.timeout,
            fresh=fresh,
            cookies=cookies,
            revision=self.revision,
            proxy=self.proxy,
        )

    def move(self, place: Place) -> None:
        """Go on at another place."""
        self.place = place


_SIGNS = (
    ("cf-ray", "Cloudflare"),
    ("x-amz-cf-id", "CloudFront"),
    ("x-vercel-id", "Vercel"),
    ("fly-request-id", "Fly.io"),
)
_SERVERS = (
    ("cloudflare", "Cloudflare"),
    ("nginx", "nginx"),
    ("openresty", "nginx"),
    ("apache", "Apache"),
    ("caddy", "Caddy"),
    ("envoy", "Envoy"),
    ("awselb", "an AWS load balancer"),
    ("cloudfront", "CloudFront"),
    ("microsoft-iis", "IIS"),
    ("vercel", "Vercel"),
)


def intermediary(headers: Mapping[str, str]) -> str:
    """What stands before the server, or an empty string."""
    for header, name in _SIGNS:
        if header in headers:
            return name
    told = f"{headers.get('server', '')} {headers.get('via', '')}".lower()
    return next((name for sign, name in _SERVERS if sign in told), "")


_FORWARDING = {
    "nginx": (
        "In nginx, write in the location of the path: “proxy_http_version 1.1; proxy_set_header "
        'Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host '
        "$http_host;”."
    ),
    "Apache": (
        "In Apache (2.4.47 or newer): ProxyPass {path}/ http://backend{path}/ upgrade=websocket."
    ),
    "Cloudflare": "In Cloudflare: turn WebSockets on under Network, and check the origin behind.",
    "Envoy": "In Envoy: add upgrade_configs with upgrade_type websocket to the route.",
    "IIS": "In IIS: install the WebSocket protocol feature and enable it for the site.",
    "Vercel": "Vercel's functions hold no WebSockets: serve Socket.IO from a host that does.",
}


def forward_upgrades(case: Case) -> str:
    """How to let WebSockets through what stands before the server."""
    known = _FORWARDING.get(case.intermediary)
    if known is not None:
        return known.format(path=case.place.path)
    return (
        "Let the proxy pass on the headers Upgrade and Connection with HTTP/1.1 "
        "(nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";).'
    )
