"""The event log in Postgres: one connection that commits, a few that read."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import asyncpg
from flowforge.identity import moment

from infra.eventlog import call, statements
from infra.eventlog.checks import checked_streams
from infra.eventlog.commits import Commits
from infra.eventlog.connections import (
    COMMAND_TIMEOUT_S,
    UnsuitableServer,
    answering,
    connect,
    open_pool,
    refuse_pooler,
)
from infra.eventlog.entries import events_of, last_place, patterns_of
from infra.eventlog.types import Answer, Append, Head, Place, Snapshot, StoredEvent, Unavailable
from infra.eventlog.upcast import UPCASTERS, Upcasters
from infra.failpoints import FailpointError, failpoint

READERS_MAX = 4
"""Connections that read at the same time."""


class PostgresEventLog:
    """An `EventLog` in a migrated database. Opened with `connect`; used by one event loop.

    When a connection is lost, the calls that were on it raise `Unavailable` and the next ones open another.
    """

    def __init__(self, dsn: str, application_name: str, readers: Any, upcasters: Upcasters) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._readers = readers
        self._upcasters = upcasters
        self._commits = Commits(self._commit)
        self._writer: asyncpg.Connection | None = None
        self._append: Any = None
        self._append_one: Any = None

    @classmethod
    async def connect(cls, dsn: str, *, application_name: str = "flowforge", upcasters: Upcasters = UPCASTERS) -> Self:
        """The log at that address. Raises Unavailable, or UnsuitableServer for a pooler or a database not migrated."""
        await refuse_pooler(dsn, application_name)
        readers = await open_pool(dsn, application_name, READERS_MAX)
        log = cls(dsn, application_name, readers, upcasters)
        try:
            await log.head()
            await log._prepared()
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError) as error:
            await log.close()
            raise UnsuitableServer("the database holds no event log of this version: migrate it first") from error
        except BaseException:
            await log.close()
            raise
        return log

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def append(self, groups: Sequence[Append]) -> list[Answer]:
        """As promised by `EventLog`; callers that come while a commit is under way share the next one."""
        stream_ids = checked_streams(groups)
        return await self._commits.append(groups, stream_ids) if groups else []

    async def _commit(self, groups: Sequence[Append]) -> list[Answer]:
        is_one = call.is_one(groups)
        arguments = call.arguments_of_one(groups[0]) if is_one else call.arguments(groups)
        try:
            async with answering():
                await self._prepared()
                failpoint("eventlog.before_commit")
                row = await (self._append_one if is_one else self._append).fetchrow(*arguments)
                failpoint("eventlog.after_commit")
        except (Unavailable, FailpointError) as error:
            self._drop_writer()
            raise Unavailable(f"the outcome of an append is unknown: {error}") from error
        except asyncpg.DataError as error:
            raise ValueError(f"not an event that can be logged: {error}") from error
        return [call.answer_of_one(groups[0], row)] if is_one else call.answers(groups, row)

    async def _prepared(self) -> None:
        """Have a connection that commits, and its statements."""
        if self._writer is None or self._writer.is_closed():
            writer = await connect(self._dsn, self._application_name)
            async with answering():
                self._append = await writer.prepare(call.APPEND)
                self._append_one = await writer.prepare(call.APPEND_ONE)
            self._writer = writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.terminate()
            self._writer = None

    @asynccontextmanager
    async def _reader(self) -> AsyncGenerator[Any]:
        async with answering():
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                connection = await self._readers.acquire()
            try:
                yield connection
            except TimeoutError:
                connection.terminate()
                raise
            finally:
                await self._readers.release(connection)

    async def read_stream(self, stream_id: UUID, after_version: int = 0, limit: int | None = None) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            if limit is None:
                rows = await connection.fetch(statements.READ_STREAM, stream_id, after_version)
            else:
                rows = await connection.fetch(statements.READ_STREAM_PAGE, stream_id, after_version, limit)
        return [event for event in events_of(rows, self._upcasters) if event.version > after_version][:limit]

    async def read_last(self, stream_id: UUID, types: Collection[str]) -> Place | None:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            row = await connection.fetchrow(statements.READ_LAST, stream_id, patterns_of(types))
        return None if row is None else last_place(row["position"], row["types"], types)

    async def read_streams(self, stream_ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """As promised by `EventLog`."""
        streams: dict[UUID, list[StoredEvent]] = {stream_id: [] for stream_id in stream_ids}
        async with self._reader() as connection:
            rows = await connection.fetch(statements.READ_STREAMS, list(streams))
        for event in events_of(rows, self._upcasters):
            streams[event.stream_id].append(event)
        return streams

    async def read_of_moment(self, like: UUID, types: Collection[str], limit: int) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            rows = await connection.fetch(statements.READ_OF_MOMENT, *moment(like), patterns_of(types), limit)
        return events_of(rows, self._upcasters, types)[:limit]

    async def read(
        self,
        after_position: int,
        limit: int = 1000,
        *,
        types: Collection[str] | None = None,
        stream_types: Collection[str] | None = None,
        named_only: bool = False,
        archived: bool = False,  # noqa: ARG002  see infra/archive
    ) -> list[StoredEvent]:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            if types is None and stream_types is None and not named_only:
                rows = await connection.fetch(statements.READ, after_position, limit)
            else:
                rows = await connection.fetch(
                    statements.READ_NAMED if named_only else statements.READ_FILTERED,
                    after_position,
                    limit,
                    None if types is None else patterns_of(types),
                    None if stream_types is None else list(stream_types),
                )
        events = events_of(rows, self._upcasters, types)
        if events and events[0].position <= after_position:
            events = [event for event in events if event.position > after_position]
        return events[:limit]

    async def archived(self, stream_ids: Collection[UUID]) -> dict[UUID, str]:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            return dict(await connection.fetch(statements.ARCHIVED, list(stream_ids)))

    async def read_position(self, position: int) -> StoredEvent | None:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            rows = await connection.fetch(statements.READ_POSITION, position)
        found = [event for event in events_of(rows, self._upcasters) if event.position == position]
        return found[0] if found else None

    async def head(self) -> Head:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            return Head(*await connection.fetchrow(statements.HEAD))

    async def find_identities(self, keys: Collection[bytes]) -> dict[bytes, int]:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            return dict(await connection.fetch(statements.FIND_IDENTITIES, list(keys)))

    async def put_blob(self, data: bytes) -> str:
        """As promised by `EventLog`; on disk when this returns."""
        digest = hashlib.sha256(data)
        async with self._reader() as connection:
            await connection.execute(statements.PUT_BLOB, digest.digest(), len(data), data)
        return digest.hexdigest()

    async def get_blob(self, blob_hash: str) -> bytes | None:
        """As promised by `EventLog`."""
        try:
            digest = bytes.fromhex(blob_hash)
        except ValueError:
            return None
        async with self._reader() as connection:
            found = await connection.fetchrow(statements.GET_BLOB, digest)
            if found is None:
                return None
            data, is_unreferred = found
            return await connection.fetchval(statements.WANT_BLOB, digest) if is_unreferred else data

    async def get_cursor(self, name: str) -> int:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            return await connection.fetchval(statements.GET_CURSOR, name) or 0

    async def set_cursor(self, name: str, position: int) -> None:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            await connection.execute(statements.SET_CURSOR, name, position)

    async def get_snapshot(self, stream_id: UUID) -> Snapshot | None:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            row = await connection.fetchrow(statements.GET_SNAPSHOT, stream_id)
        return None if row is None else Snapshot(*row)

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            await connection.execute(
                statements.PUT_SNAPSHOT, snapshot.stream_id, snapshot.version, snapshot.schema_version, snapshot.data
            )

    async def drop_snapshots(self) -> None:
        """As promised by `EventLog`."""
        async with self._reader() as connection:
            await connection.execute(statements.DROP_SNAPSHOTS)

    async def close(self) -> None:
        """As promised by `EventLog`."""
        await self._commits.finish()
        self._drop_writer()
        self._readers.terminate()
