"""One system for all cases; a case that breaks it gets the next one a new one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.faults.system import System
from tests.faults.workload import register


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(server_home: Path) -> AsyncIterator[System]:
    """The whole system with its workflows registered."""
    environment = {"FLOWFORGE_WEBHOOK_ALLOW": "127.0.0.0/8", "FLOWFORGE_SUBSCRIPTION_WAITS_S": "0.1,0.2,0.5,1,2"}
    async with System(server_home / "faults", environment) as running:
        await register(running)
        yield running
