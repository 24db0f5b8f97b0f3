"""`runs cancel|pause|resume|step|retry|change|bulk`: what people do to runs."""

import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.commands.runs import RunStatus, cancel, pairs, runs
from services.cli.connect import Session, no_run
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Failure, table

if TYPE_CHECKING:
    from flowforge.client import Client

Hidden = Parameter(parse=False)
Several = Parameter(negative=())
BulkAction = Literal["cancel", "retry", "pause", "resume"]
NO_SUCH_RUN = "there is no run"

app = App(name="runs", help="List runs, newest first; pause, resume, step, retry, change and cancel them.")
app.default(runs)
app.command(cancel)


@contextlib.asynccontextmanager
async def of_run(session: Session, run: str) -> AsyncGenerator["Client", None]:
    """A client for something that is done to one run."""
    async with session.client() as client:
        try:
            yield client
        except Refused as refused:
            if refused.status == 404 and str(refused).startswith(NO_SUCH_RUN):
                raise no_run(run, refused) from refused
            raise


def told(session: Session, answer: dict[str, Any], run: str, status: str, done: str) -> None:
    """What was done, and where to see what comes of it."""
    session.output.json(answer)
    session.output.say(session.output.state(status, (done, "bold"), "  ", (run, "cyan")))


@app.command
async def pause(run: str, /, *, reason: str = "", session: Annotated[Session, Hidden]) -> None:
    """Nothing new starts; running jobs finish, timeouts stand still.

    Parameters
    ----------
    run
        Id of the run.
    reason
        Why; it is kept with the run.
    """
    async with of_run(session, run) as client:
        answer = await client.pause(run, reason)
    told(session, answer, run, "paused", "paused")
    session.output.say(
        Text(f"  go on with: flowforge runs resume {run}, or step by step: flowforge runs step {run}", "dim")
    )


@app.command
async def resume(run: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """A paused run goes on, up to its next breakpoint.

    Parameters
    ----------
    run
        Id of the run.
    """
    async with of_run(session, run) as client:
        answer = await client.resume(run)
    told(session, answer, run, "running", "goes on")


@app.command
async def step(run: str, /, *, steps: int = 1, session: Annotated[Session, Hidden]) -> None:
    """A paused run goes on until so many nodes have started, and halts again.

    Parameters
    ----------
    run
        Id of the run.
    steps
        So many nodes.
    """
    async with of_run(session, run) as client:
        answer = await client.step(run, steps)
    told(session, answer, run, "running", f"takes {steps} {'step' if steps == 1 else 'steps'}")


@app.command
async def retry(
    run: str,
    /,
    *,
    node: Annotated[list[str] | None, Parameter(name=["--from", "--node"], negative=())] = None,
    reason: str = "",
    session: Annotated[Session, Hidden],
) -> None:
    """An ended run goes on from what failed or was stopped; the other nodes keep their outputs.

    Parameters
    ----------
    run
        Id of the run.
    node
        From this node on instead, and everything below it. May be given several times.
    reason
        Why; it is kept with the run.
    """
    async with of_run(session, run) as client:
        answer = await client.retry(run, node or [], reason)
    told(session, answer, run, "running", "goes on")
    session.output.say(Text(f"  watch it with: flowforge watch {run}", "dim"))


@app.command
async def change(
    run: str,
    /,
    *,
    priority: int | None = None,
    label: Annotated[list[str] | None, Several] = None,
    breakpoint: Annotated[list[str] | None, Several] = None,  # noqa: A002  the option's name
    no_labels: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    no_breakpoints: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    session: Annotated[Session, Hidden],
) -> None:
    """Another priority, other labels or breakpoints; what is not named stays as it is.

    Parameters
    ----------
    run
        Id of the run.
    priority
        Runs and jobs of a higher one come first.
    label
        All the labels from now on, name=value. May be given several times.
    breakpoint
        All the nodes before which the run halts from now on. May be given several times.
    no_labels
        Take all labels away.
    no_breakpoints
        Take all breakpoints away.
    """
    labels = {} if no_labels else dict(pairs("--label", label)) if label else None
    breakpoints = [] if no_breakpoints else breakpoint
    if priority is None and labels is None and breakpoints is None:
        raise Failure("nothing is to be changed", "name --priority, --label or --breakpoint", status=EXIT_USAGE)
    async with of_run(session, run) as client:
        answer = await client.change_run(run, priority=priority, labels=labels, breakpoints=breakpoints)
    told(session, answer, run, "completed", "changed")


@app.command
async def bulk(
    action: BulkAction,
    /,
    *,
    workflow: str | None = None,
    status: RunStatus | None = None,
    label: str | None = None,
    since: str | None = None,
    until: str | None = None,
    run: Annotated[list[str] | None, Several] = None,
    reason: str = "",
    session: Annotated[Session, Hidden],
) -> int:
    """Do the same to many runs: those for which all that is named is so. Without --status, those that it can concern.

    Parameters
    ----------
    action
        What is to be done.
    workflow
        Runs of this workflow.
    status
        Runs that stand like this.
    label
        Runs with this label, name=value.
    since
        Runs created at or after this time (RFC 3339).
    until
        Runs created before this time.
    run
        This run. May be given several times.
    reason
        Why; it is kept with the runs.
    """
    filters = {
        "workflow_id": workflow,
        "status": status,
        "label": label,
        "since": since,
        "until": until,
        "run_ids": run,
    }
    async with session.client() as client:
        answer = await client.bulk(action, reason, **filters)
    session.output.json(answer)
    _say_bulk(session, action, answer)
    return EXIT_FAILED if answer["refused"] else EXIT_OK


def _say_bulk(session: Session, action: str, answer: dict[str, Any]) -> None:
    count, refused = answer["accepted"], answer["refused"]
    state = "warning" if refused else "completed"
    session.output.say(session.output.state(state, (f"{action}: {count} {'run' if count == 1 else 'runs'}", "bold")))
    if refused:
        rows = table("refused", "why")
        for each in refused:
            rows.add_row(Text(each["run_id"], "cyan", no_wrap=True), Text(each["detail"]))
        session.output.say(rows)
    if answer["has_more"]:
        session.output.say(Text("… and there are more: ask again", "dim"))
