"""`run`, `watch`, `runs`, `cancel`: starting runs and seeing them."""

from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from flowforge.errors import Refused
from rich.text import Text

from services.cli.connect import Session, json_argument, no_run, no_workflow
from services.cli.glyphs import STYLES, ago, duration
from services.cli.output import EXIT_OK, EXIT_USAGE, Failure, table
from services.cli.watching import watch_run

RUN_ID_CELLS = 36
LINES_PER_PAGE = 1_000
Hidden = Parameter(parse=False)
RunStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled", "partial"]


async def run(
    workflow: str,
    /,
    *,
    input: str | None = None,  # noqa: A002  the option's name
    var: Annotated[list[str] | None, Parameter(negative=())] = None,
    label: Annotated[list[str] | None, Parameter(negative=())] = None,
    version: int | None = None,
    from_node: str | None = None,
    breakpoint: Annotated[list[str] | None, Parameter(negative=())] = None,  # noqa: A002  the option's name
    watch: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    session: Annotated[Session, Hidden],
) -> int:
    """Start a run of a workflow; with --watch, show it until its end.

    Parameters
    ----------
    workflow
        Id of the workflow.
    input
        The run's input: JSON, @file, or - for stdin.
    var
        A variable, name=value; the value is JSON, or else text. May be given several times.
    label
        A label, name=value. May be given several times.
    version
        Another version than the newest.
    from_node
        Begin at this node, with --input as its input: only it and what lies below it runs.
    breakpoint
        Halt before this node. May be given several times.
    watch
        Show the run until it ends; the exit status says how it ended.
    """
    data = json_argument("--input", input)
    variables = {name: value_of(text) for name, text in pairs("--var", var)}
    labels = dict(pairs("--label", label))
    async with session.client() as client:
        try:
            run_id = await client.execute(
                workflow,
                data,
                variables=variables,
                labels=labels,
                version=version,
                from_node=from_node,
                breakpoints=breakpoint or (),
            )
        except Refused as refused:
            if refused.status == 404:
                raise await no_workflow(client, workflow, refused) from refused
            raise
        if watch:
            return await watch_run(session, client, run_id)
        started = {"run_id": run_id, "position": client.position}
    session.output.json(started)
    session.output.say(session.output.state("running", ("started", "bold"), f"  {workflow}  ", (run_id, "cyan")))
    session.output.say(Text(f"  watch it with: flowforge watch {run_id}", "dim"))
    return EXIT_OK


def pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in given or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise Failure(f"{option} {text}: expected name=value", status=EXIT_USAGE)
        pairs.append((name, value))
    return pairs


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text: `--var n=3` is a number, `--var region=eu` a string."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


async def watch(run: str, /, *, session: Annotated[Session, Hidden]) -> int:
    """Show a run live until its end; the exit status says how it ended.

    Parameters
    ----------
    run
        Id of the run.
    """
    async with session.client() as client:
        return await watch_run(session, client, run)


async def runs(
    *,
    workflow: str | None = None,
    status: RunStatus | None = None,
    label: str | None = None,
    at: str | None = None,
    shadow: bool | None = None,
    limit: int = 20,
    session: Annotated[Session, Hidden],
) -> None:
    """List runs, newest first.

    Parameters
    ----------
    workflow
        Only runs of this workflow.
    status
        Only runs that stand like this.
    label
        Only runs with this label, name=value.
    at
        Those that had not ended at a past moment, as they were then: a position of the log, or an ISO 8601 time.
    shadow
        Only shadow runs; with --no-shadow none of them.
    limit
        At most so many.
    """
    async with session.client() as client:
        page = await client.runs(
            workflow_id=workflow, status=status, label=label, active_at=at, shadow=shadow, limit=limit
        )
    session.output.json(page)
    items: list[dict[str, Any]] = page["items"]
    if not items:
        session.output.say(Text("no runs", "dim"))
        return
    rows = table("run", "workflow", "status", "trigger", "nodes", "took", "started", right=("nodes", "took"))
    rows.columns[0].min_width = RUN_ID_CELLS
    for name in ("status", "started"):
        next(column for column in rows.columns if column.header == name).no_wrap = True
    for item in items:
        rows.add_row(*_row(session, item))
    session.output.say(rows)
    if page.get("next_cursor"):
        session.output.say(Text(f"… and more: --limit {limit * 5}", "dim"))


