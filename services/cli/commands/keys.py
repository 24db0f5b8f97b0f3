"""`keys list|create|revoke`: what programs show to be let in; each user has several."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.commands.users import no_user
from services.cli.connect import Session
from services.cli.output import table

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
LISTED_MAX = 1_000
app = App(name="keys", help="Keys of users, for programs; yours, unless another user is named.")


@app.command(name="list")
async def show_all(user: str | None = None, /, *, session: Annotated[Session, Hidden]) -> None:
    """List the keys of a user that were not revoked; never the keys themselves.

    Parameters
    ----------
    user
        Whose, else your own.
    """
    async with session.client() as client:
        name = await _whose(client, user)
        try:
            page = await client.keys(name, limit=LISTED_MAX)
        except Refused as refused:
            raise no_user(refused) from refused
    session.output.json(page)
    if not page["items"]:
        session.output.say(Text(f"{name} has no keys; make one with: flowforge keys create {name}", "dim"))
        return
    rows = table("key", "description", "made", "by", "good until")
    for item in page["items"]:
        until = str(item["expires_at"] or "")[:19]
        made, by = str(item["created_at"])[:19], str(item["created_by"] or "")
        rows.add_row(Text(item["id"], "bold"), item["description"], Text(made, "dim"), Text(by, "dim"), until)
    session.output.say(rows)


@app.command
async def create(
    user: str | None = None,
    /,
    *,
    description: str = "",
    expires_at: str | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Make a key and show it, this once.

    Parameters
    ----------
    user
        Whose, else your own.
    description
        What it is for.
    expires_at
        Until when it is good, such as 2027-01-31T00:00:00Z; else until it is revoked.
    """
    async with session.client() as client:
        name = await _whose(client, user)
        try:
            answer = await client.create_key(name, description, expires_at=expires_at)
        except Refused as refused:
            raise no_user(refused) from refused
    session.output.json(answer)
    session.output.whole(str(answer["key"]))
    session.output.note(Text(f"{answer['id']} of {name}; keep the key, it is not shown again", "dim"))


@app.command
async def revoke(key: str, user: str | None = None, /, *, session: Annotated[Session, Hidden]) -> None:
    """End a key.

    Parameters
    ----------
    key
        Its id, as `flowforge keys list` shows it.
    user
        Whose, else your own.
    """
    async with session.client() as client:
        name = await _whose(client, user)
        answer = await client.revoke_key(name, key)
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("revoked", "bold"), f"  {key} of {name}"))


async def _whose(client: "Client", user: str | None) -> str:
    return user or str((await client.session())["user"])
