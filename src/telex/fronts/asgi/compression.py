"""Compression of polling answers."""

from __future__ import annotations

import asyncio
import gzip

from ...types import Response

_OFF_LOOP = 64 * 1024
"""Bodies larger than this are compressed in a thread, so that the loop goes on meanwhile."""


async def compressed(response: Response) -> Response:
    """The same answer, compressed with gzip."""
    body = response.body
    if len(body) > _OFF_LOOP:
        body = await asyncio.to_thread(_gzip, body)
    else:
        body = _gzip(body)
    headers = [*response.headers, ("content-encoding", "gzip"), ("vary", "Accept-Encoding")]
    return Response(response.status, headers, body)


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, 4, mtime=0)
