"""The table of outputs that may be used again (store.sql). Every method may raise `Unavailable`."""

from collections.abc import Collection, Mapping
from datetime import datetime

from infra.eventlog.connections import Connections
from services.execution.settings import CONNECTIONS_MAX

_KEEP = """
    insert into execution.outputs select * from unnest($1::bytea[], $2::bigint[], $3::timestamptz[])
    on conflict (name) do update set position = excluded.position, completed_at = excluded.completed_at
    where outputs.position < excluded.position
"""
_FIND = "select name, position, completed_at from execution.outputs where name = any ($1::bytea[])"
_FORGET = "delete from execution.outputs where completed_at < $1"
_KEEP_READ = """
    insert into execution.outputs_read (position) values ($1)
    on conflict (is_only_row) do update set position = excluded.position
"""
_READ = "select coalesce((select position from execution.outputs_read), 0)"
Kept = tuple[int, datetime]
"""The position of a `NodeCompleted`, and when it was."""


class OutputStore:
    """Execution's rows, in the database at `dsn`."""

    def __init__(self, dsn: str) -> None:
        self._connections = Connections(dsn, "flowforge execution", CONNECTIONS_MAX)

    async def keep(self, outputs: Mapping[bytes, Kept]) -> None:
        """Keep these, over older ones of the same name."""
        rows = [(name, *outputs[name]) for name in sorted(outputs)]
        async with self._connections.one() as connection:
            await connection.execute(_KEEP, *map(list, zip(*rows, strict=True)))

    async def find(self, names: Collection[bytes]) -> dict[bytes, Kept]:
        """Which of them there are."""
        async with self._connections.one() as connection:
            rows = await connection.fetch(_FIND, list(names))
        return {name: (position, at) for name, position, at in rows}

    async def forget_before(self, at: datetime) -> None:
        """Those that are older are used no more."""
        async with self._connections.one() as connection:
            await connection.execute(_FORGET, at)

    async def keep_read(self, position: int) -> None:
        """All outputs up to there are kept."""
        async with self._connections.one() as connection:
            await connection.execute(_KEEP_READ, position)

    async def read(self) -> int:
        """Up to where that is the case."""
        async with self._connections.one() as connection:
            return await connection.fetchval(_READ)
