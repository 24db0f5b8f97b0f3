"""A pool that is opened by its first use, whoever comes at once."""

import asyncio

import asyncpg
import pytest

from infra.eventlog import Unavailable
from infra.eventlog.connections import Connections

MANY = 20
_OPEN = "select count(*) from pg_stat_activity where application_name = 'flowforge test-opened'"


async def test_many_at_once_open_one_pool(service_dsn: str, postgres_dsn: str):
    connections = Connections(service_dsn, "flowforge test-opened", 2)
    looker = await asyncpg.connect(postgres_dsn)

    async def use(number: int) -> int:
        async with connections.one() as connection:
            return await connection.fetchval("select $1::int", number)

    try:
        assert await asyncio.gather(*map(use, range(MANY))) == list(range(MANY))
        assert await looker.fetchval(_OPEN) == 2
        await connections.close()
        async with asyncio.timeout(10):
            while await looker.fetchval(_OPEN):  # the server notices in its own time
                await asyncio.sleep(0.01)
        assert await use(7) == 7
    finally:
        await connections.close()
        await looker.close()


async def test_a_server_that_is_not_there_is_unavailable():
    connections = Connections("postgresql://nobody@127.0.0.1:1/none", "flowforge test-opened", 2)
    with pytest.raises(Unavailable):
        async with connections.one():
            pass
    await connections.close()
