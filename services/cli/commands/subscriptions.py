"""`subscriptions …`: who is told of run events by HTTP, and how the deliveries stand."""

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session, nearest
from services.cli.glyphs import ago
from services.cli.output import EXIT_FAILED, EXIT_OK, Failure, table

Hidden = Parameter(parse=False)
LISTED_MAX = 1_000
ERROR_CHARS_SHOWN = 200
_STATES = {
    "active": "completed",
    "paused": "failed",
    "delivered": "completed",
    "pending": "running",
    "failed": "failed",
}

app = App(name="subscriptions", help="Have run events posted to an address; see what was delivered.")


@app.command
async def add(
    url: str,
    /,
    *,
    id: str | None = None,  # noqa: A002  the option's name
    name: str = "",
    workflow: str | None = None,
    type: Annotated[list[str] | None, Parameter(negative=())] = None,  # noqa: A002  the option's name
    status: Annotated[list[str] | None, Parameter(negative=())] = None,
    label: str | None = None,
    condition: str | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Have run events posted to an address from now on, signed as Standard Webhooks.

    Parameters
    ----------
    url
        Where to post to, https:// or http://.
    id
        What to call it, else an id is made.
    name
        What it is for.
    workflow
        Only events of the runs of this workflow.
    type
        Only events of this type, such as RunFailed; may be repeated.
    status
        Only events that put a run in this status, such as completed; may be repeated.
    label
        Only events of runs with this label: name=value.
    condition
        Only events for which this CEL expression over event and run is true.
    """
    wanted = {"workflow_id": workflow, "types": type, "statuses": status, "label": label, "condition": condition}
    given = {key: value for key, value in wanted.items() if value is not None}
    fields = {"name": name, **({} if id is None else {"id": id})}
    async with session.client() as client:
        answer = await client.subscribe(url, given, **fields)
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("subscribed", "bold"), f"  {answer['id']}  {url}"))
    session.output.say(Text(f"  secret: {answer['secret']}", "bold"))
    session.output.say(Text("  it is shown this once; receivers verify with it what is posted", "dim"))


@app.command(name="list")
async def list_(*, session: Annotated[Session, Hidden]) -> None:
    """Show the subscriptions, and how their deliveries stand."""
    async with session.client() as client:
        page = await client.subscriptions(limit=LISTED_MAX)
    session.output.json(page)
    items: list[dict[str, Any]] = page["items"]
    if not items:
        session.output.say(Text("no subscriptions; make one with: flowforge subscriptions add URL", "dim"))
        return
    rows = table("id", "status", "owed", "delivered", "url", "last error", right=("owed", "delivered"))
    for item in items:
        stands, paused = item["deliveries"], item["paused"]
        error = (
            paused["detail"] or paused["reason"] if paused else stands["last_error"] if stands["failing_since"] else ""
        )
        rows.add_row(
            Text(item["id"], "bold"),
            session.output.state(_STATES[item["status"]], item["status"]),
            str(stands["pending"]),
            str(stands["delivered"]),
            item["url"],
            Text(str(error or "")[:ERROR_CHARS_SHOWN], "dim"),
        )
    session.output.say(rows)


@app.command
async def deliveries(
    id: str,  # noqa: A002  the argument's name
    /,
    *,
    status: Literal["pending", "delivered", "failed"] | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """Show what is owed to a subscription, and what was posted to it of late.

    Parameters
    ----------
    id
        Id of the subscription.
    status
        Only those that stand like this.
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await _found(client, id, client.deliveries(id, status=status, limit=limit))
    session.output.json(page)
    rows = table(
        "position", "event", "run", "status", "attempts", "made", "last answer", right=("position", "attempts")
    )
    for item in page["items"]:
        last = item["last_error"] or item["last_status"] or ""
        rows.add_row(
            str(item["position"]),
            Text(item["event_type"], "bold"),
            Text(item["run_id"], "cyan", no_wrap=True),
            session.output.state(_STATES[item["status"]], item["status"]),
            str(item["attempts"]),
            Text(ago(item["created_at"]), "dim", no_wrap=True),
            Text(str(last)[:ERROR_CHARS_SHOWN]),
        )
    session.output.say(rows if page["items"] else Text("nothing was owed yet", "dim"))


@app.command
async def pause(id: str, /, *, session: Annotated[Session, Hidden]) -> None:  # noqa: A002  the argument's name
    """Post nothing to a subscription until it is resumed; nothing is lost meanwhile."""
    async with session.client() as client:
        _tell(session, await _found(client, id, client.pause_subscription(id)), "paused")


@app.command
async def resume(id: str, /, *, skip_missed: bool = False, session: Annotated[Session, Hidden]) -> None:  # noqa: A002
    """Post what is owed to a subscription, at once.

    Parameters
    ----------
    id
        Id of the subscription.
    skip_missed
        Only what happens from now on.
    """
    async with session.client() as client:
        _tell(session, await _found(client, id, client.resume_subscription(id, skip_missed=skip_missed)), "resumed")


@app.command
async def replay(id: str, since: str, /, *, session: Annotated[Session, Hidden]) -> None:  # noqa: A002
    """Post past events again, each under the id that it had.

    Parameters
    ----------
    id
        Id of the subscription.
    since
        A position of the log, or a time such as 2026-01-31T12:00:00Z.
    """
    moment = int(since) if since.isascii() and since.isdigit() else since
    async with session.client() as client:
        answer = await _found(client, id, client.replay_subscription(id, moment))
    _tell(session, answer, f"posts again what came after position {answer['since_position']}:")


@app.command
async def test(id: str, /, *, session: Annotated[Session, Hidden]) -> int:  # noqa: A002  the argument's name
    """Post one event to a subscription now, and show what came of it."""
    async with session.client() as client:
        answer = await _found(client, id, client.test_subscription(id))
    session.output.json(answer)
    if answer["delivered"]:
        took = f"  {answer['status']} within {answer['duration_ms']} ms"
        session.output.say(session.output.state("completed", ("delivered", "bold"), took))
        return EXIT_OK
    session.output.say(session.output.state("failed", ("not delivered", "bold"), f"  {answer['error']}"))
    return EXIT_FAILED


@app.command
async def delete(id: str, /, *, session: Annotated[Session, Hidden]) -> None:  # noqa: A002  the argument's name
    """Post nothing more to a subscription, and forget it."""
    async with session.client() as client:
        _tell(session, await _found(client, id, client.delete_subscription(id)), "deleted")


def _tell(session: Session, answer: dict[str, Any], what: str) -> None:
    session.output.json(answer)
    session.output.say(session.output.state("completed", (what, "bold"), f"  {answer['id']}"))


async def _found(client: Any, name: str, asked: Any) -> dict[str, Any]:
    """The answer; of a subscription that is not there, which one may be meant."""
    try:
        return await asked
    except Refused as refused:
        if refused.status != 404:
            raise
        known = [str(item["id"]) for item in (await client.subscriptions(limit=LISTED_MAX))["items"]]
        raise Failure(f"there is no subscription {name}", nearest(name, known), problem=refused.problem) from refused
