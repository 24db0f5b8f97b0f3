"""Both logs under one name, so that one suite says what both promise."""

from collections.abc import AsyncIterator

import pytest

from infra.eventlog import EventLog, MemoryEventLog, PostgresEventLog


@pytest.fixture
async def postgres_log(service_dsn: str) -> AsyncIterator[PostgresEventLog]:
    async with await PostgresEventLog.connect(service_dsn) as log:
        yield log


@pytest.fixture(params=["memory", "postgres"])
def log_dsn(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("service_dsn") if request.param == "postgres" else None


@pytest.fixture
async def log(log_dsn: str | None) -> AsyncIterator[EventLog]:
    log = MemoryEventLog() if log_dsn is None else await PostgresEventLog.connect(log_dsn)
    yield log
    await log.close()
