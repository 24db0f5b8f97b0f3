"""`events publish`, `events list`: what went in, and what happened."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from flowforge.errors import Refused

from services.cli import feed
from services.cli.connect import Session, json_argument, no_run

Hidden = Parameter(parse=False)
DEFAULT_SOURCE = "flowforge-cli"

app = App(name="events", help="Publish events; show what happened in a run.")


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
