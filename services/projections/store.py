"""The read models in Postgres: their schema, reading back the rows that may still change, writing what changed.

All statements name tables without their schema: the connection's search path says which set of read models is meant,
the live one or one that is being built. Statements derive from the rows in `state.py`, so that the two cannot drift.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.projections.state import (
    CLEAN,
    ApprovalRow,
    AuditRow,
    BreakerRow,
    Changes,
    DeadLetterRow,
    DecisionRow,
    NodeRow,
    PromptRow,
    PromptVersionRow,
    ReadModels,
    ReceivedRow,
    RejectionRow,
    RunLabelRow,
    RunRow,
    RunState,
    SecretChangeRow,
    SlotRow,
    TemplateRow,
    UserKeyRow,
    UserRow,
    VersionRow,
    WorkflowRow,
)
from services.projections.statistics import (
    Counted,
    NodeStatisticsRow,
    RunHourRow,
    Seen,
    Statistics,
    UsageRow,
    hour_key,
)
from services.projections.table import Removal, Table, Writing

LIVE_SCHEMA = "projections"
NEXT_SCHEMA = "projections_next"
VERIFIED_SCHEMA = "projections_verified"
TABLES_VERSION = 21
"""Raised with every change of tables.sql or of what the fold writes: the service then rebuilds at its next start."""

_LABELLED = "(label, created_position) in (select * from unnest($1::text[], $2::bigint[]))"
_KEYS = "(user_name, id) in (select * from unnest($1::text[], $2::text[]))"
_GO_ON = "status not in ('completed', 'failed', 'skipped', 'cancelled')"
_TABLES, _, _INDEXES = Path(__file__).with_name("tables.sql").read_text().partition("-- --- for readers only")


class CheckpointMoved(Exception):
    """Another process wrote these read models, or they were exchanged: what is in memory no longer holds."""


class Checkpoint(msgspec.Struct, frozen=True):
    """Up to which position of which log the read models stand."""

    position: int
    incarnation: UUID
    tables_version: int
    table: int
    """Postgres's number of the table it stands in: another one once the read models were exchanged."""


_RUN_FIXED = RunRow.__struct_fields__.index("created_position") + 1
WORKFLOWS = Table("workflows", WorkflowRow)
VERSIONS = Table("workflow_versions", VersionRow)
RUNS = Table("runs", RunRow, fixed_count=_RUN_FIXED)
RUN_LABELS = Table("run_labels", RunLabelRow, key_count=2)
NODES = Table("node_runs", NodeRow, key_count=3)
INSTANCES = Table(
    "node_instances", NodeRow, key_count=3, unique="run_id, node_id, (string_to_array(instance, '.')::int[])"
)
APPROVALS = Table("approvals", ApprovalRow, fixed_count=ApprovalRow.__struct_fields__.index("expires_at"))
SLOTS = Table("slots", SlotRow)
TEMPLATES = Table("templates", TemplateRow)
PROMPTS = Table("prompts", PromptRow)
PROMPT_VERSIONS = Table("prompt_versions", PromptVersionRow)
USERS = Table("users", UserRow)
USER_KEYS = Table("user_keys", UserKeyRow, key_count=2)
DECISIONS = Table("decisions", DecisionRow)
RECEIVED = Table("received_events", ReceivedRow)
REJECTIONS = Table("webhook_rejections", RejectionRow, key_count=2)
DEAD_LETTERS = Table("dead_letters", DeadLetterRow, fixed_count=DeadLetterRow.__struct_fields__.index("status"))
AUDIT = Table("audit", AuditRow)
SECRET_CHANGES = Table("secret_changes", SecretChangeRow)
BREAKERS = Table("breakers", BreakerRow)
NODE_STATISTICS = Table("node_statistics", NodeStatisticsRow, key_count=2)
RUN_HOURS = Table("run_hours", RunHourRow, key_count=4)
USAGE = Table("usage", UsageRow, key_count=2, fixed_count=2)
TABLES = (
    WORKFLOWS, VERSIONS, RUNS, RUN_LABELS, NODES, INSTANCES, APPROVALS, SLOTS, TEMPLATES, PROMPTS, PROMPT_VERSIONS,
    USERS, USER_KEYS, DECISIONS, RECEIVED, REJECTIONS, DEAD_LETTERS, AUDIT, SECRET_CHANGES, BREAKERS,
    NODE_STATISTICS, RUN_HOURS, USAGE,
)  # fmt: skip
TABLE_NAMES = ("checkpoint", *(table.name for table in TABLES))


