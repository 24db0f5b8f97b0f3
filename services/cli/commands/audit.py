"""`audit`: who did what, when."""

from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from services.cli.connect import Session
from services.cli.output import table

Hidden = Parameter(parse=False)


async def audit(
    *,
    actor: str | None = None,
    action: str | None = None,
    resource: str | None = None,
    subject: str | None = None,
    workflow: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """Who did what, newest first: every write that was accepted.

    Parameters
    ----------
    actor
        Only what this user did.
    action
        Only this: create_workflow, execute, cancel, approve, set_secret, …
    resource
        Only what was done to a workflow, trigger, run, node, approval, event, template, prompt, secret, dead_letter,
        subscription, archive or payload (data that was erased).
    subject
        Only what was done to this one: its id.
    workflow
        Only what concerns this workflow.
    since
        Only from this time on (ISO 8601).
    until
        Only before this time.
    limit
        At most so many.
    """
    filters = {"actor": actor, "action": action, "resource": resource, "subject": subject, "workflow_id": workflow}
    async with session.client() as client:
        page = await client.audit(**filters, since=since, until=until, limit=limit)
    session.output.json(page)
    items: list[dict[str, Any]] = page["items"]
    if not items:
        session.output.say(Text("nothing was done that these filters let through", "dim"))
        return
    rows = table("at", "actor", "action", "resource", "subject")
    for item in items:
        rows.add_row(
            Text(item["at"], "dim", no_wrap=True),
            Text(item["actor"] or "—", "bold"),
            Text(item["action"], "cyan"),
            Text(item["resource"], "dim"),
            Text(item["subject"]),
        )
    session.output.say(rows)
    if page.get("next_cursor"):
        session.output.say(Text(f"… and more: --limit {limit * 5}", "dim"))
