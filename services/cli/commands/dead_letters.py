"""`dead-letters list|retry`: messages that could not be handled."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session
from services.cli.glyphs import ago
from services.cli.output import Failure, table

Hidden = Parameter(parse=False)
REASON_CHARACTERS_MAX = 200

app = App(name="dead-letters", help="See messages that could not be handled; have one handled once more.")


@app.command(name="list")
async def list_(
    *,
    service: str | None = None,
    status: Literal["open", "retried"] | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """Messages that could not be handled, newest first, each with its cause.

    Parameters
    ----------
    service
        Only those of this service.
    status
        Only those that stand like this.
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await client.dead_letters(service=service, status=status, limit=limit)
    session.output.json(page)
    items: list[dict[str, Any]] = page["items"]
    if not items:
        session.output.say(Text("no dead letters", "dim"))
        return
    rows = table("id", "status", "service", "failed", "reason")
    for item in items:
        state = "failed" if item["status"] == "open" else "running"
        rows.add_row(
            Text(item["id"], "cyan", no_wrap=True),
            session.output.state(state, item["status"]),
            Text(item["service"], "bold"),
            Text(ago(item["quarantined_at"]), "dim", no_wrap=True),
            Text(item["reason"][:REASON_CHARACTERS_MAX]),
        )
    session.output.say(rows)
    if page.get("next_cursor"):
        session.output.say(Text(f"… and more: --limit {limit * 5}", "dim"))


@app.command
async def retry(id: str, /, *, session: Annotated[Session, Hidden]) -> None:  # noqa: A002  the argument's name
    """Have a message handled once more by the service that put it aside.

    Parameters
    ----------
    id
        Id of the dead letter.
    """
    async with session.client() as client:
        try:
            answer = await client.retry_dead_letter(id)
        except Refused as refused:
            if refused.status == 404:
                step = "see them with: flowforge dead-letters list"
                raise Failure(f"there is no dead letter {id}", step, problem=refused.problem) from refused
            raise
    session.output.json(answer)
    session.output.say(session.output.state("running", ("once more", "bold"), f"  {answer['service']}  ", (id, "cyan")))
    session.output.say(Text("  where it fails again, it is a dead letter again: flowforge dead-letters list", "dim"))
