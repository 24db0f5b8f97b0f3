"""The application behind a real HTTP server, on the event loop of the test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import httpx
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar

from infra.embedded.front import App, lifespan
from infra.embedded.ports import LOOPBACK, free_port


@asynccontextmanager
async def served(app: Litestar) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the application behind a real HTTP server, on this event loop."""
    port = free_port()
    server = Server(
        app,
        address=LOOPBACK,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    async with lifespan(cast("App", app)):
        serving = asyncio.create_task(server.serve())
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=20, verify=False) as client:
            while True:
                try:
                    await client.get("/health/live")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.01)
            yield client
        server.stop()
        await serving
