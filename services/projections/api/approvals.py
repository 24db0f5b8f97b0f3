"""Reading approvals: what nodes ask of people, and what became of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.filters import OfWorkflow
from services.projections.api.reads import Reads, raw
from services.projections.api.shapes import Approval
from services.projections.conditions import Conditions

ApprovalStatus = Literal["open", "approved", "rejected", "expired", "cancelled", "all"]
_APPROVALS = """
    select id, run_id, workflow_id, node_id, instance, attempt, message, approvers, requested_at, expires_at, status,
        decision, comment, decided_by, decided_at, position, requested_position
    from projections.approvals
"""


@get("/", opt=VIEWER)
async def list_approvals(
    reads: Reads,
    run_id: Annotated[UUID | None, Parameter(description="only of this run")] = None,
    workflow_id: OfWorkflow = None,
    status: Annotated[ApprovalStatus, Parameter(description="only those that stand so")] = "open",
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[Approval]:
    """What waits for somebody's decision, newest first; with `status` what was decided, or `all`."""
    cursors = await reads.cursors("approvals", run_id, workflow_id, status)
    conditions = Conditions().add("run_id = {}", run_id).add("workflow_id = {}", workflow_id)
    conditions.add("status = {}", None if status in ("all", "open") else status)
    if status == "open":
        conditions.require("status = 'open'")
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("requested_position < {}", before[0])
    rows = await reads.pool.fetch(_APPROVALS + conditions.page("requested_position desc", limit), *conditions.values)
    return cursors.page([_approval(row) for row in rows], limit, [[row["requested_position"]] for row in rows])


@get("/{approval_id:str}", opt=VIEWER)
async def read_approval(reads: Reads, approval_id: str) -> Approval:
    """One approval."""
    row = await reads.pool.fetchrow(f"{_APPROVALS} where id = $1 order by requested_position desc limit 1", approval_id)
    if row is None:
        raise not_found("approval", approval_id)
    return _approval(row)


def _approval(row: Mapping[str, Any]) -> Approval:
    fields: dict[str, Any] = {name: row[name] for name in Approval.__struct_fields__}
    fields["approvers"] = raw(row["approvers"])
    return Approval(**fields)


def routers() -> list[Router]:
    """Below /api/approvals."""
    return [Router("/api/approvals", route_handlers=[list_approvals, read_approval], tags=["approvals"])]