_NODE_STATISTICS = (
    f"{NODE_STATISTICS.select} join unnest($1::text[], $2::text[]) wanted (workflow_id, node_id) "
    "using (workflow_id, node_id)"
)
_RUN_HOURS = (
    f"{RUN_HOURS.select} join unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[]) "
    "wanted (workflow_id, hour, trigger_type, trigger_id) using (workflow_id, hour, trigger_type, trigger_id)"
)
_USAGE = f"{USAGE.select} join unnest($1::text[], $2::text[]) wanted (kind, id) using (kind, id)"


async def connect(dsn: str, schema: str) -> asyncpg.Connection:
    """A connection for writing the read models in `schema`.

    What it commits may be lost with the server's last moments: the checkpoint is then lost with it, and the log is not.
    Updates by array must go through the key, however little the planner knows of the table.
    """
    settings = {
        "search_path": schema,
        "synchronous_commit": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        "plan_cache_mode": "force_generic_plan",
        "application_name": "flowforge-projections",
        "tcp_keepalives_idle": "15",
    }
    return await asyncpg.connect(dsn, server_settings=settings, command_timeout=None)


async def create_tables(
    connection: asyncpg.Connection, schema: str, incarnation: UUID, *, for_readers: bool = True
) -> None:
    """Make empty read models at position 0 in `schema`, the connection's, unless they are there; with `for_readers` False
    without the indexes that only readers need."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"flowforge.{schema}")
        if await connection.fetchval("select to_regclass('checkpoint') is not null"):
            return
        await connection.execute(_TABLES)
        if for_readers:
            await create_indexes(connection)
        await connection.execute("insert into checkpoint values (true, 0, $1, $2)", incarnation, TABLES_VERSION)
        await _let_readers_in(connection, schema)


async def create_indexes(connection: asyncpg.Connection) -> None:
    """Make what only readers need."""
    await connection.execute(_INDEXES)


async def analyze(connection: asyncpg.Connection) -> None:
    """Let the planner know these read models; the log, which is longer, it knows."""
    await connection.execute(f"analyze {', '.join(TABLE_NAMES)}")


async def _let_readers_in(connection: asyncpg.Connection, schema: str) -> None:
    """Whoever may look into the live schema may read these tables, wherever they are made."""
    readers = await connection.fetch(
        "select quote_ident(rolname) from pg_roles where rolname like '%\\_reader' "
        "and has_schema_privilege(oid, to_regnamespace($1), 'usage')",
        LIVE_SCHEMA,
    )
    for (reader,) in readers:
        await connection.execute(f"grant select on all tables in schema {schema} to {reader}")


async def drop_tables(connection: asyncpg.Connection, schema: str) -> None:
    """Remove the read models in `schema`, as far as they are there."""
    names = ", ".join(f"{schema}.{name}" for name in TABLE_NAMES)
    await connection.execute(f"drop table if exists {names}")


async def exchange(connection: asyncpg.Connection, new_schema: str) -> None:
    """Inside a transaction: the read models in `new_schema` take the place of the live ones, checkpoint included."""
    await drop_tables(connection, LIVE_SCHEMA)
    for name in TABLE_NAMES:
        await connection.execute(f"alter table {new_schema}.{name} set schema {LIVE_SCHEMA}")


async def read_checkpoint(connection: asyncpg.Connection) -> Checkpoint:
    """Where these read models stand."""
    row = await connection.fetchrow("select position, incarnation, tables_version, tableoid from checkpoint")
    assert row is not None, "read models without a checkpoint"
    return Checkpoint(*row)


async def move_checkpoint(connection: asyncpg.Connection, table: int, before: int, after: int) -> None:
    """Inside the transaction that writes what lies between. Raises `CheckpointMoved`. `table`: in which it was read."""
    moved = await connection.fetchval(
        "update checkpoint set position = $3 where position = $2 and tableoid = $1 returning position",
        table, before, after,
    )  # fmt: skip
    if moved is None:
        raise CheckpointMoved(f"the read models no longer stand at position {before}, or were exchanged")


async def load(
    connection: asyncpg.Connection, models: ReadModels, runs: Collection[UUID], ids: Collection[str]
) -> None:
    """Have these runs and these workflows in memory; those without rows stay out. Of a run, all that may still change: its
    nodes, those instances of them that have not ended, its open approvals."""
    if ids:
        for record in await connection.fetch(f"{WORKFLOWS.select} where id = any($1)", list(ids)):
            models.workflows[record["id"]] = WorkflowRow(*record)
    if not runs:
        return
    wanted = list(runs)
    for record in await connection.fetch(f"{RUNS.select} where run_id = any($1)", wanted):
        models.runs[record["run_id"]] = RunState(RunRow(*record))
    for query in (f"{NODES.select} where run_id = any($1)", f"{INSTANCES.select} where run_id = any($1) and {_GO_ON}"):
        for record in await connection.fetch(query, wanted):
            nodes = models.runs[record["run_id"]].nodes
            nodes[record["node_id"], record["instance"]] = NodeRow(*record)
    for record in await connection.fetch(f"{APPROVALS.select} where run_id = any($1) and status = 'open'", wanted):
        approvals = models.runs[record["run_id"]].approvals
        approvals[record["node_id"], record["instance"]] = ApprovalRow(*record)


async def load_rows(connection: asyncpg.Connection, models: ReadModels, runs: Collection[UUID]) -> None:
    """Have these runs in memory without their nodes: they have ended, and are to be archived or restored."""
    for record in await connection.fetch(f"{RUNS.select} where run_id = any($1)", list(runs)):
        models.runs[record["run_id"]] = RunState(RunRow(*record))


async def load_unfinished(connection: asyncpg.Connection, run: RunState, node_ids: Collection[str]) -> None:
    """Have the instances of these maps of the run in memory that ended without completing."""
    query = f"{INSTANCES.select} where run_id = $1 and node_id = any($2) and status in ('failed', 'cancelled')"
    for record in await connection.fetch(query, run.row.run_id, list(node_ids)):
        run.nodes.setdefault((record["node_id"], record["instance"]), NodeRow(*record))


async def load_dead_letters(connection: asyncpg.Connection, models: ReadModels, streams: Collection[UUID]) -> None:
    """Have these messages that could not be handled in memory."""
    for record in await connection.fetch(f"{DEAD_LETTERS.select} where stream_id = any($1)", list(streams)):
        models.dead_letters[record["stream_id"]] = DeadLetterRow(*record)


async def load_slots(connection: asyncpg.Connection, models: ReadModels, runs: Collection[UUID]) -> None:
    """Have what these runs have to do with slots in memory."""
    for record in await connection.fetch(f"{SLOTS.select} where run_id = any($1)", list(runs)):
        models.slots[record["run_id"]] = SlotRow(*record)


async def load_templates(connection: asyncpg.Connection, models: ReadModels, ids: Collection[str]) -> None:
    """Have these templates in memory, as far as there are rows of them."""
    for record in await connection.fetch(f"{TEMPLATES.select} where id = any($1)", list(ids)):
        models.templates[record["id"]] = TemplateRow(*record)


async def load_prompts(connection: asyncpg.Connection, models: ReadModels, ids: Collection[str]) -> None:
    """Have these stored prompts in memory, as far as there are rows of them."""
    for record in await connection.fetch(f"{PROMPTS.select} where id = any($1)", list(ids)):
        models.prompts[record["id"]] = PromptRow(*record)


async def load_users(connection: asyncpg.Connection, models: ReadModels, names: Collection[str]) -> None:
    """Have these users in memory, as far as there are rows of them."""
    for record in await connection.fetch(f"{USERS.select} where name = any($1)", list(names)):
        models.users[record["name"]] = UserRow(*record)


async def load_statistics(connection: asyncpg.Connection, rows: Statistics, seen: Seen) -> None:
    """Have the rows that what was seen is counted in, as far as the tables have them."""
    nodes = {(node.workflow_id, node.node_id) for node in seen.nodes} - rows.nodes.keys()
    if nodes:
        for record in await connection.fetch(_NODE_STATISTICS, *map(list, zip(*nodes, strict=True))):
            row = NodeStatisticsRow(*record)
            rows.nodes[row.workflow_id, row.node_id] = row
    hours = {hour_key(run) for run in seen.runs} - rows.hours.keys()
    if hours:
        for record in await connection.fetch(_RUN_HOURS, *map(list, zip(*hours, strict=True))):
            hour = RunHourRow(*record)
            rows.hours[hour.workflow_id, hour.hour, hour.trigger_type, hour.trigger_id] = hour
    used = {(one.kind, one.id) for one in seen.used} - rows.usage.keys()
    if used:
        for record in await connection.fetch(_USAGE, *map(list, zip(*used, strict=True))):
            usage = UsageRow(*record)
            rows.usage[usage.kind, usage.id] = usage


def writings(changes: Changes, counted: Counted) -> list[Writing | Removal]:
    """What changed, in the order in which it is to be written; from here on the rows count as written."""
    nodes, instances = _split(changes.nodes)
    kept: tuple[tuple[Table, Sequence[Any]], ...] = (
        (WORKFLOWS, changes.workflows),
        (RUNS, changes.runs),
        (NODES, nodes),
        (APPROVALS, changes.approvals),
        (SLOTS, changes.slots),
        (TEMPLATES, changes.templates),
        (PROMPTS, changes.prompts),
        (DEAD_LETTERS, changes.dead_letters),
        (NODE_STATISTICS, counted.nodes),
        (RUN_HOURS, counted.hours),
        (USAGE, counted.usage),
    )
    added: tuple[tuple[Table, Sequence[Any]], ...] = (
        (VERSIONS, changes.versions),
        (RUN_LABELS, [RunLabelRow(*label, of) for label, of in changes.labels.items()]),
        (PROMPT_VERSIONS, changes.prompt_versions),
        (DECISIONS, changes.decisions),
        (RECEIVED, changes.received),
        (REJECTIONS, changes.rejections),
        (AUDIT, changes.audits),
        (SECRET_CHANGES, changes.secret_changes),
    )
    found: list[Writing | Removal] = [*_removals(changes)]  # first: what comes back is written after
    found += [table.kept(rows) for table, rows in kept if rows]
    found += [table.added(rows) for table, rows in added if rows]
    if instances:
        found.append(INSTANCES.put(instances))
        for row in instances:
            row.change = CLEAN
    latest: tuple[tuple[Table, Sequence[Any]], ...] = (
        (BREAKERS, list(changes.breakers.values())),
        (USERS, list(changes.users.values())),
        (USER_KEYS, list(changes.user_keys.values())),
    )
    found += [table.put(rows) for table, rows in latest if rows]
    return found


def _removals(changes: Changes) -> Iterator[Removal]:
    """The rows that retention has taken away, labels that runs had, and keys of users."""
    if changes.labels_gone:
        names, positions = zip(*changes.labels_gone, strict=True)
        yield RUN_LABELS.without(_LABELLED, list(names), list(positions))
    if changes.users_gone:
        yield USER_KEYS.without("user_name = any($1)", list(changes.users_gone))
    if changes.user_keys_gone:
        names, ids = zip(*changes.user_keys_gone, strict=True)
        yield USER_KEYS.without(_KEYS, list(names), list(ids))
    if changes.archived:
        yield NODES.without("run_id = any($1)", changes.archived)
        yield INSTANCES.without("run_id = any($1)", changes.archived)
    if changes.listed_from_position:
        yield DECISIONS.without("position < $1", changes.listed_from_position)
        yield RECEIVED.without("position < $1", changes.listed_from_position)


def _split(rows: Sequence[NodeRow]) -> tuple[list[NodeRow], list[NodeRow]]:
    nodes: list[NodeRow] = []
    instances: list[NodeRow] = []
    for row in rows:
        (instances if row.instance else nodes).append(row)
    return nodes, instances
