"""One system for all cases; a case that breaks it gets the next one a new one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.faults.system import System
from tests.faults.workload import register


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(server_home: Path) -> AsyncIterator[System]:
    """The whole system with its workflows registered."""
    async with System(server_home / "faults") as running:
        await register(running)
        yield running
