"""The read models in Postgres: their schema, reading back the rows that may still change, writing what changed.

All statements name tables without their schema: the connection's search path says which set of read models is meant,
the live one or one that is being built. Statements derive from the rows in `state.py`, so that the two cannot drift.
"""

import types
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec

from services.projections.state import (
    NEW,
    ApprovalRow,
    AuditRow,
    BreakerRow,
    Changes,
    DeadLetterRow,
    DecisionRow,
    Json,
    NodeRow,
    PromptRow,
    PromptVersionRow,
    ReadModels,
    ReceivedRow,
    RejectionRow,
    RunRow,
    RunState,
    SecretChangeRow,
    SlotRow,
    TemplateRow,
    VersionRow,
    WorkflowRow,
)

LIVE_SCHEMA = "projections"
NEXT_SCHEMA = "projections_next"
VERIFIED_SCHEMA = "projections_verified"
TABLES_VERSION = 12
"""Raised with every change of tables.sql or of what the fold writes: the service then rebuilds at its next start."""

_GO_ON = "status not in ('completed', 'failed', 'skipped', 'cancelled')"
_SQL = Path(__file__).with_name("tables.sql")
_SCALARS = {
    int: "bigint", str: "text", Json: "json", UUID: "uuid", datetime: "timestamptz", float: "float8", bool: "boolean",
}  # fmt: skip
RowT = TypeVar("RowT")


class CheckpointMoved(Exception):
    """Another process wrote these read models, or they were exchanged: what is in memory no longer holds."""


class Checkpoint(msgspec.Struct, frozen=True):
    """Up to which position of which log the read models stand."""

    position: int
    incarnation: UUID
    tables_version: int


