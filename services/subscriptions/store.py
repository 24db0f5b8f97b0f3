"""The tables of what is owed and how far each has come (store.sql). Every method may raise `Unavailable`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from infra.eventlog.connections import Connections
from infra.failpoints import failpoint
from services.subscriptions.lanes import Owed
from services.subscriptions.retries import Attempt
from services.subscriptions.settings import CONNECTIONS_MAX, KEPT_COUNT

_CURSOR = """
    select position, ordered_position, last_delivered_at, failing_since from subscriptions.cursors
    where subscription_id = $1
"""
_HEALTH = """
    select c.*, p.pending_count, p.oldest_pending_at, p.next_attempt_at from subscriptions.cursors c
    cross join lateral (
        select count(*) as pending_count, min(created_at) as oldest_pending_at, min(due_at) as next_attempt_at
        from subscriptions.deliveries d where d.subscription_id = c.subscription_id and d.status = 'pending'
    ) p where c.subscription_id = any ($1::text[])
"""
_PENDING = """
    select position, event_id, event_type, run_id, workflow_id, attempts, tries, first_tried_at, due_at
    from subscriptions.deliveries where subscription_id = $1 and status = 'pending' order by position
"""
_OWE = """
    insert into subscriptions.deliveries (subscription_id, position, event_id, event_type, run_id, workflow_id, status)
    select $1, position, event_id, event_type, run_id, workflow_id, 'pending'
    from unnest($2::bigint[], $3::uuid[], $4::text[], $5::uuid[], $6::text[])
        as owed (position, event_id, event_type, run_id, workflow_id)
    on conflict (subscription_id, position) do update
    set status = 'pending', attempts = 0, tries = '[]', created_at = now(), first_tried_at = null, due_at = null,
        ended_at = null
"""
_MOVE = "update subscriptions.cursors set position = $2 where subscription_id = $1"
_BEGIN = """
    insert into subscriptions.cursors (subscription_id, position, ordered_position) values ($1, $2, $3)
    on conflict (subscription_id) do update set position = excluded.position, ordered_position = excluded.ordered_position,
        failing_since = null
"""
_ACKNOWLEDGE = "update subscriptions.cursors set ordered_position = $2, failing_since = null where subscription_id = $1"
_DROP_PENDING = """
    delete from subscriptions.deliveries where subscription_id = $1 and status = 'pending' and position > $2
"""
_DUE = """
    update subscriptions.deliveries set due_at = null, attempts = 0, first_tried_at = null
    where subscription_id = $1 and status = 'pending'
