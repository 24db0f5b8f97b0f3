"""Read models from nothing: built beside the live ones and exchanged, or built to prove that the live ones are right.

Building is the live fold with larger batches, the next one read while the last is written. The exchange is one
transaction: it holds the live checkpoint still, catches up to it, and puts the new tables in place of the old ones, so
that no reader sees the models go back.
"""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import Any

import asyncpg
import msgspec

from infra.eventlog import EventLog
from services.projections import store
from services.projections.projector import Projector, check_log
from services.projections.settings import LoopSettings

REPORT_INTERVAL_S = 1.0
GC_THRESHOLDS = (500_000, 20, 100)
"""While hundreds of thousands of events and rows come and go, none of them in a cycle, looking for cycles as often as usual
costs a third of the time."""
_ROWS_PER_FETCH = 5_000
_SHOWN_MAX = 2_000
_log = logging.getLogger(__name__)


class Busy(Exception):
    """Another rebuild or verification is under way."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far building is; rates are of the whole so far."""

    position: int
    head: int
    events_per_s: int
    eta_s: float


class Rebuilt(msgspec.Struct, frozen=True, tag="rebuilt"):
    """The new read models are in place, as of `position`."""

    position: int
    events_per_s: int
    took_s: float


class Difference(msgspec.Struct, frozen=True):
    """The first place where live read models and fresh ones differ: a null side has no such row."""

    table: str
    key: dict[str, Any]
    column: str
    live: str | None
    fresh: str | None


class Verified(msgspec.Struct, frozen=True, tag="verified"):
    """Both sets of read models at the same position, and their first difference, if there is one."""

    position: int
    rows: int
    took_s: float
    difference: Difference | None = None

    @property
    def is_equal(self) -> bool:
        return self.difference is None


Report = Callable[[Progress], None]


def _silent(_: Progress) -> None:
    return


async def rebuild(log: EventLog, dsn: str, report: Report = _silent, settings: LoopSettings | None = None) -> Rebuilt:
    """Build all read models anew and put them in place; the old ones answer until then. Raises `Busy`."""
    settings = settings or LoopSettings()
    began = time.monotonic()
    async with _scratch(log, dsn, store.NEXT_SCHEMA) as connection:
        projector = Projector(log, connection, settings.cached_runs_max, builds=True)
        await projector.start()
        await _build(log, projector, settings.rebuild_batch_size, report)
        await store.create_indexes(connection)
        built_s = time.monotonic() - began
        await store.analyze(connection)
        for tries in range(settings.exchange_tries_max):
            try:
                await _exchange(dsn, projector, settings)
                break
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                _log.info("readers are busy, trying the exchange again (%d)", tries + 1)
        else:
            raise Busy("readers held the old tables all the time; the new ones were not put in place")
    took_s = time.monotonic() - began
    return Rebuilt(projector.position, int(projector.position / max(built_s, 1e-6)), round(took_s, 3))


async def verify(log: EventLog, dsn: str, report: Report = _silent, settings: LoopSettings | None = None) -> Verified:
    """Build all read models anew beside the live ones and compare the two, byte for byte, at the same position."""
    settings = settings or LoopSettings()
    began = time.monotonic()
    async with _scratch(log, dsn, store.VERIFIED_SCHEMA) as connection:
        projector = Projector(log, connection, settings.cached_runs_max, builds=True)
        await projector.start()
        await _build(log, projector, settings.rebuild_batch_size, report)
        live = await store.connect(dsn, store.LIVE_SCHEMA)
        try:
            async with live.transaction(isolation="repeatable_read", readonly=True):
                checkpoint = await store.read_checkpoint(live)
                check_log(checkpoint, await log.head())
                position = checkpoint.position
                if position < projector.position:  # the live ones lag behind: build only as far as they are
                    await _restart(log, connection)
                    await projector.start()
                await _advance_to(projector, position, settings.rebuild_batch_size)
                rows, difference = await _compare(live, connection)
        finally:
            live.terminate()
    return Verified(position, rows, round(time.monotonic() - began, 3), difference)


@asynccontextmanager
async def _scratch(log: EventLog, dsn: str, schema: str) -> AsyncGenerator[asyncpg.Connection]:
    """Empty read models in `schema`, which nobody else uses until the end; then they are gone."""
    connection = await store.connect(dsn, schema)
    try:
        if not await connection.fetchval("select pg_try_advisory_lock(hashtext($1))", f"flowforge.build.{schema}"):
            raise Busy(f"{schema} is being built by another process")
        await _restart(log, connection, schema)
        yield connection
        await store.drop_tables(connection, schema)
        await connection.close()  # the next one may come at once, and the server is to have let the lock go
    finally:
        connection.terminate()


