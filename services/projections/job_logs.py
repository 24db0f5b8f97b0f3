"""The lines that jobs write: from the reports of workers into a table of their own, kept for a while.

They are not in the log. A report is acknowledged once its lines are committed; one that comes again has the same key
and changes nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from flowforge import envelope
from flowforge.reports import JobLogged
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.bus import settling
from infra.bus.appending import Appending
from infra.bus.aside import Aside
from infra.bus.intake import Intake, StandingPull
from infra.bus.message import Message
from infra.bus.topology import hearings
from infra.eventlog import EventLog, Unavailable
from infra.failpoints import failpoint
from services.projections.settings import JobLogSettings

_LINES = "projections_kept.job_log_lines"
_INSERT = f"""
    insert into {_LINES} (run_id, node_id, instance, attempt, first_line, job_id, lines, logged_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing
"""  # noqa: S608
_SWEEP = f"""
    delete from {_LINES} where ctid = any(array(
        select ctid from {_LINES} where logged_at < now() - make_interval(days => $1) limit $2))
"""  # noqa: S608
_MAKE_PARTITIONS = "select eventlog.make_partitions()"
"""Of the log, for the months to come."""
_NANOSECONDS = 1_000_000_000
LINE_NUMBER_MAX = 2**31
NAME_BYTES_MAX = 1_000
"""Of the names of a node and of an instance: the key has room for two of these."""
_NOT_THERE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    Unavailable,
)
_log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(JobLogged).decode


class JobLogs:
    """Hears `JobLogged` until cancelled."""

    def __init__(
        self, log: EventLog, pool: asyncpg.Pool, client: Client, namespace: str, settings: JobLogSettings
    ) -> None:
        self._aside = Aside("projections", client, Appending(log, "projections", _nothing), self._grew)
        self._pool = pool
        self._client = client
        self._appended = Subjects(namespace).appended
        self._settings = settings
        self._intake = Intake()
        self._unreadable: list[tuple[Message, str]] = []
        self._pulls = [
            StandingPull(client, hearing, self._intake, envelope.decode, self._put_aside)
            for hearing in hearings(Subjects(namespace))["projections"]
        ]

    async def run(self) -> None:
        """Take reports and keep their lines; sweep out the old ones."""
        for pull in self._pulls:
            await pull.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take())
            tasks.create_task(self._look())
            tasks.create_task(self._sweep())

    async def ask_again(self) -> None:
        """After a reconnect: what was asked of the old connection is void."""
        for pull in self._pulls:
            await pull.ask_again()

    def _put_aside(self, message: Message, reason: str) -> None:
        self._unreadable.append((message, reason))

    async def _take(self) -> None:
        while True:
            batch = await self._intake.take(self._settings.batch_size_max)
            try:
                await self._keep(batch)
            except _NOT_THERE as fault:
                _log.warning("%d reports of lines put back: %s", len(batch), fault)
                await settling.ask_again_later(self._client, batch, self._settings.retry_wait_s)
                await asyncio.sleep(self._settings.retry_wait_s)

    async def _keep(self, batch: Sequence[Message]) -> None:
        rows: list[tuple[Any, ...]] = []
        for message in batch:
            try:
                rows.append(_row(message))
            except ValueError as fault:
                await self._aside.quarantine(message, str(fault))
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(_INSERT, rows)
            failpoint("projections.job_log_before_commit")
        await settling.acknowledge(self._client, batch)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(1)
            for pull in self._pulls:
                await pull.look()
            while self._unreadable:
                message, reason = self._unreadable[0]
                try:
                    await self._aside.quarantine(message, reason)
                except Unavailable as fault:
                    _log.warning("a message cannot be quarantined yet: %s", fault)
                    break
                self._unreadable.pop(0)

    async def _sweep(self) -> None:
        while True:
            for deed in (self._make_partitions, self._sweep_out):
                try:
                    await deed()
                except _NOT_THERE as fault:
                    _log.warning("old lines not swept out, or no partition made; tried again later: %s", fault)
            await asyncio.sleep(self._settings.sweep_interval_s)

    async def _make_partitions(self) -> None:
        await self._pool.execute(_MAKE_PARTITIONS)

    async def _sweep_out(self) -> None:
        days, rows_max = self._settings.retention_days, self._settings.swept_rows_max
        while await self._pool.execute(_SWEEP, days, rows_max) == f"DELETE {rows_max}":
            _log.debug("%d reports of lines older than %d days are gone", rows_max, days)

    async def _grew(self) -> None:
        await self._client.publish(self._appended, b"0")


async def _nothing() -> None:
    """An append whose outcome was unknown: nothing is remembered here that it could have changed."""


def _row(message: Message) -> tuple[Any, ...]:
    """Columns of the report. Raises ValueError for one that makes no sense."""
    _, _, run_id, job_id, _ = message.tokens
    report = _decode(message.event.data)
    if not -1 < report.first_line < LINE_NUMBER_MAX or not -1 < report.attempt < LINE_NUMBER_MAX:
        raise ValueError("first_line and attempt are numbers from 0")
    for name in (report.node_id, report.instance):
        if "\x00" in name or len(name.encode()) > NAME_BYTES_MAX:
            raise ValueError(f"node_id and instance have at most {NAME_BYTES_MAX:,} bytes, and none of them is zero")
    lines = [line.replace("\x00", "\ufffd") for line in report.lines]
    return (
        UUID(run_id),
        report.node_id,
        report.instance,
        report.attempt,
        report.first_line,
        UUID(job_id),
        lines,
        _stored_at(message),
    )


def _stored_at(message: Message) -> datetime:
    """When NATS stored it: in the subject to acknowledge on, the nanoseconds are the last but one token."""
    tokens = message.reply_to.split(".")
    return datetime.fromtimestamp(int(tokens[-2]) / _NANOSECONDS, UTC)
