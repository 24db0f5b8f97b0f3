"""`templates list|show|use|save|delete`: ready-made and own definitions, to make workflows of."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import yaml
from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session, nearest
from services.cli.output import EXIT_USAGE, Failure, table

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
KNOWN_MAX = 1_000
app = App(name="templates", help="Ready-made and own definitions, to make workflows of.")


@app.command(name="list")
async def show_all(
    *,
    source: Literal["own", "builtin"] | None = None,
    category: str | None = None,
    limit: int = 50,
    session: Annotated[Session, Hidden],
) -> None:
    """List the templates, those that people saved first.

    Parameters
    ----------
    source
        Only one's own, or only the ready-made ones.
    category
        Only those of this category.
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await client.list_templates(source=source, category=category, limit=limit)
    session.output.json(page)
    rows = table("template", "name", "category", "source", "variables")
    for item in page["items"]:
        variables = ", ".join(str(parameter["name"]) for parameter in item["parameters"])
        rows.add_row(
            Text(item["id"], "bold"),
            item["name"],
            item["category"],
            Text(item["source"], "dim"),
            Text(variables, "dim"),
        )
    session.output.say(rows)


@app.command
async def show(template: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Show a template, its definition as YAML.

    Parameters
    ----------
    template
        Id of the template.
    """
    async with session.client() as client:
        found = await _found(client, template)
    output = session.output
    output.json(found)
    output.say(Text.assemble((found["id"], "bold"), f"  {found['name']}", (f"  {found['source']}", "dim")))
    output.say(Text(found["description"], "dim"), "")
    output.say(Text(yaml.safe_dump(_authored(found["definition"]), sort_keys=False, allow_unicode=True).rstrip()))


def _authored(definition: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty or null, which nobody would write."""
    return {
        name: value
        for name, value in definition.items()
        if value not in (None, [], {}, "") and name != "trigger_configs"
    }


@app.command
async def use(
    template: str,
    /,
    *,
    id: Annotated[str, Parameter(name="--id")],  # noqa: A002  the option's name
    name: str = "",
    set: Annotated[list[str] | None, Parameter(name="--set")] = None,  # noqa: A002  the option's name
    session: Annotated[Session, Hidden],
) -> None:
    """Make a workflow of a template.

    Parameters
    ----------
    template
        Id of the template.
    id
        Id of the new workflow.
    name
        Name of the new workflow, else the template's.
    set
        Another default for a variable, as NAME=VALUE; VALUE is JSON, or a text. May be given several times.
    """
    variables = dict(_variable(word) for word in set or [])
    fields = {"id": id, "variables": variables, **({"name": name} if name else {})}
    async with session.client() as client:
        try:
            saved = await client.instantiate(template, **fields)
        except Refused as refused:
            raise await _refused(client, template, refused) from refused
    output = session.output
    output.json(saved)
    output.say(output.state("completed", (saved["id"], "bold"), f"  made of {template}"))
    output.say(Text(f"run it with: flowforge run {saved['id']} --watch", "dim"))


def _variable(word: str) -> tuple[str, Any]:
    name, sign, value = word.partition("=")
    if not sign or not name:
        raise Failure(f"'{word}' sets no variable", "write --set NAME=VALUE", status=EXIT_USAGE)
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


@app.command
async def save(
    workflow: str,
    /,
    *,
    id: Annotated[str, Parameter(name="--id")],  # noqa: A002  the option's name
    name: str = "",
    description: str = "",
    category: str = "",
    version: int | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Save a workflow as a template of one's own.

    Parameters
    ----------
    workflow
        Id of the workflow.
    id
        Id of the template.
    name
        Name of the template, else the workflow's.
    description
        What it is for, else what the workflow's says.
    category
        Under which it is listed.
    version
        Which version of the workflow, else the newest.
    """
    given = {"name": name, "description": description, "category": category, "version": version}
    async with session.client() as client:
        saved = await client.save_template(
            id, workflow_id=workflow, **{key: value for key, value in given.items() if value}
        )
    session.output.json(saved)
    session.output.say(session.output.state("completed", (id, "bold"), f"  saved, made of {workflow}"))


@app.command
async def delete(template: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Delete a template of one's own; workflows that were made of it stay.

    Parameters
    ----------
    template
        Id of the template.
    """
    async with session.client() as client:
        try:
            deleted = await client.delete_template(template)
        except Refused as refused:
            raise await _refused(client, template, refused) from refused
    session.output.json(deleted)
    session.output.say(session.output.state("completed", (template, "bold"), "  deleted"))


async def _found(client: "Client", template: str) -> dict[str, Any]:
    try:
        return await client.get_template(template)
    except Refused as refused:
        raise await _refused(client, template, refused) from refused


async def _refused(client: "Client", template: str, refused: Refused) -> Exception:
    """After a 404: which templates there are instead."""
    if refused.status != 404:
        return refused
    known = [str(item["id"]) for item in (await client.list_templates(limit=KNOWN_MAX))["items"]]
    return Failure(f"there is no template {template}", nearest(template, known), problem=refused.problem)
