"""Connections of the log: how they are set, what their failures mean, and that nothing pools them for us."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from infra.eventlog.types import Unavailable

COMMAND_TIMEOUT_S = 15.0
"""How long a statement may take; the server gives up a little earlier, so that its answer is what a caller hears."""
STATEMENT_TIMEOUT_MS = 14_000
CONNECT_TIMEOUT_S = 10
POOLER_PROBES = 3

_SERVER_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
    # One plan per statement, by index: a plan made while a table was small must not stay when it has grown.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InternalClientError,
)


class UnsuitableServer(Exception):
    """What answers at that address cannot serve FlowForge; the message says why and what to do."""


async def connect(dsn: str, application_name: str) -> asyncpg.Connection:
    """A connection set as all of the log's. Raises Unavailable, and UnsuitableServer where settings are refused."""
    async with answering():
        try:
            connection = await asyncpg.connect(
                dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_SERVER_SETTINGS | {"application_name": application_name},
            )
        except asyncpg.ProtocolViolationError as error:
            if "startup parameter" in str(error):
                raise _pooled(str(error)) from error
            raise
        await _prepare(connection)
        return connection


def open_pool(dsn: str, application_name: str, connections_max: int) -> Any:
    """A pool of such connections, to be awaited; each is opened when first needed."""
    return asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=connections_max,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        init=_prepare,
        reset=_leave_as_it_is,
        server_settings=_SERVER_SETTINGS | {"application_name": application_name},
    )


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("json", schema="pg_catalog", format="binary", encoder=bytes, decoder=bytes)


async def _leave_as_it_is(_connection: Any) -> None:
    """Statements here leave nothing behind in their session, so nothing is reset when one is given back."""


@asynccontextmanager
async def answering() -> AsyncGenerator[None]:
    """Raise `Unavailable` for whatever means that Postgres did not answer, or that its answer was lost."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise Unavailable(f"Postgres: {error or type(error).__name__}") from error
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):
            raise
        raise Unavailable(f"Postgres: {error}") from error


class Connections:
    """A pool that its first use opens. What Postgres does not answer is raised as `Unavailable`."""

    def __init__(self, dsn: str, application_name: str, connections_max: int) -> None:
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._given = (dsn, application_name, connections_max)

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[Any]:
        """A connection for as long as it is needed."""
        async with answering():
            async with self._opening:
                if self._pool is None:
                    self._pool = await open_pool(*self._given)
            async with self._pool.acquire() as connection:
                yield connection

    async def close(self) -> None:
        """Let go of all; the next use opens them anew."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()


async def refuse_pooler(dsn: str, application_name: str) -> None:
    """Raise UnsuitableServer when the address is that of a transaction pooler.

    A pooler answers for the server at start, so the process that a connection was promised is not the one that serves
    it. One that pools by transaction also lets a second client have the first one's process, or gives the first one
    another, where its prepared statements are unknown.
    """
    try:
        connection = await connect(dsn, application_name)
        try:
            if await _serving(connection) != connection.get_server_pid():
                await _refuse_shared_process(connection, dsn, application_name)
        finally:
            connection.terminate()
    except (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError) as error:
        raise _pooled(str(error)) from error


async def _refuse_shared_process(connection: Any, dsn: str, application_name: str) -> None:
    serving = await _serving(connection)
    for _ in range(POOLER_PROBES):
        other = await connect(dsn, application_name)
        try:
            async with other.transaction():
                if serving == await _serving(other) or serving != await _serving(connection):
                    raise _pooled("two clients shared one server process")
        finally:
            other.terminate()


async def _serving(connection: Any) -> int:
    async with answering():
        return await connection.fetchval("select pg_backend_pid()")


def _pooled(evidence: str) -> UnsuitableServer:
    return UnsuitableServer(
        "FLOWFORGE_DATABASE_URL leads to a transaction pooler, which breaks prepared statements and advisory locks; "
        f"give the address of Postgres itself, or of a session pool ({evidence})"
    )