async def _restart(log: EventLog, connection: asyncpg.Connection, schema: str = store.VERIFIED_SCHEMA) -> None:
    await store.drop_tables(connection, schema)
    head = await log.head()
    await store.create_tables(connection, schema, head.incarnation, for_readers=False)


async def _build(log: EventLog, projector: Projector, batch_size: int, report: Report) -> None:
    """Up to the head of the log, reading the next batch while the last one is folded and the one before it written."""
    began = reported = time.monotonic()
    head = (await log.head()).position
    following = asyncio.create_task(log.read(projector.position, batch_size))
    thresholds = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        while events := await following:
            following = asyncio.create_task(log.read(events[-1].position, batch_size))
            await projector.take(events)
            if time.monotonic() - reported >= REPORT_INTERVAL_S:
                reported = time.monotonic()
                report(_progress(projector.position, head, reported - began))
        await projector.settle()
    finally:
        gc.set_threshold(*thresholds)
        following.cancel()
        await projector.stop()
    report(_progress(projector.position, max(head, projector.position), time.monotonic() - began))


def _progress(position: int, head: int, took_s: float) -> Progress:
    rate = position / max(took_s, 1e-6)
    return Progress(position, head, int(rate), round(max(head - position, 0) / max(rate, 1e-6), 1))


async def _advance_to(projector: Projector, position: int, batch_size: int) -> None:
    while projector.position < position:
        await projector.advance(min(batch_size, position - projector.position))


async def _exchange(dsn: str, projector: Projector, settings: LoopSettings) -> None:
    connection = await store.connect(dsn, store.LIVE_SCHEMA)
    try:
        async with connection.transaction():
            await connection.execute(
                "select set_config('lock_timeout', $1, true)", str(settings.exchange_lock_timeout_ms)
            )
            if await connection.fetchval("select to_regclass('checkpoint') is not null"):
                await connection.execute("lock table checkpoint in access exclusive mode")
                live = await store.read_checkpoint(connection)
                # what the live ones come from may be another log, whose positions mean nothing in this one
                await _advance_to(
                    projector, min(live.position, (await projector.log.head()).position), settings.rebuild_batch_size
                )
            await store.exchange(connection, store.NEXT_SCHEMA)
    finally:
        connection.terminate()


async def _compare(live: asyncpg.Connection, fresh: asyncpg.Connection) -> tuple[int, Difference | None]:
    rows = 0
    for table in store.TABLES:
        async with fresh.transaction():
            count, difference = await _compare_table(table, live, fresh)
        rows += count
        if difference is not None:
            return rows, difference
    return rows, None


async def _compare_table(
    table: store.Table, live: asyncpg.Connection, fresh: asyncpg.Connection
) -> tuple[int, Difference | None]:
    order = ", ".join(table.columns[: table.key_count])
    query = f"select line::text from {table.name} line order by {order}"  # noqa: S608  constants of this package
    live_cursor, fresh_cursor = await live.cursor(query), await fresh.cursor(query)
    rows = 0
    while True:
        live_rows = await live_cursor.fetch(_ROWS_PER_FETCH)
        fresh_rows = await fresh_cursor.fetch(_ROWS_PER_FETCH)
        if live_rows != fresh_rows:
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(live_rows, fresh_rows, strict=False)))
            return rows + same, await _difference(table, live, fresh, rows + same)
        if not live_rows:
            return rows, None
        rows += len(live_rows)


async def _difference(
    table: store.Table, live: asyncpg.Connection, fresh: asyncpg.Connection, offset: int
) -> Difference:
    """Column by column, the rows at this place in the order of the key."""
    keys = table.columns[: table.key_count]
    shown = ", ".join(f"{column}::text as {column}" for column in table.columns)
    query = (
        f"select {shown} from {table.name} line order by {', '.join(f'line.{key}' for key in keys)} offset $1 limit 1"  # noqa: S608
    )
    live_row, fresh_row = await live.fetchrow(query, offset), await fresh.fetchrow(query, offset)
    if live_row is None or fresh_row is None or any(live_row[key] != fresh_row[key] for key in keys):
        first = min(
            (row for row in (live_row, fresh_row) if row is not None), key=lambda row: [row[key] for key in keys]
        )
        is_live = live_row is not None and first is live_row
        column, live_text, fresh_text = "", str(dict(first)) if is_live else None, None if is_live else str(dict(first))
    else:
        first = live_row
        column = next(column for column in table.columns if live_row[column] != fresh_row[column])
        live_text, fresh_text = live_row[column], fresh_row[column]
    key = {name: first[name] for name in keys}
    return Difference(table.name, key, column, _shown(live_text), _shown(fresh_text))


def _shown(text: str | None) -> str | None:
    return None if text is None else text[:_SHOWN_MAX]