class Table:
    """One table and its statements. The first `key_count` columns are its key, the first `fixed_count` never change.

    `unique` is what its unique index is over, where that is not the key as it stands.
    """

    def __init__(
        self, name: str, row: type[Any], key_count: int = 1, fixed_count: int | None = None, unique: str | None = None
    ) -> None:
        hints = get_type_hints(row)
        self.name = name
        self.row = row
        self.columns = tuple(field for field in row.__struct_fields__ if field != "change")
        self.columns_count = len(self.columns)
        self.key_count = key_count
        self.fixed_count = key_count if fixed_count is None else fixed_count
        changing = self.columns[self.fixed_count :]
        given = (*self.columns[:key_count], *changing)
        arrays = ", ".join(f"${number}::{_column_type(hints[name])}[]" for number, name in enumerate(given, 1))
        named = ", ".join(given)
        sets = ", ".join(f"{column} = given.{column}" for column in changing)
        keys = " and ".join(f"kept.{column} = given.{column}" for column in self.columns[:key_count])
        # Every name in these statements is a constant of this package.
        self.update = f"update {name} kept set {sets} from unnest({arrays}) as given ({named}) where {keys}"  # noqa: S608
        all_arrays = ", ".join(
            f"${number}::{_column_type(hints[name])}[]" for number, name in enumerate(self.columns, 1)
        )
        key, taken = (
            unique or ", ".join(self.columns[:key_count]),
            ", ".join(f"{name} = excluded.{name}" for name in changing),
        )
        self.upsert = (
            f"insert into {name} ({', '.join(self.columns)}) select * from unnest({all_arrays}) "  # noqa: S608
            f"on conflict ({key}) do update set {taken}"
        )
        self.select = f"select {', '.join(self.columns)} from {name}"  # noqa: S608

    async def insert_rows(self, connection: asyncpg.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """COPY rows, tuples of all columns."""
        await connection.copy_records_to_table(self.name, records=rows, columns=self.columns)

    async def update_rows(self, connection: asyncpg.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Bring rows that are there to this form, in one statement."""
        given = zip(*rows, strict=True)
        columns = [list(column) for column in given]
        await connection.execute(self.update, *columns[: self.key_count], *columns[self.fixed_count :])

    async def write(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
        """Insert the new rows, update the changed ones."""
        end = self.columns_count
        new = [msgspec.structs.astuple(row)[:end] for row in rows if row.change == NEW]
        changed = [msgspec.structs.astuple(row)[:end] for row in rows if row.change != NEW]
        if new:
            await self.insert_rows(connection, new)
        if changed:
            await self.update_rows(connection, changed)

    async def put(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
        """Have these rows in the table, whether it has older forms of them or not."""
        if rows:
            end = self.columns_count
            given = zip(*(msgspec.structs.astuple(row)[:end] for row in rows), strict=True)
            await connection.execute(self.upsert, *(list(column) for column in given))

    async def append(self, connection: asyncpg.Connection, rows: Sequence[Any]) -> None:
        """Insert rows that never change."""
        if rows:
            await self.insert_rows(connection, [msgspec.structs.astuple(row) for row in rows])


def _column_type(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is list:
        return "text"  # never in an update by array: see WORKFLOWS
    return _SCALARS[hint]


_RUN_FIXED = RunRow.__struct_fields__.index("created_position") + 1
WORKFLOWS = Table("workflows", WorkflowRow)
VERSIONS = Table("workflow_versions", VersionRow)
RUNS = Table("runs", RunRow, fixed_count=_RUN_FIXED)
NODES = Table("node_runs", NodeRow, key_count=3)
INSTANCES = Table(
    "node_instances", NodeRow, key_count=3, unique="run_id, node_id, (string_to_array(instance, '.')::int[])"
)
APPROVALS = Table("approvals", ApprovalRow, fixed_count=ApprovalRow.__struct_fields__.index("expires_at"))
SLOTS = Table("slots", SlotRow)
TEMPLATES = Table("templates", TemplateRow)
PROMPTS = Table("prompts", PromptRow)
PROMPT_VERSIONS = Table("prompt_versions", PromptVersionRow)
DECISIONS = Table("decisions", DecisionRow)
RECEIVED = Table("received_events", ReceivedRow)
REJECTIONS = Table("webhook_rejections", RejectionRow, key_count=2)
DEAD_LETTERS = Table("dead_letters", DeadLetterRow, fixed_count=DeadLetterRow.__struct_fields__.index("status"))
AUDIT = Table("audit", AuditRow)
SECRET_CHANGES = Table("secret_changes", SecretChangeRow)
BREAKERS = Table("breakers", BreakerRow)
TABLES = (
    WORKFLOWS, VERSIONS, RUNS, NODES, INSTANCES, APPROVALS, SLOTS, TEMPLATES, PROMPTS, PROMPT_VERSIONS,
    DECISIONS, RECEIVED, REJECTIONS, DEAD_LETTERS, AUDIT, SECRET_CHANGES, BREAKERS,
)  # fmt: skip
TABLE_NAMES = ("checkpoint", *(table.name for table in TABLES))


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


async def create_tables(connection: asyncpg.Connection, schema: str, incarnation: UUID) -> None:
    """Make empty read models at position 0 in `schema`, the connection's, unless they are there."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"flowforge.{schema}")
        if await connection.fetchval("select to_regclass('checkpoint') is not null"):
            return
        await connection.execute(_SQL.read_text())
        await connection.execute("insert into checkpoint values (true, 0, $1, $2)", incarnation, TABLES_VERSION)
        await _let_readers_in(connection, schema)


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
    row = await connection.fetchrow("select position, incarnation, tables_version from checkpoint")
    assert row is not None, "read models without a checkpoint"
    return Checkpoint(*row)


async def move_checkpoint(connection: asyncpg.Connection, before: int, after: int) -> None:
    """Inside the transaction that writes what lies between. Raises `CheckpointMoved`."""
    moved = await connection.fetchval(
        "update checkpoint set position = $2 where position = $1 returning position", before, after
    )
    if moved is None:
        raise CheckpointMoved(f"the read models no longer stand at position {before}")


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


async def write(connection: asyncpg.Connection, changes: Changes) -> None:
    """Write what changed, inside the caller's transaction."""
    for row in changes.workflows:
        await _write_workflow(connection, row)
    await VERSIONS.append(connection, changes.versions)
    if changes.runs:
        await RUNS.write(connection, changes.runs)
    if changes.nodes:
        nodes, instances = _split(changes.nodes)
        await NODES.write(connection, nodes)
        await INSTANCES.put(connection, instances)
    if changes.approvals:
        await APPROVALS.write(connection, changes.approvals)
    if changes.slots:
        await SLOTS.write(connection, changes.slots)
    if changes.templates:
        await TEMPLATES.write(connection, changes.templates)
    if changes.prompts:
        await PROMPTS.write(connection, changes.prompts)
    await PROMPT_VERSIONS.append(connection, changes.prompt_versions)
    await DECISIONS.append(connection, changes.decisions)
    await RECEIVED.append(connection, changes.received)
    await REJECTIONS.append(connection, changes.rejections)
    if changes.dead_letters:
        await DEAD_LETTERS.write(connection, changes.dead_letters)
    await AUDIT.append(connection, changes.audits)
    await SECRET_CHANGES.append(connection, changes.secret_changes)
    await BREAKERS.put(connection, list(changes.breakers.values()))


async def _write_workflow(connection: asyncpg.Connection, row: WorkflowRow) -> None:
    """One by one: workflows change seldom, and an array of tag lists is no array that Postgres takes."""
    values = msgspec.structs.astuple(row)[: WORKFLOWS.columns_count]
    if row.change == NEW:
        await WORKFLOWS.insert_rows(connection, [values])
        return
    names = WORKFLOWS.columns[1:]
    sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(names, 2))
    await connection.execute(f"update workflows set {sets} where id = $1", *values)  # noqa: S608


def _split(rows: Sequence[NodeRow]) -> tuple[list[NodeRow], list[NodeRow]]:
    nodes: list[NodeRow] = []
    instances: list[NodeRow] = []
    for row in rows:
        (instances if row.instance else nodes).append(row)
    return nodes, instances


def as_written(changes: Changes) -> None:
    """The transaction is committed: the tables now have these rows as they are."""
    for rows in (
        cast(
            "list[WorkflowRow | RunRow | NodeRow | ApprovalRow | SlotRow | TemplateRow | PromptRow | DeadLetterRow]",
            part,
        )
        for part in (
            changes.workflows,
            changes.runs,
            changes.nodes,
            changes.approvals,
            changes.slots,
            changes.templates,
            changes.prompts,
            changes.dead_letters,
        )
    ):
        for row in rows:
            row.change = 0
