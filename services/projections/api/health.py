"""Whether this process is there, and whether it can answer."""

from litestar import Router, get

from infra.http.authentication import PUBLIC
from services.projections.api.reads import Reads
from services.projections.api.shapes import Health


@get("/live", opt=PUBLIC)
async def live() -> Health:
    """The process runs."""
    return Health("ok")


@get("/ready", opt=PUBLIC)
async def ready(reads: Reads) -> Health:
    """Log and read models answer; a 503 while they do not."""
    return Health("ok", (await reads.log.head()).position, await reads.position())


def routers() -> list[Router]:
    """The only routes without a key."""
    return [Router("/health", route_handlers=[live, ready], tags=["health"])]