def _row(session: Session, item: dict[str, Any]) -> list[Text]:
    status = str(item.get("status", ""))
    progress = item.get("progress") or {}
    counted = f"{progress.get('completed_nodes', 0)}/{progress.get('total_nodes', 0)}" if progress else ""
    took = item.get("duration_ms")
    trigger = item.get("trigger") or {}
    sign = session.output.glyphs.state(status)
    return [
        Text(str(item.get("run_id", "")), "cyan", no_wrap=True),
        Text(str(item.get("workflow_id", "")), "bold"),
        Text.assemble(sign, " ", (status, STYLES.get(status, ""))),
        Text(str(trigger.get("id") or trigger.get("type") or ""), "dim"),
        Text(counted, "dim"),
        Text(duration(took / 1000) if took is not None else ""),
        Text(ago(item.get("created_at")), "dim"),
    ]


async def logs(
    run: str,
    node: str | None = None,
    /,
    *,
    instance: str | None = None,
    attempt: int | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """Show what the jobs of a run wrote, oldest first.

    Parameters
    ----------
    run
        Id of the run.
    node
        Only this node.
    instance
        Only this item of a map.
    attempt
        Only this attempt.
    """
    filters = {"node_id": node, "instance": instance, "attempt": attempt, "limit": LINES_PER_PAGE}
    cursor: str | None = None
    async with session.client() as client:
        try:
            while True:
                page = await client.logs(run, cursor=cursor, **filters)
                for line in page["items"]:
                    _show_line(session, line)
                cursor = page.get("next_cursor")
                if cursor is None:
                    return
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run, refused) from refused
            raise


def _show_line(session: Session, line: dict[str, Any]) -> None:
    session.output.json(line)
    place = f"{line['node_id']}[{line['instance']}]" if line.get("instance") else line["node_id"]
    tried = f" #{line['attempt']}" if line.get("attempt", 1) > 1 else ""
    session.output.say(Text.assemble((f"{place}{tried}  ", "cyan"), str(line["text"])))


async def cancel(run: str, /, *, reason: str = "", session: Annotated[Session, Hidden]) -> None:
    """End a run: running jobs are told, cleanup nodes still run.

    Parameters
    ----------
    run
        Id of the run.
    reason
        Why; it is kept with the run.
    """
    async with session.client() as client:
        try:
            answer = await client.cancel(run, reason=reason)
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run, refused) from refused
            raise
    session.output.json(answer)
    session.output.say(session.output.state("cancelled", ("cancelling", "bold"), "  ", (run, "cyan")))
    session.output.say(Text(f"  see it end with: flowforge watch {run}", "dim"))


async def why(run: str, /, *, session: Annotated[Session, Hidden]) -> None:
    """Show why a run started: its trigger and cause, and what led to those, back to the first event.

    Parameters
    ----------
    run
        Id of the run.
    """
    async with session.client() as client:
        try:
            steps: list[dict[str, Any]] = (await client.run(run)).get("causes") or []
        except Refused as refused:
            if refused.status == 404:
                raise no_run(run, refused) from refused
            raise
    session.output.json(steps)
    for number, step in enumerate(steps):
        trigger, cause = step["trigger"], step["cause"]
        session.output.say(
            Text.assemble(
                "  " * number,
                (step["workflow_id"], "bold"),
                (f"  {step['run_id']}  {ago(step['created_at'])}", "dim"),
            ),
            Text.assemble(
                "  " * number,
                ("  by ", "dim"),
                (f"{trigger['type']} {trigger['id']}", "cyan"),
                (" for ", "dim"),
                f"{cause['type']} {cause['id']}",
                (f" from {cause['source']}", "dim"),
            ),
        )
