"""Workflows and the installation in numbers: what became of runs, how long they took, who and what they were for."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.problems import bad_request, not_found
from services.projections.api.reads import Reads
from services.projections.conditions import utc
from services.projections.estimating import NodeUsual
from services.projections.statistics import hour_of, merged, quantile

PERIOD_DEFAULT = timedelta(days=7)
PERIOD_MAX = timedelta(days=366)
USAGE_COUNT_MAX = 50
"""So many workflows, templates and users are named, the most used first."""
_SUMS = (
    "sum(created)::bigint, sum(completed)::bigint, sum(failed)::bigint, sum(cancelled)::bigint, sum(partial)::bigint"
)
_HOURS = """
    select hour, trigger_type, trigger_id, created, completed, failed, cancelled, partial, duration_ms, durations
    from projections.run_hours where workflow_id = $1 and hour >= $2 and hour < $3 order by hour, trigger_type, trigger_id
"""
_NODES = """
    select node_id, completed_count, failed_count, skipped_count, timed_count, mean_ms, sqrt(variance_ms2)
    from projections.node_statistics where workflow_id = $1 order by mean_ms desc, node_id
"""
_USUAL = """
    select workflow_id, node_id, completed_count, skipped_count, timed_count, mean_ms, variance_ms2
    from projections.node_statistics where workflow_id = any($1)
"""
_ACTIVE = "select count(*) from projections.runs where workflow_id = $1 and status = any($2)"
_WORKFLOW = "select status from projections.workflows where id = $1"
_ENDED = "select id, count from projections.usage where kind = 'ended' and count > 0"
_COUNTS = (
    "select status, count(*) from projections.workflows group by status",
    "select status, count(*) from projections.runs where status = any($1) group by status",
)
_BY_WORKFLOW = f"""
    select workflow_id, {_SUMS} from projections.run_hours
    where hour >= $1 and hour < $2 group by workflow_id order by 2 desc, workflow_id limit $3
"""  # noqa: S608  constants
_BY_HOUR = f"""
    select hour, {_SUMS} from projections.run_hours where hour >= $1 and hour < $2 group by hour order by hour
"""  # noqa: S608  constants
_BY_TEMPLATE = """
    select w.template_id, count(distinct w.id), coalesce(sum(h.created), 0)::bigint
    from projections.workflows w
    left join projections.run_hours h on h.workflow_id = w.id and h.hour >= $1 and h.hour < $2
    where w.template_id is not null group by w.template_id order by 3 desc, 1 limit $3
"""
_BY_ACTOR = """
    select id, count, first_at, last_at from projections.usage where kind = 'actor' order by count desc, id limit $1
