"""Applications that are not telex servers, with pages for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from telex.fronts.uvicorn.serve import listen
from tests.features.scripts import Page, Site


@asynccontextmanager
async def hosted(app: Any, site: Site) -> AsyncGenerator[Page]:
    """Serve an ASGI application on a free port; a page of it."""
    listening = await listen(app, host="127.0.0.1", port=0)
    page = site.page_at(f"http://127.0.0.1:{listening.port}")
    try:
        yield page
    finally:
        await page.close()
        await listening.stop()
