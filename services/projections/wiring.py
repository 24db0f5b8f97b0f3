"""The service put together: FastStream holds its life and its connection to NATS; loop and job logs do the rest."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
from faststream import FastStream
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.bus.ending import end
from infra.bus.health import answer_health, healthy
from infra.bus.process import broker, connected, opened
from infra.embedded.readiness import say_ready
from infra.eventlog import EventLog
from infra.settings import Settings
from infra.telemetry import start_tracing
from services.projections.answers import Answers
from services.projections.job_logs import JobLogs
from services.projections.loop import Loop
from services.projections.rebuild import rebuild
from services.projections.retention import Retention
from services.projections.settings import AnswerSettings, LoopSettings, job_log_settings, retention_settings

_log = logging.getLogger(__name__)


class Projections:
    """The running parts of the service, and why it ended if it did not end by a signal."""

    def __init__(self, settings: Settings) -> None:
        self.fault: BaseException | None = None
        self._settings = settings
        self._subjects = Subjects(settings.namespace)
        self._job_logs: JobLogs | None = None
        self._broker = broker(settings, "projections", self._reconnected)
        self._background: set[asyncio.Task[None]] = set()
        self._tracing = start_tracing("projections", settings.namespace)
        self.app = FastStream(self._broker, lifespan=self._life, logger=None)

    @asynccontextmanager
    async def _life(self) -> AsyncGenerator[None]:
        dsn = self._settings.database_url
        assert dsn, "FLOWFORGE_DATABASE_URL names no server"
        log = await opened(self._settings)
        client = await connected(self._broker)
        pool = asyncpg.create_pool(dsn, min_size=0, max_size=2, command_timeout=30)
        await pool
        working = asyncio.create_task(self._work(log, dsn, pool, client))
        try:
            yield
        finally:
            await end([working])
            pool.terminate()
            await log.close()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.end)

    async def _work(self, log: EventLog, dsn: str, pool: asyncpg.Pool, client: Client) -> None:
        try:
            await self._serve(log, dsn, pool, client)
        except* Exception as faults:  # noqa: BLE001  nothing may be built on what is wrong: end, and say why
            self.fault = faults.exceptions[0]
            _log.critical("projections stop: %s", self.fault, exc_info=self.fault)
            self.app.exit()

    async def _serve(self, log: EventLog, dsn: str, pool: asyncpg.Pool, client: Client) -> None:
        answers = Answers(log, pool, AnswerSettings())

        async def tell(position: int) -> None:
            answers.stand_at(position)
            await _tell(client, self._subjects.projected, position)

        loop = Loop(
            log,
            dsn,
            namespace=self._settings.namespace,
            tell=tell,
            renew=_renew,
            settings=LoopSettings(),
            tracing=self._tracing,
        )
        lines = job_log_settings(retention_days=self._settings.retention_log_lines_days)
        self._job_logs = JobLogs(log, pool, client, namespace=self._settings.namespace, settings=lines)

        retention = Retention(log, dsn, self._settings.archive_folder, retention_settings(self._settings))

        async def on_appended(message: Msg) -> None:
            loop.nudge(int(message.data) if message.data.isdigit() else 0)

        await client.subscribe(self._subjects.appended, cb=on_appended)
        await client.subscribe(self._subjects.health("projections"), cb=_tell_health)
        await client.subscribe(self._subjects.command("projections", "*"), queue="projections", cb=answers.heard)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run())
            tasks.create_task(self._job_logs.run())
            tasks.create_task(retention.run())
            tasks.create_task(_say_ready(loop))

    def _reconnected(self) -> None:
        if self._job_logs is not None:
            task = asyncio.get_running_loop().create_task(self._job_logs.ask_again())
            self._background.add(task)
            task.add_done_callback(self._background.discard)


async def _say_ready(loop: Loop) -> None:
    await loop.is_ready.wait()
    say_ready()


async def _tell_health(request: Msg) -> None:
    await answer_health(request, healthy("projections"))


async def _renew(log: EventLog, dsn: str) -> None:
    await rebuild(log, dsn)


async def _tell(client: Client, subject: str, position: int) -> None:
    """A nudge for readers that wait; while NATS is away they look by themselves."""
    with contextlib.suppress(NatsError):
        await client.publish(subject, b"%d" % position)
