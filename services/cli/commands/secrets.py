"""`secrets set`, `list`, `delete`: what workflows name and nobody reads back."""

import re
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter
from flowforge.definition import IDENTIFIER_PATTERN
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session, nearest
from services.cli.output import EXIT_USAGE, Failure, table

Hidden = Parameter(parse=False)
LISTED_MAX = 1_000

app = App(name="secrets", help="Set, list and delete the secrets that workflows name.")


@app.command(name="set")
async def set_(
    name: str,
    /,
    *,
    value: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Give a secret a value, or another one. Without --value it is read from stdin, which no other process sees.

    Parameters
    ----------
    name
        What workflows call it: secrets.<name>.
    value
        Its value; it stays in the history of the shell.
    """
    _check_name(name)
    given = _from_stdin() if value is None else value
    if not given:
        raise Failure("the value is empty", "a secret has at least one character", status=EXIT_USAGE)
    async with session.client() as client:
        answer = await client.set_secret(name, given)
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("set", "bold"), f"  {name}  version {answer['version']}"))


def _from_stdin() -> str:
    """Typed unseen at a terminal; else all that comes, without the one line end that `echo` adds."""
    if sys.stdin.isatty():
        import getpass  # noqa: PLC0415  at a terminal only

        return getpass.getpass("value: ")
    try:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as fault:
        step = "encode it, for instance with base64"
        raise Failure("what came on stdin is no UTF-8 text", step, status=EXIT_USAGE) from fault


@app.command(name="list")
async def list_(*, session: Annotated[Session, Hidden]) -> None:
    """Show which secrets there are, and who changed them when; never their values."""
    async with session.client() as client:
        page = await client.secrets(limit=LISTED_MAX)
    session.output.json(page)
    items: list[dict[str, Any]] = page["items"]
    if not items:
        session.output.say(Text("no secrets; set one with: flowforge secrets set NAME", "dim"))
        return
    rows = table("name", "version", "changed", "by", right=("version",))
    for item in items:
        by = str(item.get("updated_by") or "")
        rows.add_row(Text(str(item["name"]), "bold"), str(item["version"]), str(item["updated_at"])[:19], by)
    session.output.say(rows)


@app.command
async def delete(name: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Delete a secret: jobs that name it fail from now on.

    Parameters
    ----------
    name
        What workflows call it.
    """
    _check_name(name)
    async with session.client() as client:
        try:
            answer = await client.delete_secret(name)
        except Refused as refused:
            if refused.status != 404:
                raise
            known = [str(item["name"]) for item in (await client.secrets(limit=LISTED_MAX))["items"]]
            raise Failure(f"there is no secret {name}", nearest(name, known), problem=refused.problem) from refused
    session.output.json(answer)
    session.output.say(session.output.state("completed", ("deleted", "bold"), f"  {name}"))


def _check_name(name: str) -> None:
    if not re.fullmatch(IDENTIFIER_PATTERN, name):
        step = "a letter or _, then letters, digits and _, at most 63 in all"
        raise Failure(f"{name} is no name of a secret", step, status=EXIT_USAGE)
