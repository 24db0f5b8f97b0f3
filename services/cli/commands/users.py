"""`users list|add|change|remove`: who may ask, and with which role."""

from typing import Annotated, Literal

from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session
from services.cli.output import Failure, table

Hidden = Parameter(parse=False)
Role = Literal["viewer", "operator", "editor", "admin"]
LISTED_MAX = 1_000
app = App(name="users", help="Who may ask, and with which role: viewer, operator, editor or admin.")


@app.command(name="list")
async def show_all(*, session: Annotated[Session, Hidden]) -> None:
    """List the users, the last added first."""
    async with session.client() as client:
        page = await client.users(limit=LISTED_MAX)
    session.output.json(page)
    rows = table("user", "role", "keys", "added", "by", right=("keys",))
    for item in page["items"]:
        added, by = str(item["created_at"] or "")[:19], str(item["created_by"] or "")
        rows.add_row(
            Text(item["name"], "bold"), item["role"], str(item["keys_count"]), Text(added, "dim"), Text(by, "dim")
        )
    session.output.say(rows)


@app.command
async def add(name: str, /, *, role: Role = "viewer", session: Annotated[Session, Hidden]) -> None:
    """Let somebody in; then give them a login link, or a key.

    Parameters
    ----------
    name
        Small letters, digits and . _ @ -, at most 63 in all.
    role
        viewer reads; operator also runs, cancels and approves; editor also changes definitions; admin may do everything.
    """
    async with session.client() as client:
        answer = await client.add_user(name, role)
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("added", "bold"), f"  {name}  {role}"))
    session.output.note(Text(f"a link that logs them in: flowforge login {name}", "dim"))
    session.output.note(Text(f"a key for programs: flowforge keys create {name}", "dim"))


@app.command
async def change(name: str, /, *, role: Role, session: Annotated[Session, Hidden]) -> None:
    """Give a user another role; it holds at once.

    Parameters
    ----------
    name
        Which user.
    role
        viewer, operator, editor or admin.
    """
    async with session.client() as client:
        try:
            answer = await client.change_user(name, role)
        except Refused as refused:
            raise no_user(refused) from refused
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("changed", "bold"), f"  {name}  {role}"))


@app.command
async def remove(name: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Let a user in no more: their keys and sessions end.

    Parameters
    ----------
    name
        Which user.
    """
    async with session.client() as client:
        try:
            answer = await client.remove_user(name)
        except Refused as refused:
            raise no_user(refused) from refused
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("removed", "bold"), f"  {name}"))


def no_user(refused: Refused) -> Exception:
    """What to raise after a refusal: of an unknown user, where the known ones are."""
    if refused.status != 404:
        return refused
    return Failure(str(refused), "see: flowforge users list", problem=refused.problem)
