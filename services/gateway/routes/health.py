"""Whether this process is there, and whether it can take writes: for probes, where it runs without the reads beside it."""

from litestar import get
from litestar.datastructures import State

from infra.http.authentication import PUBLIC


@get("/live", opt=PUBLIC)
async def live() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@get("/ready", opt=PUBLIC)
async def ready(state: State) -> dict[str, str]:
    """The database answers; a 503 while it does not."""
    await state.gateway.answers()
    return {"status": "ok"}