"""
_SETTLE = """
    update subscriptions.deliveries d
    set status = s.status, attempts = s.attempts, tries = s.tries::json, first_tried_at = s.first_tried_at,
        due_at = s.due_at, ended_at = s.ended_at
    from unnest($2::bigint[], $3::text[], $4::int[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[])
        as s (position, status, attempts, tries, first_tried_at, due_at, ended_at)
    where d.subscription_id = $1 and d.position = s.position
"""
_COUNT = """
    update subscriptions.cursors set delivered_count = delivered_count + $2, failed_count = failed_count + $3,
        last_delivered_at = coalesce($4, last_delivered_at), failing_since = $5, last_error = coalesce($6, last_error)
    where subscription_id = $1
"""
_FORGET = ("delete from subscriptions.deliveries where subscription_id = $1",
           "delete from subscriptions.cursors where subscription_id = $1")  # fmt: skip
_PAGE = """
    select position, event_id, event_type, run_id, workflow_id, status, attempts, tries, created_at, due_at, ended_at
    from subscriptions.deliveries
    where subscription_id = $1 and ($2::text is null or status = $2) and position < $3 order by position desc limit $4
"""
_SWEEP = """
    delete from subscriptions.deliveries where subscription_id = $1 and status <> 'pending' and position <= (
        select position from subscriptions.deliveries where subscription_id = $1 and status <> 'pending'
        order by position desc offset $2 limit 1)
"""


class Cursor(msgspec.Struct, frozen=True):
    """How far a subscription has come, and the last event of its stream whose order was carried out; when a post of it
    last arrived, and since when none does."""

    position: int
    ordered_position: int
    last_delivered_at: datetime | None = None
    failing_since: datetime | None = None


class Ended(msgspec.Struct, frozen=True):
    """What became of one that was posted: `status` of its row, and when it ended."""

    owed: Owed
    status: str
    ended_at: datetime | None


class Counts(msgspec.Struct):
    """What a batch of posts means for the subscription."""

    delivered: int = 0
    failed: int = 0
    last_delivered_at: datetime | None = None
    failing_since: datetime | None = None
    last_error: str | None = None


class Store:
    """The rows of subscriptions, in the database at `dsn`."""

    def __init__(self, dsn: str) -> None:
        self._connections = Connections(dsn, "flowforge subscriptions", CONNECTIONS_MAX)

    async def cursor(self, subscription_id: str) -> Cursor | None:
        """None: nothing has begun."""
        async with self._connections.one() as connection:
            row = await connection.fetchrow(_CURSOR, subscription_id)
        return None if row is None else Cursor(*row)

    async def health(self, subscription_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """How these stand."""
        async with self._connections.one() as connection:
            rows = await connection.fetch(_HEALTH, list(subscription_ids))
        return {row["subscription_id"]: row for row in rows}

    async def pending(self, subscription_id: str) -> list[Owed]:
        """All that is owed, in order of position."""
        async with self._connections.one() as connection:
            rows = await connection.fetch(_PENDING, subscription_id)
        return [
            Owed(row["position"], row["event_id"], row["event_type"], row["run_id"], row["workflow_id"],
                 row["attempts"], _tries(row["tries"]), row["first_tried_at"], row["due_at"])
            for row in rows
        ]  # fmt: skip

    async def begin(self, subscription_id: str, cursor: Cursor, *, drops_above: int | None = None) -> None:
        """Look for what is owed from there on; pending rows above `drops_above` are no more, or are found again."""
        async with self._connections.one() as connection, connection.transaction():
            if drops_above is not None:
                await connection.execute(_DROP_PENDING, subscription_id, drops_above)
            await connection.execute(_BEGIN, subscription_id, cursor.position, cursor.ordered_position)

    async def resume(self, subscription_id: str, ordered_position: int) -> None:
        """Everything pending is due at once, with all its attempts before it."""
        async with self._connections.one() as connection, connection.transaction():
            await connection.execute(_DUE, subscription_id)
            await connection.execute(_ACKNOWLEDGE, subscription_id, ordered_position)

    async def owe(self, subscription_id: str, position: int, owed: Sequence[Owed]) -> None:
        """These are owed, and everything up to the position has been looked at."""
        columns = ([getattr(each, name) for each in owed] for name in _OWED_FIELDS)
        async with self._connections.one() as connection, connection.transaction():
            if owed:
                await connection.execute(_OWE, subscription_id, *columns)
                failpoint("subscriptions.in_transaction")
            await connection.execute(_MOVE, subscription_id, position)

    async def settle(self, subscription_id: str, ended: Sequence[Ended], counts: Counts) -> None:
        """What became of these."""
        rows = [
            (each.owed.position, each.status, each.owed.attempts, msgspec.json.encode(each.owed.tries).decode(),
             each.owed.first_tried_at, each.owed.due_at, each.ended_at)
            for each in ended
        ]  # fmt: skip
        async with self._connections.one() as connection, connection.transaction():
            await connection.execute(_SETTLE, subscription_id, *map(list, zip(*rows, strict=True)))
            await connection.execute(
                _COUNT, subscription_id, counts.delivered, counts.failed, counts.last_delivered_at,
                counts.failing_since, counts.last_error,
            )  # fmt: skip

    async def page(
        self, subscription_id: str, status: str | None, before_position: int, limit: int
    ) -> list[dict[str, Any]]:
        """Deliveries, the newest event first."""
        async with self._connections.one() as connection:
            rows = await connection.fetch(_PAGE, subscription_id, status, before_position, limit)
        return [{**row, "tries": _tries(row["tries"])} for row in rows]

    async def sweep(self, subscription_ids: Sequence[str]) -> None:
        """Keep the last ended deliveries of each, and all that is pending."""
        async with self._connections.one() as connection:
            for subscription_id in subscription_ids:
                await connection.execute(_SWEEP, subscription_id, KEPT_COUNT)

    async def forget(self, subscription_id: str) -> None:
        """There is no such subscription any more."""
        async with self._connections.one() as connection, connection.transaction():
            for statement in _FORGET:
                await connection.execute(statement, subscription_id)

    async def close(self) -> None:
        await self._connections.close()


_OWED_FIELDS = ("position", "event_id", "event_type", "run_id", "workflow_id")
_decode_tries = msgspec.json.Decoder(list[Attempt]).decode


def _tries(text: bytes) -> list[Attempt]:
    return _decode_tries(text)
