"""`prompts list|show|save|delete`: stored, versioned prompts that `prompt_execution` nodes name."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import yaml
from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session, nearest
from services.cli.output import EXIT_USAGE, STDIN, Failure, table

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
KNOWN_MAX = 1_000
FIELDS = ("name", "description", "prompt", "system")
DOCUMENTS = frozenset({".json", ".yaml", ".yml"})
app = App(name="prompts", help="Stored, versioned prompts for language models.")


@app.command(name="list")
async def show_all(*, limit: int = 50, session: Annotated[Session, Hidden]) -> None:
    """List the stored prompts, the newest first.

    Parameters
    ----------
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await client.list_prompts(limit=limit)
    session.output.json(page)
    rows = table("prompt", "name", "version", "changed", "by")
    for item in page["items"]:
        rows.add_row(
            Text(item["id"], "bold"), item["name"], str(item["version"]), Text(item["updated_at"], "dim"),
            Text(item["created_by"] or "", "dim"),
        )  # fmt: skip
    session.output.say(rows)


@app.command
async def show(prompt: str, /, *, version: int | None = None, session: Annotated[Session, Hidden]) -> None:
    """Show a stored prompt.

    Parameters
    ----------
    prompt
        Id of the prompt.
    version
        Which version, else the newest.
    """
    async with session.client() as client:
        try:
            found = await client.get_prompt(prompt, version)
        except Refused as refused:
            raise await _refused(client, prompt, refused) from refused
    output = session.output
    output.json(found)
    output.say(Text.assemble((found["id"], "bold"), f"  {found['name']}", (f"  version {found['version']}", "dim")))
    if found["description"]:
        output.say(Text(found["description"], "dim"))
    for field in ("system", "prompt"):
        if found[field] is not None:
            output.say("", Text(field, "dim"), Text(_readable(found[field])))


def _readable(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()


@app.command
async def save(
    prompt: str,
    /,
    *,
    file: str | None = None,
    text: str | None = None,
    system: str | None = None,
    name: str | None = None,
    description: str | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Save a prompt, or a new version of it. What is left out stays as it is in the newest version.

    Parameters
    ----------
    prompt
        Id of the prompt.
    file
        The prompt: a text, or a .json or .yaml file with a list of {role, content} or with the fields of a prompt
        (prompt, system, name, description). `-` is stdin.
    text
        The prompt, as a text.
    system
        The system prompt; an empty one takes it away.
    name
        What it is called, else its id.
    description
        What it is for.
    """
    if file is not None and text is not None:
        raise Failure("both --file and --text give the prompt", "leave one of them out", status=EXIT_USAGE)
    words = {"prompt": text, "system": system, "name": name, "description": description}
    given = {**_from_file(file), **{field: word for field, word in words.items() if word is not None}}
    async with session.client() as client:
        before = await _newest(client, prompt)
        if "prompt" not in given and not before:
            raise Failure(f"there is no prompt {prompt} yet", "write --text TEXT, or --file FILE", status=EXIT_USAGE)
        kept = {field: before[field] for field in FIELDS if field in before}
        saved = await client.save_prompt(prompt, expected_version=before.get("version"), **{**kept, **given})
    session.output.json(saved)
    session.output.say(session.output.state("completed", (prompt, "bold"), f"  version {saved['version']}"))


def _from_file(file: str | None) -> dict[str, Any]:
    """The fields that a file gives. A text file is the prompt, without the line ends after it."""
    if file is None:
        return {}
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is no UTF-8 text"
        raise Failure(f"cannot read {file}: {reason}", "name a text, .json or .yaml file", status=EXIT_USAGE) from fault
    if Path(file).suffix.lower() not in DOCUMENTS:
        return {"prompt": text.rstrip("\r\n")}
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as fault:
        raise Failure(f"{file} is no document: {fault}", "mend it, or name a text file", status=EXIT_USAGE) from fault
    if not isinstance(document, dict):
        return {"prompt": document}
    fields = cast("dict[str, Any]", document)
    if strange := [field for field in fields if field not in (*FIELDS, "id")]:
        step = f"a prompt has {', '.join(FIELDS)}"
        raise Failure(f"{file} has an unknown field {strange[0]}", step, status=EXIT_USAGE)
    return {field: value for field, value in fields.items() if field in FIELDS}


async def _newest(client: "Client", prompt: str) -> dict[str, Any]:
    try:
        return await client.get_prompt(prompt)
    except Refused as refused:
        if refused.status != 404:
            raise
        return {}


@app.command
async def delete(prompt: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Delete a stored prompt; nodes that name one of its versions still find that.

    Parameters
    ----------
    prompt
        Id of the prompt.
    """
    async with session.client() as client:
        try:
            deleted = await client.delete_prompt(prompt)
        except Refused as refused:
            raise await _refused(client, prompt, refused) from refused
    session.output.json(deleted)
    session.output.say(session.output.state("completed", (prompt, "bold"), "  deleted"))


async def _refused(client: "Client", prompt: str, refused: Refused) -> Exception:
    """After a 404: which prompts there are instead."""
    if refused.status != 404:
        return refused
    known = [str(item["id"]) for item in (await client.list_prompts(limit=KNOWN_MAX))["items"]]
    return Failure(f"there is no prompt {prompt}", nearest(prompt, known), problem=refused.problem)