"""
_RECEIVED = "select coalesce(sum(count), 0)::bigint from projections.usage where kind = 'events'"
_ACTIVE_STATUSES = ["pending", "running", "paused"]

Since = Annotated[
    datetime | None, Parameter(description="from the hour in which this lies; without it, 7 days before `until`")
]
Until = Annotated[datetime | None, Parameter(description="to the end of the hour in which this lies; without it, now")]


class RunCounts(msgspec.Struct):
    """Runs that were created, and how many ended how. `success_rate` is the share of those completed among all that ended
    on their own: the cancelled ones are left out; null of none."""

    created: int
    completed: int
    failed: int
    cancelled: int
    partial: int
    success_rate: float | None


class Durations(msgspec.Struct):
    """Of runs that ended with an output (completed or partial). Quantiles are off by less than one part in 64."""

    count: int
    average_ms: float | None
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


class TriggerRuns(msgspec.Struct):
    """What became of the runs that one trigger started."""

    type: str
    id: str
    runs: RunCounts
    durations: Durations


class HourRuns(msgspec.Struct):
    """One hour (UTC) in which runs were created or ended; hours without are left out."""

    hour: datetime
    runs: RunCounts
    durations: Durations


class NodeDurations(msgspec.Struct):
    """A node over all versions of its workflow; mean and deviation follow its last 50 or so timed completions."""

    node_id: str
    completed_count: int
    failed_count: int
    skipped_count: int
    timed_count: int
    average_ms: float
    deviation_ms: float


class WorkflowStats(msgspec.Struct):
    """`runs` count what was created and what ended between `since` and `until`, whole hours; `active` are those now.

    `throughput_per_hour`: runs that ended, however, per hour of that time."""

    workflow_id: str
    since: datetime
    until: datetime
    active: int
    runs: RunCounts
    durations: Durations
    throughput_per_hour: float
    triggers: list[TriggerRuns]
    hours: list[HourRuns]
    nodes: list[NodeDurations]


class HourCounts(msgspec.Struct):
    """Runs of all workflows in one hour (UTC); hours without are left out."""

    hour: datetime
    runs: RunCounts


class WorkflowUsage(msgspec.Struct):
    """How much a workflow ran."""

    workflow_id: str
    runs: RunCounts


class TemplateUsage(msgspec.Struct):
    """How many workflows were made of a template, and how many runs of those were created."""

    template_id: str
    workflows: int
    runs: int


class ActorUsage(msgspec.Struct):
    """How many runs somebody started, ever."""

    actor: str
    runs: int
    first_at: datetime
    last_at: datetime


class Usage(msgspec.Struct):
    """Who and what runs were for, the most first: workflows and templates between `since` and `until`, users ever; and
    how many runs were created and ended in each `hours` of that time."""

    since: datetime
    until: datetime
    hours: list[HourCounts]
    workflows: list[WorkflowUsage]
    templates: list[TemplateUsage]
    actors: list[ActorUsage]


class Stats(msgspec.Struct):
    """The installation in numbers."""

    workflows: dict[str, int]
    runs: dict[str, int]
    received_events: int
    dead_letters: int
    log_position: int
    projected_position: int
    usage: Usage


def period(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Whole hours that hold both. Raises a 400 `Problem` where the one is after the other, or too far from it, or where
    there are no such hours."""
    try:
        end = hour_of(utc(until) or datetime.now(UTC)) + timedelta(hours=1)
        begin = hour_of(utc(since) or end - PERIOD_DEFAULT)
    except OverflowError:
        raise bad_request("query", "`since` or `until` lies at the end of all times: name a time of this era") from None
    if begin >= end:
        raise bad_request("query.since", "`since` lies after `until`: exchange them")
    if end - begin > PERIOD_MAX:
        raise bad_request("query.since", f"statistics are of at most {PERIOD_MAX.days} days: ask for them year by year")
    return begin, end


@get("/{workflow_id:str}/stats", opt=VIEWER)
async def read_workflow_stats(
    reads: Reads, workflow_id: str, since: Since = None, until: Until = None
) -> WorkflowStats:
    """What became of a workflow's runs in some time, how long they and their nodes took, by trigger and by hour."""
    begin, end = period(since, until)
    if await reads.pool.fetchval(_WORKFLOW, workflow_id) is None:
        raise not_found("workflow", workflow_id)
    rows = await reads.pool.fetch(_HOURS, workflow_id, begin, end)
    runs = _counts(rows)
    hours = (min(end, datetime.now(UTC)) - begin) / timedelta(hours=1)
    triggers = sorted({(row["trigger_type"], row["trigger_id"]) for row in rows})
    return WorkflowStats(
        workflow_id=workflow_id,
        since=begin,
        until=end,
        active=await reads.pool.fetchval(_ACTIVE, workflow_id, _ACTIVE_STATUSES),
        runs=runs,
        durations=_durations(rows),
        throughput_per_hour=round((runs.completed + runs.failed + runs.cancelled + runs.partial) / hours, 3),
        triggers=[TriggerRuns(*key, *_both(_of(rows, key))) for key in triggers],
        hours=[HourRuns(hour, *_both(found)) for hour, found in _by_hour(rows).items()],
        nodes=[NodeDurations(*row) for row in await reads.pool.fetch(_NODES, workflow_id)],
    )


