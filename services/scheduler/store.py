"""The tables of timers that are still due and of schedules (store.sql). Every method may raise `Unavailable`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from infra.eventlog.connections import Connections
from services.scheduler.schedules import Done, ScheduleKey
from services.scheduler.settings import CONNECTIONS_MAX, ROWS_PER_STATEMENT_MAX, WINDOW_COUNT_MAX
from services.scheduler.state import Place, Timer

_FIELDS = Timer.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_TYPES = ("uuid", "uuid", "text", "timestamptz", "text", "text", "text", "int", "bigint", "uuid", "uuid")
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))
# column names are this module's own
_INSERT = f"insert into scheduler.timers ({_COLUMNS}) select * from unnest({_ARRAYS}) on conflict do nothing"  # noqa: S608
_NEAREST = f"""
    select {_COLUMNS} from scheduler.timers
    where (due_at, timer_id) > ($1, $2) and due_at <= $3 order by due_at, timer_id limit {WINDOW_COUNT_MAX}
"""  # noqa: S608
_DELETE = "delete from scheduler.timers where timer_id = any ($1::uuid[])"
_SCHEDULES = "select workflow_id, trigger_id, fired_at, missed_until, missed_at from scheduler.schedules"
_KEEP_SCHEDULES = """
    insert into scheduler.schedules (workflow_id, trigger_id, fired_at, missed_until, missed_at)
    select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
    on conflict (workflow_id, trigger_id) do update
    set fired_at = excluded.fired_at, missed_until = excluded.missed_until, missed_at = excluded.missed_at
"""
_IS_EMPTY = "select not exists (select from scheduler.timers)"


class TimerStore:
    """The scheduler's rows, in the database at `dsn`."""

    def __init__(self, dsn: str) -> None:
        self._connections = Connections(dsn, "flowforge scheduler", CONNECTIONS_MAX)

    async def insert(self, timers: Sequence[Timer]) -> None:
        """Keep the timers, all or none, on disk when this returns; those that are kept already stay as they are."""
        async with self._connections.one() as connection, connection.transaction():
            for start in range(0, len(timers), ROWS_PER_STATEMENT_MAX):
                rows = timers[start : start + ROWS_PER_STATEMENT_MAX]
                await connection.execute(_INSERT, *([getattr(row, field) for row in rows] for field in _FIELDS))

    async def nearest(self, after: Place, until: datetime) -> list[Timer]:
        """The next timers after a place, in order, at most a window of them."""
        async with self._connections.one() as connection:
            return [Timer(*row) for row in await connection.fetch(_NEAREST, *after, until)]

    async def delete(self, timer_ids: Collection[UUID]) -> None:
        """Forget timers that have fired."""
        async with self._connections.one() as connection:
            await connection.execute(_DELETE, list(timer_ids))

    async def is_empty(self) -> bool:
        async with self._connections.one() as connection:
            return await connection.fetchval(_IS_EMPTY)

    async def schedules(self) -> dict[ScheduleKey, Done]:
        """Up to where each schedule has been dealt with."""
        async with self._connections.one() as connection:
            rows = await connection.fetch(_SCHEDULES)
        return {(workflow_id, trigger_id): Done(*done) for workflow_id, trigger_id, *done in rows}

    async def keep_schedules(self, done: Mapping[ScheduleKey, Done]) -> None:
        """Write these over what is kept of them."""
        rows = [(*key, one.fired_at, one.missed_until, one.missed_at) for key, one in sorted(done.items())]
        async with self._connections.one() as connection:
            await connection.execute(_KEEP_SCHEDULES, *map(list, zip(*rows, strict=True)))

    async def close(self) -> None:
        await self._connections.close()
