"""`stats`: what became of runs, of one workflow or of all."""

from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from services.cli.connect import Session
from services.cli.glyphs import duration
from services.cli.output import table

Hidden = Parameter(parse=False)
COUNTED = ("created", "completed", "failed", "cancelled", "partial")


async def stats(
    workflow: str | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    session: Annotated[Session, Hidden],
) -> None:
    """What became of runs, and how long they took: of one workflow with its triggers and nodes, or of each workflow.

    Parameters
    ----------
    workflow
        Id of the workflow; without it, all of them.
    since
        From the hour in which this time (ISO 8601) lies; without it, 7 days before `until`.
    until
        To the end of the hour in which this lies; without it, now.
    """
    async with session.client() as client:
        if workflow is None:
            told = await client.stats(since=since, until=until)
        else:
            told = await client.workflow_stats(workflow, since=since, until=until)
    session.output.json(told)
    session.output.say(*(_of_all(told) if workflow is None else _of_one(told)))


def _of_all(told: dict[str, Any]) -> list[Any]:
    usage: dict[str, Any] = told["usage"]
    if not usage["workflows"]:
        return [Text(f"no run began or ended between {usage['since']} and {usage['until']}", "dim")]
    rows = table("workflow", *COUNTED, "success", right=(*COUNTED, "success"))
    for one in usage["workflows"]:
        rows.add_row(Text(one["workflow_id"], "bold"), *_counts(one["runs"]))
    return [rows]


def _of_one(told: dict[str, Any]) -> list[Any]:
    times = ("p50", "p95", "p99")
    rows = table("", *COUNTED, "success", *times, right=(*COUNTED, "success", *times))
    of_all: list[Any] = [Text("all runs", "bold"), told["runs"], told["durations"]]
    of_triggers: list[list[Any]] = [
        [Text(f"{one['type']} {one['id']}"), one["runs"], one["durations"]] for one in told["triggers"]
    ]
    for name, runs, durations in (of_all, *of_triggers):
        rows.add_row(name, *_counts(runs), *(_took(durations[f"{time}_ms"]) for time in times))
    head = Text(f"{told['active']:,} under way, {told['throughput_per_hour']:g} ended per hour", "dim")
    if not told["nodes"]:
        return [rows, head]
    nodes = table(
        "node", "completed", "failed", "skipped", "took", "±", right=("completed", "failed", "skipped", "took", "±")
    )
    for node in told["nodes"]:
        counts = [f"{node[f'{name}_count']:,}" for name in ("completed", "failed", "skipped")]
        nodes.add_row(Text(node["node_id"]), *counts, _took(node["average_ms"]), _took(node["deviation_ms"]))
    return [rows, head, "", nodes]


def _counts(runs: dict[str, Any]) -> list[str]:
    rate = runs["success_rate"]
    return [*(f"{runs[name]:,}" for name in COUNTED), "—" if rate is None else f"{rate:.1%}"]


def _took(milliseconds: float | None) -> str:
    return "—" if milliseconds is None else duration(milliseconds / 1000)
