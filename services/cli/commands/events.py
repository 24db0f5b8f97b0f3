"""`events publish`, `events list`, `decisions`: what went in, what happened, and what triggers answered."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli import feed
from services.cli.connect import Session, json_argument, no_run, no_workflow
from services.cli.glyphs import ago
from services.cli.output import table

Hidden = Parameter(parse=False)
DEFAULT_SOURCE = "flowforge-cli"
DECISION_STATES = {
    "fired": "completed", "not_matched": "skipped", "held": "waiting", "suppressed": "cancelled",
    "expired": "cancelled", "failed": "failed",
}  # fmt: skip

app = App(name="events", help="Publish events; show what happened in a run.")
triggers = App(name="triggers", help="Look at triggers and what they decided.")


@app.command
async def publish(
    type: str,  # noqa: A002  the argument's name
    /,
    *,
    data: str | None = None,
    source: str = DEFAULT_SOURCE,
    id: str | None = None,  # noqa: A002  the option's name
    subject: str | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Publish one event; triggers answer it.

    Parameters
    ----------
    type
        Type of the event, such as dataset.announced.
    data
        What it says: JSON, @file, or - for stdin.
    source
        Who says it; source and id together identify an event.
    id
        Its id, else a new one. The same again starts nothing twice.
    subject
        What it is about.
    """
    said = json_argument("--data", data)
    async with session.client() as client:
        event_id = await client.publish(type, said, source=source, id=id, subject=subject)
        position = client.position
    session.output.json({"id": event_id, "source": source, "type": type, "position": position})
    session.output.say(session.output.state("completed", ("published", "bold"), f"  {type}  ", (event_id, "cyan")))


@app.command(name="list")
async def list_(run: str, /, *, limit: int = 1000, session: Annotated[Session, Hidden]) -> None:
    """Show what happened in a run, oldest first.

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    async with session.client() as client:
        try:
            async for event in client.events(run, limit=limit):
                _show(session, event)
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run, refused) from refused
            raise


def _show(session: Session, event: dict[str, Any]) -> None:
    session.output.json(event)
    at, raw = msgspec.convert(event["recorded_at"], datetime), msgspec.json.encode(event.get("data"))
    position = int(event.get("position") or 0)
    session.output.say(feed.line(event["type"], raw, at, session.output.glyphs, position=position))


@triggers.command
async def decisions(
    workflow: str,
    trigger: str,
    /,
    *,
    cause: str | None = None,
    decision: Literal["fired", "not_matched", "held", "suppressed", "expired", "failed"] | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """Why a trigger fired, or why not; newest first.

    Parameters
    ----------
    workflow
        Id of the workflow.
    trigger
        Id of the trigger.
    cause
        Only the answer to this event; it is computed where none was stored.
    decision
        Only decisions of this kind.
    limit
        At most so many.
    """
    async with session.client() as client:
        try:
            page = await client.decisions(workflow, trigger, cause=cause, decision=decision, limit=limit)
        except Refused as refused:
            if refused.status == 404:
                raise await no_workflow(client, workflow, refused) from refused
            raise
    session.output.json(page)
    if not page["items"]:
        session.output.say(Text("no decisions: no event concerned this trigger", "dim"))
        return
    rows = table("decided", "decision", "cause", "reason", "run")
    for item in page["items"]:
        made = str(item.get("decision", ""))
        rows.add_row(
            Text(ago(item.get("decided_at")), "dim", no_wrap=True),
            session.output.state(DECISION_STATES.get(made, "idle"), made),
            Text(_cause(item.get("cause") or {})),
            Text(_reason(item), "dim"),
            Text(str(item.get("run_id") or ""), "cyan"),
        )
    session.output.say(rows)


@triggers.command
async def upcoming(workflow: str, trigger: str, /, *, count: int = 10, session: Annotated[Session, Hidden]) -> None:
    """When a schedule fires next.

    Parameters
    ----------
    workflow
        Id of the workflow.
    trigger
        Id of the trigger.
    count
        So many firings.
    """
    async with session.client() as client:
        try:
            items = await client.upcoming(workflow, trigger, count)
        except Refused as refused:
            if refused.status == 404:
                raise await no_workflow(client, workflow, refused) from refused
            raise
    session.output.json({"items": items})
    if not items:
        session.output.say(Text("nothing to come: it is disabled, its workflow is not active, or it has ended", "dim"))
        return
    rows = table("scheduled", "due")
    for item in items:
        rows.add_row(Text(str(item["scheduled_at"]), no_wrap=True), Text(str(item["due_at"]), "dim", no_wrap=True))
    session.output.say(rows)


def _reason(item: dict[str, Any]) -> str:
    reason, detail = str(item.get("reason") or "").replace("_", " "), str(item.get("detail") or "")
    return f"{reason}: {detail}" if reason and detail else reason or detail


def _cause(cause: dict[str, Any]) -> str:
    return " ".join(str(cause[name]) for name in ("type", "id", "event_id") if cause.get(name))[:60]
