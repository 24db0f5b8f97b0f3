"""What the clock starts next, over all workflows."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_MAX, Page
from services.projections.api.reads import Reads

UPCOMING_DEFAULT = 20
_CLOCKED = "select id, version, name from projections.workflows where has_schedule and status = 'active'"


class Due(msgspec.Struct):
    """The next firing of a schedule: its nominal time, and when it is due with its jitter."""

    workflow_id: str
    workflow_name: str
    trigger_id: str
    trigger_name: str
    scheduled_at: datetime
    due_at: datetime


@get("/", opt=VIEWER)
async def list_due(
    reads: Reads,
    limit: Annotated[int, Parameter(ge=1, le=LIMIT_MAX, description="so many")] = UPCOMING_DEFAULT,
) -> Page[Due]:
    """The next firing of each schedule that is enabled, of workflows that are active; the one that is due first, first.

    More firings of one schedule are read at its own `…/upcoming`.
    """
    names = {(row["id"], row["version"]): row["name"] for row in await reads.pool.fetch(_CLOCKED)}
    outlines = await reads.outlines_of(names)
    now = datetime.now(UTC)
    due = [
        Due(workflow_id, name, clock.trigger_id, clock.trigger_name, firing.scheduled_at, firing.due_at)
        for (workflow_id, _), name in names.items()
        if workflow_id in outlines
        for clock in outlines[workflow_id].clocks
        if (firing := clock.next_after(now)) is not None
    ]
    due.sort(key=lambda each: (each.due_at, each.workflow_id, each.trigger_id))
    return Page(due[:limit])


def routers() -> list[Router]:
    """Below /api/upcoming."""
    return [Router("/api/upcoming", route_handlers=[list_due], tags=["triggers"])]
