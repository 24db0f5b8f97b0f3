"""A log with runs that have ended, a folder for archives, and the log that reads both."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from infra.archive import ArchivedEventLog

sys.path.insert(0, str(Path(__file__).parent.parent / "projections"))  # `histories`


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archives"


@pytest.fixture
async def log(service_dsn: str, folder: Path) -> AsyncIterator[ArchivedEventLog]:
    async with await ArchivedEventLog.open(service_dsn, folder) as opened:
        yield opened


@pytest.fixture
async def runs(log: ArchivedEventLog) -> list[UUID]:
    """Ten runs that have ended, their events mixed."""
    from histories import Clock, append_chain_runs, created

    await log.append([created()])
    return await append_chain_runs(log, Clock(), range(10))
