"""A million runs, written straight into the read models, and every list over HTTP: how long each takes, and by which plan.

Of use to `reading.py`, which runs it. Only reading is measured, so the rows come from one statement per table.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from figures import say
from flowforge.events import Event, WorkflowTriggered, encode
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from infra.embedded.front import lifespan
from infra.embedded.ports import LOOPBACK, free_port
from infra.embedded.postgres import OWNER
from infra.settings import Settings
from services.projections import store
from services.projections.api import create_app
from services.projections.api.moments import SPAN

RUNS_COUNT = 1_000_000
ASKED_COUNT = 40
ROUNDS = 2
PLANS = Path(__file__).with_name("PLANS.md")
"""Where the plans of the statements behind the lists are written."""
OLD_LABEL = {"label": "release=1.0"}
"""Fifty thousand runs have it, none of the newer half."""
WEEK = {"since": "2026-01-05T00:00:00Z", "until": "2026-01-12T00:00:00Z"}
LONG_AGO = {"until": "2026-01-01T01:00:00Z"}
DECISIONS = "/api/workflows/w-0100/triggers/on-order/decisions"
_TOOK = """
    case when n % 1000 = 0 then interval '1 day' when n % 10 = 0 then interval '1 minute' else interval '900 ms' end
"""
# $1 is the first instant, $2 how many runs, or of JSON the definition
_FILL = (
    """
    insert into workflows (id, created_at, created_by, created_position, version, status, name, experiment_id, tags,
    has_schedule, updated_at, position)
    select 'w-' || lpad(n::text, 4, '0'), $1::timestamptz, 'ada', n, 1,
    case when n % 10 = 0 then 'archived' else 'active' end, 'W ' || n, 'e-' || n % 20, array['t-' || n % 9],
    n % 2 = 0, $1, n
    from generate_series(1, 2000) n
    """,
    """
    insert into workflow_versions select 'w-' || lpad(n::text, 4, '0'), 1, $2::json, null, $1::timestamptz, 'ada', n
    from generate_series(1, 2000) n
    """,
    f"""
    insert into runs (run_id, workflow_id, workflow_version, trigger_type, trigger_id, cause_event_id, cause_type, cause_id,
    cause_source, caused_by_run_id, actor, input_data, depth, is_shadow, created_at, created_position, labels, priority, status,
    variables, output_data, error, started_at, completed_at, total_nodes, completed_nodes, ended_nodes, retries, position)
    select md5('run' || n)::uuid, case when n % 3 = 0 then 'w-0007' else 'w-' || lpad((1 + n % 2000)::text, 4, '0') end, 1,
    case when n % 50 = 0 then 'manual' else 'event' end, 'on-order', md5('event' || n)::uuid, 'order', 'o-' || n, '/shop',
    null, case when n % 50 = 0 then 'u-' || n % 97 end, '{{"n": 1}}', 1, false, $1::timestamptz + n * interval '1 second',
    10000 + n * 13, case when n % 100 = 0 then jsonb_build_object('team', 'x' || n % 1000)
    when n % 10 = 1 and n < $2 / 2 then '{{"release": "1.0"}}' else '{{}}'::jsonb end, 0,
    case when n > $2 - 200 then 'running' when n % 3 > 0 and n % 20 = 0 then 'failed' when n % 997 = 0 then 'partial'
    else 'completed' end, '{{}}', '{{"rows": 1}}', 'null', $1::timestamptz + n * interval '1 second',
    case when n <= $2 - 200 then $1::timestamptz + n * interval '1 second' + {_TOOK} end, 3, 3, 3, 0,
    10012 + n * 13 + 13 * floor(extract(epoch from {_TOOK}))::bigint from generate_series(1, $2::int) n
    """,
    """
    insert into run_labels select key || '=' || value, created_position, workflow_id
    from runs cross join lateral jsonb_each_text(labels) where labels <> '{}'
    """,
    """
    insert into node_runs (run_id, node_id, instance, status, attempt, output, error, job_id, job_type, queue, worker,
    queued_at, started_at, completed_at, started_position, position)
    select md5('run' || n)::uuid, node, '', 'completed', 1, '{"rows": 1}', 'null', md5(node || n)::uuid, 'work', 'default',
    'w1', $1::timestamptz + n * interval '1 second', $1::timestamptz + n * interval '1 second',
    $1::timestamptz + n * interval '1 second', 10003 + n * 13 + place, 10012 + n * 13
    from generate_series(1, $2::int) n cross join (values ('extract', 1), ('transform', 4), ('load', 7)) nodes (node, place)
    """,
    """
    insert into decisions select 10000 + n * 13, 'w-' || lpad((1 + n % 2000)::text, 4, '0'), 'on-order', 1,
    md5('event' || n)::uuid, 'order', 'o-' || n, '/shop', case when n % 30 = 0 then 'not_matched' else 'fired' end, null, null,
    '{}', case when n % 30 = 0 then null else md5('run' || n)::uuid end, $1::timestamptz + n * interval '1 second'
    from generate_series(1, $2::int) n
    """,
    """
    insert into received_events select 9999 + n * 13, md5('event' || n)::uuid, 'o-' || n,
    case when n % 5000 = 0 then '/rare' else '/shop' end, 'order', null, null, 'application/json', '{"n": 1}', '{}',
    $1::timestamptz + n * interval '1 second' from generate_series(1, $2::int) n
    """,
    """
    insert into audit select 9998 + n * 13, 'u-' || n % 97, case when n % 4000 = 0 then 'cancel' else 'execute' end,
    case when n % 4000 = 0 then 'run' else 'workflow' end, 'w-' || lpad((1 + n % 2000)::text, 4, '0'),
    'w-' || lpad((1 + n % 2000)::text, 4, '0'), $1::timestamptz + n * interval '1 second'
    from generate_series(1, $2::int) n
    """,
    """
    insert into dead_letters select md5('d' || n)::uuid, md5('dl' || n)::uuid, 9997 + n * 13, 'triggers', 'x', '{', 'utf-8',
    case when n % 2 = 0 then 'open' else 'retried' end, 'no JSON', 1, $1::timestamptz, 1, 0, null, null, 9997 + n * 13
    from generate_series(1, 20000) n
    """,
    """
    insert into approvals (requested_position, id, run_id, workflow_id, node_id, instance, attempt, message, approvers,
    requested_at, status, position) select 9996 + n * 13, 'a-' || n, md5('run' || n)::uuid,
    'w-' || lpad((1 + n % 2000)::text, 4, '0'), 'ask', '', 1, 'go on?', '[]', $1::timestamptz,
    case when n % 1000 = 0 then 'open' else 'approved' end, 9996 + n * 13 from generate_series(1, 200000) n
    """,
    """
    insert into run_hours select 'w-' || lpad(w::text, 4, '0'), date_trunc('hour', $1::timestamptz) + h * interval '1 hour',
    'event', 'on-order', 2, 2, 0, 0, 0, 1800, '{"367":2}', 1 from generate_series(1, 2000) w, generate_series(0, 99) h
    """,
)  # fmt: skip
# some of the runs in the log as well: those that were active at one moment, in the middle, with 8 of their 12 events
_LOGGED = f"""
    insert into eventlog.entries (position, stream_id, version, stream_type, types, data, salts, recorded_at)
    select 9999 + n * 13 + version + case when version > 8 then 13 * floor(extract(epoch from {_TOOK}))::bigint else 0 end,
    md5('run' || n)::uuid, version, 'run', types, replace(data, $2::text, md5('run' || n)::uuid::text),
    decode(repeat('00', 16 * events_count), 'hex'),
    $1::timestamptz + n * interval '1 second' + case when version > 8 then {_TOOK} else interval '0' end
    from generate_series(1, $3::int) n
    cross join unnest($4::int[], $5::int[], $6::text[], $7::text[]) entries (version, events_count, types, data)
    where n > $3 - 90000 and n % 1000 = 0 or n > $3 - 100
