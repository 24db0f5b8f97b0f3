"""`state`, `fork`, `diff`: a run as it was at a past moment, a new one that goes on from there, and what it changed."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli import view
from services.cli.commands.runs import pairs, value_of
from services.cli.connect import Session, json_argument, no_run
from services.cli.output import EXIT_OK, EXIT_USAGE, Failure, table
from services.cli.tree import RunTree
from services.cli.watching import watch_run

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
Several = Parameter(negative=())
VALUE_CHARS_MAX = 80


async def state(run: str, /, *, at: str | None = None, session: Annotated[Session, Hidden]) -> None:
    """Show a run as it was at a past moment.

    Parameters
    ----------
    run
        Id of the run.
    at
        A position of the log, or an ISO 8601 time; now, where it is left out. `flowforge events list` tells both.
    """
    async with session.client() as client:
        told = await _state(client, run, at)
        session.output.json(told)
        if session.output.as_json:
            return
        as_of = told["as_of"]
        graph = [(row["node_id"], row["type"], row["dependencies"]) for row in told["node_runs"]]
        seen = view.initial(run, graph, None)
        async for event in client.events(run):
            if event["position"] > as_of["position"]:
                break
            data = msgspec.json.encode(event["data"])
            view.apply(seen, event["type"], data, msgspec.convert(event["recorded_at"], datetime), event["position"])
    moment = msgspec.convert(as_of["at"], datetime)
    session.output.say(RunTree(seen, lambda: moment))
    session.output.say(Text(f"as of position {as_of['position']}, {as_of['at']} ({as_of['type']})", "dim"))
    session.output.say(Text(f"go on from there with: flowforge fork {run} --at {as_of['position']}", "dim"))


async def _state(client: "Client", run: str, at: str | None) -> dict[str, Any]:
    try:
        return await client.state(run, at)
    except Refused as refused:
        if refused.status == 404 and "there is no run" in str(refused):
            raise no_run(run, refused) from refused
        raise


async def fork(
    run: str,
    /,
    *,
    at: str | None = None,
    input: str | None = None,  # noqa: A002  the option's name
    var: Annotated[list[str] | None, Several] = None,
    output: Annotated[list[str] | None, Several] = None,
    rerun: Annotated[list[str] | None, Several] = None,
    version: str | None = None,
    label: Annotated[list[str] | None, Several] = None,
    shadow: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    watch: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    session: Annotated[Session, Hidden],
) -> int:
    """Start a new run from a past moment of another: what had completed then is taken over, the rest runs anew.

    Parameters
    ----------
    run
        Id of the run to go on from.
    at
        A position of the log, or an ISO 8601 time; now, where it is left out.
    input
        Another input: JSON, @file, or - for stdin. Every node runs anew then.
    var
        A variable, name=value; the value is JSON, or else text. May be given several times.
    output
        The output of a node, node=value, which then does not run. May be given several times.
    rerun
        A node that is to run anew. May be given several times.
    version
        Another version of the workflow: a number, or latest.
    label
        A label, name=value, in place of those of the run. May be given several times.
    shadow
        Do nothing outside: what jobs, children, people and events did in the run is taken from its history.
    watch
        Show the new run until it ends; the exit status says how it ended.
    """
    changes: dict[str, Any] = {}
    if input is not None:
        changes["input_data"] = json_argument("--input", input)
    if var:
        changes["variables"] = {name: value_of(text) for name, text in pairs("--var", var)}
    if output:
        changes["node_outputs"] = {name: value_of(text) for name, text in pairs("--output", output)}
    if version is not None:
        changes["version"] = _version(version)
    if label:
        changes["labels"] = dict(pairs("--label", label))
    if shadow:
        changes["shadow"] = True
    async with session.client() as client:
        try:
            forked = await client.fork(run, at, rerun=rerun or [], **changes)
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run, refused) from refused
            raise
        if watch:
            return await watch_run(session, client, forked)
        session.output.json({"run_id": forked, "position": client.position, "forked_from": run})
    session.output.say(session.output.state("running", ("forked", "bold"), "  ", (forked, "cyan")))
    session.output.say(Text(f"  watch it with: flowforge watch {forked}", "dim"))
    return EXIT_OK


def _version(text: str) -> int | str:
    if text == "latest":
        return text
    try:
        return msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        raise Failure(f"--version {text}: expected a number, or latest", status=EXIT_USAGE) from None


async def diff(run: str, other: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Show what differs from one run to another, such as a fork of it.

    Parameters
    ----------
    run
        Id of the first run.
    other
        Id of the run to compare it with.
    """
    async with session.client() as client:
        try:
            told = await client.run_diff(run, other)
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run if run in str(refused) else other, refused) from refused
            raise
    session.output.json(told)
    for one in told["fields"]:
        session.output.say(Text.assemble((f"{one['field']:<20}", "bold"), _arrow(one["before"], one["after"])))
    nodes = table("node", "before", "after", "changed")
    for node in told["nodes"]:
        nodes.add_row(*_compared(node))
    session.output.say(nodes)


def _compared(node: dict[str, Any]) -> list[str]:
    before, after = node["before"] or {}, node["after"] or {}
    how = "taken over" if node["is_reused"] else ", ".join(node["changed"])
    return [node["node_id"], before.get("status", "–"), after.get("status", "–"), how]


def _arrow(before: Any, after: Any) -> str:
    return " → ".join(msgspec.json.encode(value).decode()[:VALUE_CHARS_MAX] for value in (before, after))