def _of(rows: Iterable[Mapping[str, Any]], trigger: tuple[str, str]) -> list[Mapping[str, Any]]:
    return [row for row in rows if (row["trigger_type"], row["trigger_id"]) == trigger]


def _by_hour(rows: Iterable[Mapping[str, Any]]) -> dict[datetime, list[Mapping[str, Any]]]:
    hours: dict[datetime, list[Mapping[str, Any]]] = {}
    for row in rows:
        hours.setdefault(row["hour"], []).append(row)
    return hours


def _both(rows: list[Mapping[str, Any]]) -> tuple[RunCounts, Durations]:
    return _counts(rows), _durations(rows)


def _counts(rows: Iterable[Mapping[str, Any]]) -> RunCounts:
    return counts_of(*(sum(row[name] for row in rows) for name in RunCounts.__struct_fields__[:5]))


def counts_of(created: int, completed: int, failed: int, cancelled: int, partial: int) -> RunCounts:
    """With the share that succeeded."""
    judged = completed + failed + partial
    rate = round(completed / judged, 4) if judged else None
    return RunCounts(created, completed, failed, cancelled, partial, rate)


def _durations(rows: Iterable[Mapping[str, Any]]) -> Durations:
    histogram = merged([row["durations"] for row in rows])
    count = sum(histogram.values())
    total_ms = sum(row["duration_ms"] for row in rows)
    quantiles = [quantile(histogram, share) for share in (0.5, 0.95, 0.99)]
    return Durations(count, round(total_ms / count, 3) if count else None, *quantiles)


async def usual_of(reads: Reads, workflow_ids: Iterable[str]) -> dict[str, dict[str, NodeUsual]]:
    """How the nodes of these workflows did before, by workflow and node."""
    usual: dict[str, dict[str, NodeUsual]] = {workflow_id: {} for workflow_id in workflow_ids}
    if usual:
        for workflow_id, node_id, *fields in await reads.pool.fetch(_USUAL, list(usual)):
            usual[workflow_id][node_id] = NodeUsual(*fields)
    return usual


@get("/", opt=VIEWER)
async def read_stats(reads: Reads, since: Since = None, until: Until = None) -> Stats:
    """How much there is of everything, and who and what runs were for."""
    begin, end = period(since, until)
    return Stats(
        workflows=dict(await reads.pool.fetch(_COUNTS[0])),
        runs={
            **dict(await reads.pool.fetch(_ENDED)),
            **dict(await reads.pool.fetch(_COUNTS[1], _ACTIVE_STATUSES)),
        },
        received_events=await reads.pool.fetchval(_RECEIVED),
        dead_letters=await reads.pool.fetchval("select count(*) from projections.dead_letters"),
        log_position=(await reads.log.head()).position,
        projected_position=await reads.position(),
        usage=await _usage(reads, begin, end),
    )


async def _usage(reads: Reads, begin: datetime, end: datetime) -> Usage:
    by_hour = await reads.pool.fetch(_BY_HOUR, begin, end)
    by_workflow = await reads.pool.fetch(_BY_WORKFLOW, begin, end, USAGE_COUNT_MAX)
    by_template = await reads.pool.fetch(_BY_TEMPLATE, begin, end, USAGE_COUNT_MAX)
    by_actor = await reads.pool.fetch(_BY_ACTOR, USAGE_COUNT_MAX)
    return Usage(
        since=begin,
        until=end,
        hours=[HourCounts(hour, counts_of(*counts)) for hour, *counts in by_hour],
        workflows=[WorkflowUsage(workflow_id, counts_of(*counts)) for workflow_id, *counts in by_workflow],
        templates=[TemplateUsage(*row) for row in by_template],
        actors=[ActorUsage(*row) for row in by_actor],
    )


def routers() -> list[Router]:
    """`/api/stats`; the statistics of one workflow are among the reads of workflows."""
    return [Router("/api/stats", route_handlers=[read_stats], tags=["activity"])]