"""
_HEAD = "update eventlog.head set position = 20000 + 13 * $1::bigint"
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/runs", {}),
    ("/api/runs", {"workflow_id": "w-0100"}),
    *(("/api/runs", {"status": status}) for status in ("running", "completed", "failed", "partial", "cancelled")),
    *(("/api/runs", {"trigger_type": trigger}) for trigger in ("manual", "schedule")),
    *(("/api/runs", {"label": label}) for label in ("team=x500", "team=nobody")),
    ("/api/runs", OLD_LABEL),
    *(("/api/runs", {**OLD_LABEL, "workflow_id": name}) for name in ("w-0007", "w-0100")),
    *(("/api/runs", {"workflow_id": "w-0100", "status": status}) for status in ("failed", "completed", "cancelled")),
    ("/api/runs", {"workflow_id": "w-0100", "trigger_type": "manual"}),
    ("/api/runs", {"workflow_id": "none"}),
    *(("/api/runs", {**filters, **WEEK}) for filters in ({}, {"status": "failed"}, {"workflow_id": "w-0100"})),
    ("/api/runs", LONG_AGO),
    ("/api/runs", {"status": "completed", "trigger_type": "manual"}),
    ("/api/runs", {"status": "failed", "trigger_type": "manual"}),
    *(("/api/runs", {"workflow_id": "w-0007", "status": status}) for status in ("failed", "cancelled", "completed")),
    ("/api/runs", {"shadow": "true"}),
    ("/api/workflows", {}),
    *(("/api/workflows", filters) for filters in ({"experiment_id": "e-3"}, {"tag": "none"}, {"status": "archived"})),
    ("/api/workflows/w-0100/active", {}),
    ("/api/workflows/w-0100/versions", {}),
    ("/api/workflows/w-0100/stats", WEEK),
    (DECISIONS, {}),
    *((DECISIONS, filters) for filters in ({"decision": "not_matched"}, {"decision": "expired"}, {"cause": "o-99"})),
    ("/api/events", {}),
    *(
        ("/api/events", {name: value})
        for name in ("type", "source", "id")
        for value in ("order", "/rare", "o-77", "none")
    ),
    ("/api/events", WEEK),
    ("/api/events", LONG_AGO),
    *(("/api/dead-letters", filters) for filters in ({}, {"status": "open"}, {"service": "execution"})),
    ("/api/audit", {}),
    ("/api/audit", {"actor": "u-5"}),
    *(("/api/audit", {"action": action}) for action in ("execute", "cancel", "none")),
    *(("/api/audit", {"resource": resource}) for resource in ("run", "secret")),
    ("/api/audit", {"workflow_id": "w-0100"}),
    ("/api/audit", {"subject": "w-0100"}),
    ("/api/audit", {"actor": "u-5", "action": "cancel"}),
    ("/api/audit", WEEK),
    ("/api/audit", LONG_AGO),
    *(("/api/approvals", filters) for filters in ({}, {"status": "approved"}, {"status": "rejected"})),
    ("/api/approvals", {"workflow_id": "w-0100"}),
    ("/api/approvals", {"workflow_id": "none", "status": "all"}),
    ("/api/stats", {}),
    ("/api/stats", WEEK),
    ("/api/prompts", {}),
    ("/api/secrets", {}),
)


def at_moments(runs_count: int, since: datetime) -> list[tuple[str, dict[str, Any]]]:
    """What was active in the middle, at the beginning and at the end, by time and by position."""
    seconds = (runs_count // 2, 10, runs_count)
    moments = [str(10_000 + 13 * runs_count // 2), *((since + timedelta(seconds=each)).isoformat() for each in seconds)]
    filters = [{}, {"workflow_id": "w-0007"}, {"workflow_id": "w-0100"}, OLD_LABEL]
    return [("/api/runs", {"active_at": moment, **more}) for moment in moments for more in filters]


BY_OLD_LABEL = [("/api/runs", {**OLD_LABEL, "status": "failed"})]


async def fill(dsn: str, since: datetime, definition: str, runs_count: int, run: Sequence[Event]) -> None:
    """Read models of so many runs, instead of those that are there; some of them have the events of `run` in the log."""
    connection = await store.connect(dsn, store.LIVE_SCHEMA)
    try:
        incarnation = UUID(str(await connection.fetchval("select incarnation from eventlog.head")))
        await store.drop_tables(connection, store.LIVE_SCHEMA)
        await store.create_tables(connection, store.LIVE_SCHEMA, incarnation, for_readers=False)
        for statement in _FILL:
            second = definition if "$2::json" in statement else runs_count
            given = [since, second] if "$2" in statement else [since] if "$1" in statement else []
            await connection.execute(statement, *given)
        await store.create_indexes(connection)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()
    await _log(dsn, since, runs_count, run)


async def _log(dsn: str, since: datetime, runs_count: int, run: Sequence[Event]) -> None:
    owner = await asyncpg.connect(dsn.replace("//flowforge_service:", f"//{OWNER}:"))
    together = (run[:8], run[8:])
    types = [" ".join(type(event).__name__ for event in events) for events in together]
    data = ["\x1e".join(encode(event).decode() for event in events) for events in together]
    first = run[0]
    assert isinstance(first, WorkflowTriggered)
    try:
        entries = ([8, len(run)], [8, len(run) - 8], types, data)
        await owner.execute(_LOGGED, since, str(first.run_id), runs_count // 2, *entries)
        await owner.execute(_HEAD, runs_count)
        await owner.execute("analyze eventlog.entries")
    finally:
        await owner.close()


@asynccontextmanager
async def serving(dsn: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the reads behind a real HTTP server, in this process."""
    app = create_app(Settings(database_url=dsn, auth="off"))
    port = free_port()
    server = Server(
        app, address=LOOPBACK, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
        log_enabled=False,
    )  # fmt: skip
    async with lifespan(app):  # type: ignore[arg-type]  an ASGI application by its own types
        task = asyncio.create_task(server.serve())
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=60) as client:
            try:
                while True:
                    try:
                        await client.get("/health/live")
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.02)
                yield client
            finally:
                server.stop()
                await task


