"""A service as a process: FastStream holds its life, its connection and its commands; the shell does the rest.

FastStream is composed here rather than in each `wiring.py`, because it is the same for every service.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import uvloop
from faststream import AckPolicy, FastStream
from faststream.nats import NatsBroker, NatsMessage
from flowforge.subjects import Subjects
from nats.aio.client import Client

from infra.archive import ArchivedEventLog
from infra.bus.shell import Shell, ShellService
from infra.embedded.readiness import say_ready
from infra.eventlog import EventLog, PostgresEventLog, Unavailable
from infra.settings import Settings, load_settings
from infra.telemetry import start_tracing
from infra.telemetry.logs import write_logs

GRACEFUL_TIMEOUT_S = 4.0
PING_INTERVAL_S = 10
RECONNECT_WAIT_S = 0.2
CONNECT_WAIT_S = 0.2
GARBAGE_LOOKED_FOR_AFTER_COUNTS = (20_000, 10, 5)
"""New objects before the collector looks at them, and how often it then looks further back. Python's own 700 is for short
programs: a service keeps runs, definitions and plans, and walking over them took 40 % of the time of a run of 10,000 nodes."""
Build = Callable[[Settings, EventLog], ShellService]
_log = logging.getLogger(__name__)


def broker(settings: Settings, name: str, reconnected: Callable[[], None] | None = None) -> NatsBroker:
    """A connection that never gives up."""

    async def on_reconnect() -> None:
        _log.info("%s: NATS is back", name)
        if reconnected is not None:
            reconnected()

    async def on_error(fault: Exception) -> None:
        _log.warning("%s: NATS: %s", name, fault)

    assert settings.nats_url, "FLOWFORGE_NATS_URL names no server"
    return NatsBroker(
        settings.nats_url,
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]
        ping_interval=PING_INTERVAL_S,
        inbox_prefix=settings.nats_inbox_prefix,
        reconnected_cb=on_reconnect,
        error_cb=on_error,
        graceful_timeout=GRACEFUL_TIMEOUT_S,
        logger=None,
        apply_types=False,
    )


async def connected(source: NatsBroker) -> Client:
    """The broker's connection, waiting for a server that is not there yet."""
    while True:
        try:
            return await source.connect()
        except (TimeoutError, OSError) as fault:
            _log.warning("NATS is not there yet: %s", fault)
            await asyncio.sleep(CONNECT_WAIT_S)


async def opened(settings: Settings) -> PostgresEventLog:
    """The event log, waiting for a server that is not there yet."""
    assert settings.database_url
    while True:
        try:
            return await ArchivedEventLog.open(settings.database_url, settings.archive_folder)
        except Unavailable as fault:
            _log.warning("Postgres is not there yet: %s", fault)
            await asyncio.sleep(CONNECT_WAIT_S)


async def _whole(message: NatsMessage) -> NatsMessage:
    return message


def service_app(settings: Settings, name: str, build: Build) -> FastStream:
    """The application of one service."""
    shells: list[Shell] = []
    nats = broker(settings, name, lambda: _reconnected(shells))

    @nats.subscriber(
        Subjects(settings.namespace).command(name, "*"),
        queue=name,
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
        decoder=_whole,  # without it the handler is given the decoded body
    )
    async def on_command(message: NatsMessage) -> None:
        raw = message.raw_message
        await shells[0].command(raw.subject, raw.data, raw.reply)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        log = await opened(settings)
        client = await connected(nats)
        tracing = start_tracing(name, settings.namespace)
        shell = Shell(build(settings, log), log, client, settings.namespace, settings.database_url, tracing)
        shells.append(shell)
        await shell.start()
        ready = asyncio.create_task(_ready_once(shell))
        try:
            yield
        finally:
            ready.cancel()
            await shell.stop()
            await log.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.end)

    async def finish() -> None:
        """While there still is a connection: what is under way has something to say."""
        for shell in shells:
            await shell.stop()

    return FastStream(nats, lifespan=lifespan, logger=None, on_shutdown=[finish])


def _reconnected(shells: list[Shell]) -> None:
    for shell in shells:
        shell.reconnected()


async def _ready_once(shell: Shell) -> None:
    await shell.is_ready.wait()
    say_ready()


def run_service(name: str, build: Build) -> None:
    """Run the process until SIGTERM or SIGINT."""
    settings = load_settings()
    write_logs(name, settings)
    gc.set_threshold(*GARBAGE_LOOKED_FOR_AFTER_COUNTS)
    app = service_app(settings, name, build)
    uvloop.run(app.run())
