"""`approvals list|approve|reject`: what waits for a person."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session
from services.cli.glyphs import ago
from services.cli.output import Failure, table

Hidden = Parameter(parse=False)
ApprovalStatus = Literal["open", "approved", "rejected", "expired", "cancelled", "all"]
STATES = {
    "open": "waiting",
    "approved": "completed",
    "rejected": "failed",
    "expired": "failed",
    "cancelled": "cancelled",
}

app = App(name="approvals", help="See what waits for a person; approve or reject it.")


@app.command(name="list")
async def list_(
    *,
    run: str | None = None,
    workflow: str | None = None,
    status: ApprovalStatus = "open",
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """What waits for somebody's decision, newest first.

    Parameters
    ----------
    run
        Only of this run.
    workflow
        Only of runs of this workflow.
    status
        Those that stand like this, or all.
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await client.approvals(run_id=run, workflow_id=workflow, status=status, limit=limit)
    session.output.json(page)
    items: list[dict[str, Any]] = page["items"]
    if not items:
        session.output.say(Text("nothing waits for a decision" if status == "open" else "no approvals", "dim"))
        return
    rows = table("approval", "status", "workflow", "message", "for", "asked")
    for item in items:
        rows.add_row(*_row(session, item))
    session.output.say(rows)
    if page.get("next_cursor"):
        session.output.say(Text(f"… and more: --limit {limit * 5}", "dim"))


def _row(session: Session, item: dict[str, Any]) -> list[Text]:
    decided = f"{item['status']} by {item['decided_by']}" if item.get("decided_by") else item["status"]
    return [
        Text(item["id"], "cyan", overflow="fold"),
        session.output.state(STATES.get(item["status"], "idle"), decided),
        Text(item["workflow_id"], "bold"),
        Text(item["message"]),
        Text(", ".join(item["approvers"]) or "anybody", "dim"),
        Text(ago(item["requested_at"]), "dim", no_wrap=True),
    ]


@app.command
async def approve(approval: str, /, *, comment: str = "", session: Annotated[Session, Hidden]) -> None:
    """Approve: the node completes.

    Parameters
    ----------
    approval
        Id of the approval.
    comment
        Why; it is kept with the run, and part of the node's output.
    """
    await _decide(session, approval, "approve", comment)


@app.command
async def reject(approval: str, /, *, comment: str = "", session: Annotated[Session, Hidden]) -> None:
    """Reject: the node fails with APPROVAL_REJECTED.

    Parameters
    ----------
    approval
        Id of the approval.
    comment
        Why; it is kept with the run.
    """
    await _decide(session, approval, "reject", comment)


async def _decide(session: Session, approval: str, decision: Literal["approve", "reject"], comment: str) -> None:
    async with session.client() as client:
        try:
            answer = await client.decide(approval, decision, comment)
        except Refused as refused:
            if refused.status == 404:
                step = "see what waits with: flowforge approvals list"
                raise Failure(f"there is no approval {approval}", step, problem=refused.problem) from refused
            if refused.status == 403:
                step = "see who may with: flowforge approvals list"
                raise Failure(str(refused), step, problem=refused.problem) from refused
            raise
    session.output.json(answer)
    status, done = ("completed", "approved") if decision == "approve" else ("failed", "rejected")
    session.output.say(session.output.state(status, (done, "bold"), "  ", (approval, "cyan")))