async def slowest_p95(client: httpx.AsyncClient, asked: Sequence[tuple[str, dict[str, Any]]]) -> tuple[str, float]:
    """The list with the longest p95, and that in milliseconds; the first answer to each question is left out, and of two
    rounds the quieter counts: other work on the machine shows in one of them."""
    slowest = ("", 0.0)
    rounds = [[await _p95(client, *question) for question in asked] for _ in range(ROUNDS)]
    for (path, filters), p95 in zip(asked, (min(found) for found in zip(*rounds, strict=True)), strict=True):
        name = " ".join([path, *(f"{key}={value}" for key, value in filters.items())])
        say(f"  {p95:6.1f} ms  {name}")
        slowest = max(slowest, (name, p95), key=lambda each: each[1])
    return slowest


async def _p95(client: httpx.AsyncClient, path: str, filters: dict[str, Any]) -> float:
    times: list[float] = []
    for _ in range(ASKED_COUNT + 1):
        began = time.perf_counter()
        answer = await client.get(path, params={"after": 0, **filters})
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    return sorted(times[1:])[int(ASKED_COUNT * 0.95) - 1]


PLANNED: tuple[tuple[str, str], ...] = (
    ("runs, newest first", "runs order by created_position desc"),
    ("runs of a workflow", "runs where workflow_id = 'w-0100' order by created_position desc"),
    ("runs by status", "runs where status = 'failed' order by created_position desc"),
    ("runs by trigger type", "runs where trigger_type = 'manual' order by created_position desc"),
    (
        "runs by label",
        """(select created_position as p from run_labels where label = 'release=1.0' order by created_position desc) found
        cross join lateral (select * from runs where created_position = p offset 0) runs
        where labels @> '{"release": "1.0"}' order by p desc""",
    ),
    (
        "runs between two instants",
        "runs where created_at >= '2026-01-05' and created_at < '2026-01-12' order by created_at desc, created_position desc",
    ),
    ("a later page", "runs where status = 'failed' and created_position < 5000000 order by created_position desc"),
    ("decisions of a trigger", "decisions where workflow_id = 'w-0100' and trigger_id = 'on-order' order by position desc"),
    ("received events by source", "received_events where source = '/rare' order by position desc"),
    ("received events by id", "received_events where id = 'o-77' order by position desc"),
    ("audit of a workflow", "audit where workflow_id = 'w-0100' order by position desc"),
    ("audit of an actor and an action", "audit where actor = 'u-5' and action = 'cancel' order by position desc"),
    (
        "runs that took 16 to 64 s and were active at an instant",
        (f"runs where {SPAN} = 3 and created_at > '2026-01-06 18:52:16' and created_at <= '2026-01-06 18:53:20' "
        "and completed_at > '2026-01-06 18:53:20' order by created_at desc, created_position desc"),
    ),
    (
        "a rare answer of a trigger",
        "decisions where workflow_id = 'w-0100' and trigger_id = 'on-order' and decision = 'expired' order by position desc",
    ),
    ("failures of a large workflow",
     "runs where workflow_id = 'w-0007' and status = 'failed' order by created_at desc, created_position desc"),
    ("approvals of a workflow", "approvals where workflow_id = 'none' order by requested_position desc"),
    ("approvals by status", "approvals where status = 'rejected' order by requested_position desc"),
)  # fmt: skip


async def plans(dsn: str, runs_count: int) -> str:
    """How Postgres goes about the statements of the lists. None of them may read a table from end to end."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": store.LIVE_SCHEMA})
    lines = [
        "# Plans",
        "",
        f"Of the lists, with {runs_count:,} runs in the store; written by `tests/bench/reading.py`.",
        "",
    ]
    try:
        for name, query in PLANNED:
            rows: Sequence[Any] = await connection.fetch(f"explain (costs off) select * from {query} limit 51")
            plan = [row[0] for row in rows]
            assert not any("Seq Scan" in line for line in plan), (name, plan)
            lines += [f"## {name}", "```", query, "", *plan, "```", ""]
    finally:
        await connection.close()
    return "\n".join(lines)
