"""The stage for scheduler: a fresh log and namespace for each test."""

import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import nats
import pytest
from flowforge.envelope import now

from infra.bus.topology import declare, streams
from infra.eventlog import PostgresEventLog

sys.path.insert(0, str(Path(__file__).parent))  # test folders have no packages

from scheduler_stage import HeldClock, Installation


@pytest.fixture
async def installation(service_dsn: str, nats_url: str, namespace: str) -> AsyncIterator[Installation]:
    client = await nats.connect(nats_url)
    await declare(client, namespace)
    log = await PostgresEventLog.connect(service_dsn)
    installation = Installation(client, log, namespace, service_dsn, nats_url)
    await installation.listen()
    yield installation
    await installation.stop()
    await log.close()
    for stream in streams(installation.subjects):
        await client.jetstream().delete_stream(stream.name or "")  # each reserves room on the server
    await client.close()


@pytest.fixture
def held_clock() -> HeldClock:
    return HeldClock(now())


@pytest.fixture
def start() -> datetime:
    return now().replace(second=30, microsecond=0)


@pytest.fixture
def first(start: datetime) -> datetime:
    return start + timedelta(seconds=30)


@pytest.fixture
def clock(start: datetime) -> HeldClock:
    return HeldClock(start)
