"""Users and keys as authentication finds them: the gateway's own tables, made from the stream of people in the log.

They are brought up to date before a change of them is answered, when the gateway starts, and now and then, in case that a
gateway died in between. Whoever holds the row of `gateway.people` writes; the others wait.
"""

import asyncio
import logging
from typing import Any, assert_never, cast

import asyncpg
from flowforge.events import (
    PeopleEvent,
    UserAdded,
    UserChanged,
    UserKeyCreated,
    UserKeyRevoked,
    UserLoginLinkMade,
    UserRemoved,
    decode,
)
from flowforge.people import ADMINISTRATOR, PEOPLE_STREAM

from infra.eventlog import EventLog, StoredEvent, Unavailable
from infra.http.authentication import forget_known
from services.gateway.settings import connect_wait_s, people_looked_at_every_s

_VERSION = "select version from gateway.people for update"
_MOVED = "update gateway.people set version = $1"
_ADD = """
    insert into gateway.users (name, role, is_original) values ($1, $2, false)
    on conflict (name) do update set role = excluded.role
"""
_CHANGE = (
    "update gateway.users set role = $2 where name = $1",
    "update gateway.keys set role = $2 where name = $1",
    "update gateway.sessions set role = $2 where name = $1",
)
_REMOVE = (
    "delete from gateway.users where name = $1",
    "delete from gateway.keys where name = $1",
    "delete from gateway.sessions where name = $1",
    "delete from gateway.login_links where name = $1",
)
_ADD_KEY = """
    insert into gateway.keys (hash, name, role, key_id, expires_at)
    select $2::bytea, name, role, $3::text, $4::timestamptz from gateway.users where name = $1 on conflict (hash) do nothing
"""
_REVOKE = "delete from gateway.keys where name = $1 and key_id = $2"
_FIRMLY = "set local synchronous_commit to on"
_FROM_THE_BEGINNING = (
    "delete from gateway.users",
    "delete from gateway.keys where key_id is not null",
    "delete from gateway.sessions",
    "delete from gateway.login_links",
    f"insert into gateway.users (name, role, is_original) values ('{ADMINISTRATOR}', 'admin', true)",  # noqa: S608
    f"update gateway.keys set role = 'admin' where name = '{ADMINISTRATOR}'",  # noqa: S608
)
_HASH_OF = "select hash from gateway.keys where name = $1 and key_id = $2"
_log = logging.getLogger(__name__)


class People:
    """What the tables have of users and keys. All raise what asyncpg raises, and `Unavailable`."""

    def __init__(self, pool: asyncpg.Pool, log: EventLog) -> None:
        self._pool: Any = pool
        self._event_log = log

    async def catch_up(self) -> None:
        """Have in the tables what is in the log; then this process knows of it too."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_FIRMLY)
            version = await connection.fetchval(_VERSION)
            events = await self._event_log.read_stream(PEOPLE_STREAM, max(version - 1, 0))
            if version > 0 and not events:
                version = await self._begin_anew(connection)
                events = await self._event_log.read_stream(PEOPLE_STREAM)
            new = [stored for stored in events if stored.version > version]
            for stored in new:
                await _apply(connection, stored)
            if new:
                await connection.execute(_MOVED, new[-1].version)
        if new:
            forget_known()

    async def begin(self) -> None:
        """Catch up, however long it takes: what was withdrawn while no gateway was there must not open anything."""
        while not await self._caught_up():  # noqa: ASYNC110  it is the log that is asked
            await asyncio.sleep(connect_wait_s)

    async def keep_up(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(people_looked_at_every_s)
            await self._caught_up()

    async def _caught_up(self) -> bool:
        try:
            await self.catch_up()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, Unavailable) as fault:
            _log.warning("users and keys are not looked at: %s", fault)
            return False
        return True

    async def has_key(self, user: str, key_id: str, digest: bytes) -> bool:
        """Whether the key of this id is the one with this SHA-256."""
        return await self._pool.fetchval(_HASH_OF, user, key_id) == digest

    async def _begin_anew(self, connection: Any) -> int:
        """The log is another one than that these tables were made from, such as one that lost its end."""
        _log.warning("users and keys are made anew: the log does not have what they were made from")
        for statement in _FROM_THE_BEGINNING:
            await connection.execute(statement)
        await connection.execute(_MOVED, 0)
        return 0


async def _apply(connection: Any, stored: StoredEvent) -> None:
    event = cast("PeopleEvent", decode(stored.type, stored.data))
    match event:
        case UserAdded():
            await connection.execute(_ADD, event.name, event.role)
        case UserChanged():
            for statement in _CHANGE:
                await connection.execute(statement, event.name, event.role)
        case UserRemoved():
            for statement in _REMOVE:
                await connection.execute(statement, event.name)
        case UserKeyCreated():
            digest = bytes.fromhex(event.key_hash)
            await connection.execute(_ADD_KEY, event.name, digest, event.key_id, event.expires_at)
        case UserKeyRevoked():
            await connection.execute(_REVOKE, event.name, event.key_id)
        case UserLoginLinkMade():
            pass
        case _:
            assert_never(event)
