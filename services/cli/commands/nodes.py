"""`nodes complete|fail|skip`: nodes of a run, decided by hand."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from services.cli.commands.operations import of_run
from services.cli.connect import Session, json_argument

Hidden = Parameter(parse=False)

app = App(name="nodes", help="Complete, fail or skip a node of a run by hand.")


@app.command
async def complete(
    run: str,
    node: str,
    /,
    *,
    output: str | None = None,
    instance: str = "",
    comment: str = "",
    session: Annotated[Session, Hidden],
) -> None:
    """The node has completed, whatever it was doing.

    Parameters
    ----------
    run
        Id of the run.
    node
        Id of the node.
    output
        What it gave: JSON, @file, or - for stdin.
    instance
        Only this item of a map, or this iteration of the loop around it.
    comment
        Why; it is kept with the run.
    """
    given = json_argument("--output", output)
    async with of_run(session, run) as client:
        answer = await client.complete_node(run, node, given, instance=instance, comment=comment)
    _say(session, answer, "completed", node, instance)


@app.command
async def fail(
    run: str,
    node: str,
    /,
    *,
    message: str = "",
    instance: str = "",
    comment: str = "",
    session: Annotated[Session, Hidden],
) -> None:
    """The node has failed for good, whatever it was doing.

    Parameters
    ----------
    run
        Id of the run.
    node
        Id of the node.
    message
        The message of its error.
    instance
        Only this item of a map, or this iteration of the loop around it.
    comment
        Why; it is kept with the run.
    """
    async with of_run(session, run) as client:
        answer = await client.fail_node(run, node, message, instance=instance, comment=comment)
    _say(session, answer, "failed", node, instance)


@app.command
async def skip(
    run: str, node: str, /, *, instance: str = "", comment: str = "", session: Annotated[Session, Hidden]
) -> None:
    """The node is left out; what lies below it is decided as below any skipped node.

    Parameters
    ----------
    run
        Id of the run.
    node
        Id of the node.
    instance
        Only this iteration of the loop around it.
    comment
        Why; it is kept with the run.
    """
    async with of_run(session, run) as client:
        answer = await client.skip_node(run, node, instance=instance, comment=comment)
    _say(session, answer, "skipped", node, instance)


def _say(session: Session, answer: dict[str, Any], status: str, node: str, instance: str) -> None:
    session.output.json(answer)
    place = f"{node}[{instance}]" if instance else node
    session.output.say(session.output.state(status, (status, "bold"), f"  {place}  by hand"))
