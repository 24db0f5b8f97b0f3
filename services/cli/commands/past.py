"""`state`, `fork`: a run as it was at a past moment, and a new one that goes on from there."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli import view
from services.cli.commands.runs import pairs, value_of
from services.cli.connect import Session, json_argument, no_run
from services.cli.output import EXIT_OK, EXIT_USAGE, Failure
from services.cli.tree import RunTree
from services.cli.watching import watch_run

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
Several = Parameter(negative=())


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
