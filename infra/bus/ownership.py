"""Who owns a partition: whoever holds its Postgres advisory lock, on a direct connection of its own.

The lock is for liveness only; safety is the version check of every append. An owner whose connection breaks stops taking
messages at once, and starts afresh once it holds the lock again.
"""

import asyncio
import logging
from collections.abc import Callable
from hashlib import blake2b

import asyncpg

WAIT_S = 0.2
RELEASE_S = 1.0
ANSWER_S = 10.0
"""A Postgres that is as slow as that is away."""
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_log = logging.getLogger(__name__)


def lock_key(namespace: str, service: str, partition: int = 0) -> int:
    """The 64-bit key of the advisory lock."""
    digest = blake2b(f"{namespace}:{service}:{partition}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


class Ownership:
    """Waits for the lock, holds it, and says when it is lost."""

    def __init__(self, dsn: str, namespace: str, service: str, lost: Callable[[], None]) -> None:
        self._dsn = dsn
        self._key = lock_key(namespace, service)
        self._lost = lost
        self._connection: asyncpg.Connection | None = None
        self._closing = False

    @property
    def is_held(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def acquire(self) -> None:
        """Wait, as long as it takes, until this process is the owner."""
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=5, server_settings={"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2"}
                )
                await self._lock(connection)
            except _AWAY as fault:
                _log.warning("cannot take ownership yet: %s", fault)
                await asyncio.sleep(WAIT_S)
                continue
            connection.add_termination_listener(self._terminated)
            self._connection = connection
            return

    async def _lock(self, connection: asyncpg.Connection) -> None:
        try:
            # asked again and again: a statement that waited would keep Postgres from cleaning up all the while
            while not await connection.fetchval("select pg_try_advisory_lock($1)", self._key):  # noqa: ASYNC110
                await asyncio.sleep(WAIT_S)
        except BaseException:
            connection.terminate()
            raise

    async def look(self) -> None:
        """Called each second: a connection that was cut without a word, as by a host that is gone, is noticed, and is lost."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.fetchval("select 1", timeout=ANSWER_S)
        except _AWAY as fault:
            _log.warning("the owner's connection does not answer: %s", fault or type(fault).__name__)
            self._connection.terminate()

    async def release(self) -> None:
        """Let the next owner have it."""
        self._closing = True
        if self._connection is not None:
            try:
                await self._connection.close(timeout=RELEASE_S)
            except _AWAY as fault:  # it is cut off, and the lock goes with it
                _log.warning("the ownership could not be given back in order: %s", fault or type(fault).__name__)

    def _terminated(self, _connection: object) -> None:
        if not self._closing:
            _log.warning("ownership lost with the connection to Postgres")
            self._lost()
