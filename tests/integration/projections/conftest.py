"""A log, read models that follow it, and the application that reads them, all on a real Postgres."""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import httpx
import pytest
from litestar import Litestar

from infra.eventlog import EventLog, PostgresEventLog
from infra.settings import Settings
from services.projections.api import create_app
from services.projections.loop import Loop
from services.projections.rebuild import rebuild
from services.projections.settings import LoopSettings, ReadSettings
from tests.integration.application import application_of

sys.path.insert(0, str(Path(__file__).parent))  # `histories` stands beside the tests that use it

KEYS = {role: f"ffk_{role}" for role in ("viewer", "operator", "editor", "admin")}


@pytest.fixture
async def log(service_dsn: str) -> AsyncIterator[PostgresEventLog]:
    async with await PostgresEventLog.connect(service_dsn) as opened:
        yield opened


async def _quiet(_: int) -> None:
    return


async def _renew(log: EventLog, dsn: str) -> None:
    await rebuild(log, dsn)


@pytest.fixture
def new_loop(service_dsn: str, log: PostgresEventLog) -> Callable[[], Loop]:
    """A loop that looks often, since nobody nudges it here."""
    settings = LoopSettings(poll_s=0.01, reconnect_wait_s=0.01)
    return lambda: Loop(log, service_dsn, namespace="flowforge", tell=_quiet, renew=_renew, settings=settings)


@pytest.fixture
async def live(new_loop: Callable[[], Loop]) -> AsyncIterator[Loop]:
    """The loop at work."""
    loop = new_loop()
    running = asyncio.create_task(loop.run())
    ready = asyncio.create_task(loop.is_ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    assert not running.done(), running.exception()
    yield loop
    ready.cancel()
    assert not running.done(), running.exception()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def settings(service_dsn: str) -> Settings:
    return Settings(database_url=service_dsn)


@pytest.fixture
async def keys(postgres_dsn: str) -> dict[str, str]:
    """A key of each role, as the gateway keeps them."""
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(
        "create schema if not exists gateway;"
        "create table if not exists gateway.keys (hash bytea primary key, name text not null, role text not null,"
        " created_at timestamptz not null default now(), key_id text, expires_at timestamptz);"
        "grant usage on schema gateway to flowforge_service; grant select on gateway.keys to flowforge_service"
    )
    for role, key in KEYS.items():
        digest = hashlib.sha256(key.encode()).digest()
        await connection.execute("insert into gateway.keys (hash, name, role) values ($1, $2, $3)", digest, role, role)
    await connection.close()
    return KEYS


def _application(settings: Settings) -> Litestar:
    return create_app(settings, ReadSettings(checkpoint_poll_s=0.01, stream_poll_s=0.02, after_wait_s=2))


@pytest.fixture
async def client(live: Loop, settings: Settings, keys: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A viewer's client of the application."""
    from serving import served

    async with served(application_of(_application, settings)) as opened:
        opened.headers["authorization"] = f"Bearer {keys['viewer']}"
        yield opened
