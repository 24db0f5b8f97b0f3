"""The live loop: whoever holds the lock follows the log, a second one waits to take over.

A nudge says that the log grew; without nudges it looks each second. A turn takes what is there: one event is visible
within milliseconds, under load turns grow and cost less per event.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import asyncpg

from infra.bus.ownership import lock_key
from infra.eventlog import EventLog, Unavailable
from infra.telemetry import Tracing
from services.projections import store
from services.projections.projector import Projector, check_log
from services.projections.settings import LoopSettings
from services.projections.spans import ProjectorSpans

# A statement that waited for the lock would keep Postgres from cleaning up as long as it waits.
_TRY_LOCK = "select pg_try_advisory_lock($1)"
_log = logging.getLogger(__name__)
_NOT_THERE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says of a connection that was cut between two statements
    Unavailable,
)
_MAY_PASS = (
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
)

Tell = Callable[[int], Awaitable[None]]
Renew = Callable[[EventLog, str], Awaitable[None]]


class Loop:
    """Keeps the live read models at the head of the log. `tell` says the position they stand at."""

    def __init__(
        self,
        log: EventLog,
        dsn: str,
        *,
        namespace: str,
        tell: Tell,
        renew: Renew,
        settings: LoopSettings,
        tracing: Tracing | None = None,
    ) -> None:
        self.position = 0
        self.is_ready = asyncio.Event()
        self._event_log = log
        self._dsn = dsn
        self._lock = lock_key(namespace, "projections")
        self._tell = tell
        self._renew = renew
        self._settings = settings
        self._spans = None if tracing is None else ProjectorSpans(tracing)
        self._nudged = asyncio.Event()

    def nudge(self, position: int) -> None:
        """The log grew to `position`; 0 when that is not known."""
        if position == 0 or position > self.position:
            self._nudged.set()

    async def run(self) -> None:
        """Until cancelled. Postgres may come and go; another log, or a broken one, ends it with an exception."""
        while True:
            try:
                await self._own()
            except store.CheckpointMoved as moved:
                _log.info("%s: loading anew", moved)
            except (*_NOT_THERE, *_MAY_PASS) as fault:
                if isinstance(fault, ValueError):  # a value that Postgres does not take: a bug, and it stays one
                    raise
                _log.warning("read models stand still: %s: %s", type(fault).__name__, fault)
                await asyncio.sleep(self._settings.reconnect_wait_s)

    async def _own(self) -> None:
        connection = await store.connect(self._dsn, store.LIVE_SCHEMA)
        try:
            while not await connection.fetchval(_TRY_LOCK, self._lock):  # noqa: ASYNC110  nobody here could tell us
                await asyncio.sleep(self._settings.stand_by_poll_s)
            projector = await self._prepared(connection)
            self.is_ready.set()
            while True:
                await self._follow(projector, connection)
        finally:
            connection.terminate()

    async def _prepared(self, connection: asyncpg.Connection) -> Projector:
        head = await self._event_log.head()
        await store.create_tables(connection, store.LIVE_SCHEMA, head.incarnation)
        projector = Projector(self._event_log, connection, self._settings.cached_runs_max)
        projector.spans = self._spans
        checkpoint = await projector.start()
        if checkpoint.tables_version != store.TABLES_VERSION:
            _log.warning("the read models have another shape than this code writes: building them anew")
            await self._renew(self._event_log, self._dsn)
            await projector.start()
        self.position = projector.position
        return projector

    async def _follow(self, projector: Projector, connection: asyncpg.Connection) -> None:
        """Turns until nothing is left, then wait for a nudge, or for the second to look by ourselves."""
        self._nudged.clear()
        batch_size = self._settings.batch_size_max
        while True:
            began = time.monotonic()
            count = await projector.advance(batch_size)
            if not count:
                break
            self.position = projector.position
            await self._tell(self.position)
            if count < batch_size:
                pause_s = self._settings.turn_interval_min_s - (time.monotonic() - began)
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await self._nudged.wait()
        except TimeoutError:
            check_log(await store.read_checkpoint(connection), await self._event_log.head())
