"""Gateway's own tables (store.sql)."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec

from infra.eventlog import PostgresEventLog, Unavailable
from infra.http.sessions import SESSION_S_MAX, SESSION_UNUSED_S_MAX
from services.gateway.settings import (
    connect_wait_s,
    database_connections_max,
    database_timeout_s,
    idempotency_kept_s,
    idempotency_swept_every_s,
    idempotency_swept_rows_max,
    sessions_swept_rows_max,
)

_KEPT = timedelta(seconds=idempotency_kept_s)
_log = logging.getLogger(__name__)

_CLAIM = """
    insert into gateway.idempotency as kept (key, body_hash, period)
    values ($1, $2, floor(extract(epoch from now()) / extract(epoch from $3::interval)))
    on conflict (key) do update set
        period = case when kept.created_at < now() - $3::interval then excluded.period else kept.period end,
        body_hash = case when kept.created_at < now() - $3::interval then excluded.body_hash else kept.body_hash end,
        answer = case when kept.created_at < now() - $3::interval then null else kept.answer end,
        created_at = case when kept.created_at < now() - $3::interval then now() else kept.created_at end
    returning body_hash, answer, period
"""
_KEEP = "update gateway.idempotency set answer = $2 where key = $1 and answer is null"
_SWEEP = """
    delete from gateway.idempotency where key in
        (select key from gateway.idempotency where created_at < now() - $2::interval limit $1)
"""
_SWEEP_SESSIONS = f"""
    delete from gateway.sessions where hash in (
        select hash from gateway.sessions where used_at < now() - interval '{SESSION_UNUSED_S_MAX} seconds'
        or created_at < now() - interval '{SESSION_S_MAX} seconds' limit $1)
"""  # noqa: S608  constants
_SWEEP_LINKS = """
    delete from gateway.login_links where hash in
        (select hash from gateway.login_links where expires_at < now() limit $1)
"""


class Claim(msgspec.Struct, frozen=True):
    """What is known of an idempotency key: used with another body; answered; or neither. `period`: in which stretch of
    time it was taken, by which a key that is free again names another request."""

    is_other_body: bool
    answer: bytes | None
    period: int | None


async def open_pool(dsn: str) -> asyncpg.Pool:
    """Connections to the database, waiting for a server that is not there yet.

    Commits are not waited for: a row that a crash of the server loses is recognised by the command id.
    """
    while True:
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=database_connections_max,
                command_timeout=database_timeout_s,
                server_settings={"application_name": "flowforge gateway", "synchronous_commit": "off"},
            )
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as fault:
            _log.warning("Postgres is not there yet: %s", fault)
            await asyncio.sleep(connect_wait_s)


async def open_log(dsn: str) -> PostgresEventLog:
    """The event log, to read from, waiting for a server that is not there yet."""
    while True:
        try:
            return await PostgresEventLog.connect(dsn, application_name="flowforge gateway")
        except Unavailable as fault:
            _log.warning("the event log is not there yet: %s", fault)
            await asyncio.sleep(connect_wait_s)


class Store:
    """Idempotency keys."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def claim(self, key: bytes, body_hash: bytes) -> Claim:
        """Take the key for a request with this body, or learn what was answered to it."""
        row = await self._pool.fetchrow(_CLAIM, key, body_hash, _KEPT)
        return Claim(row["body_hash"] != body_hash, row["answer"], row["period"])

    async def keep(self, key: bytes, answer: bytes) -> None:
        """Remember the answer; the first one counts."""
        await self._pool.execute(_KEEP, key, answer)

    async def answers(self) -> None:
        """Return when the database does. Raises what asyncpg raises."""
        await self._pool.execute("select 1")

    async def sweep(self) -> None:
        """Forget what is older than it must be, again and again, until cancelled."""
        while True:
            try:
                await self._sweep_all(_SWEEP, idempotency_swept_rows_max, _KEPT)
                for statement in (_SWEEP_SESSIONS, _SWEEP_LINKS):
                    await self._sweep_all(statement, sessions_swept_rows_max)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as fault:
                _log.warning("old idempotency keys and sessions are not swept: %s", fault)
            await asyncio.sleep(idempotency_swept_every_s)

    async def _sweep_all(self, statement: str, rows_max: int, *older_than: timedelta) -> None:
        """In portions of so many rows, until none is left: however many came, as many go."""
        while await self._pool.execute(statement, rows_max, *older_than) == f"DELETE {rows_max}":
            pass
