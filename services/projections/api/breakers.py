"""Reading circuit breakers: which are open, since when, and why."""

from typing import Annotated, Literal

from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api.reads import Reads
from services.projections.api.shapes import BreakerView
from services.projections.conditions import Conditions

_BREAKERS = """
    select breaker, status, since, until, failures_count, error, run_id, node_id, position from projections.breakers
"""


@get("/", opt=VIEWER)
async def list_breakers(
    reads: Reads,
    status: Annotated[
        Literal["closed", "open", "half_open"] | None, Parameter(description="only those that stand so")
    ] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[BreakerView]:
    """Circuit breakers that have ever opened, last changed first."""
    cursors = await reads.cursors("breakers", status)
    conditions = Conditions().add("status = {}", status)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("position < {}", before[0])
    rows = await reads.pool.fetch(_BREAKERS + conditions.page("position desc", limit), *conditions.values)
    shown = [BreakerView(*list(row.values())[:-1]) for row in rows]
    return cursors.page(shown, limit, [[row["position"]] for row in rows])


def routers() -> list[Router]:
    """Below /api/breakers."""
    return [Router("/api/breakers", route_handlers=[list_breakers], tags=["breakers"])]
