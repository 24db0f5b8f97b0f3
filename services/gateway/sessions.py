"""Sessions of the console as the gateway keeps them: begun by a link, ended by hand or by time."""

from typing import Any

import asyncpg

from infra.http.sessions import LoginLink, add_login_link, digest_of, new_token

_WHOSE = """
    select users.name from gateway.login_links join gateway.users using (name) where hash = $1 for share of users
"""
"""Waits for a change of the user that is under way: it would not see a session that begins meanwhile. Users are locked
before what hangs on them, as a change does it."""
_BEGIN = """
    with used as (delete from gateway.login_links where hash = $1 returning name, expires_at)
    insert into gateway.sessions (hash, name, role)
    select $2, users.name, users.role from used join gateway.users using (name) where used.expires_at > now()
    returning name
"""
_END = "delete from gateway.sessions where hash = $1"
_OPEN = "select count(*) from gateway.login_links where name = $1 and expires_at > now()"
_FIRMLY = "set local synchronous_commit to on"
"""A crash of the server must not bring back what was ended."""


class Sessions:
    """In the gateway's own tables. All raise what asyncpg raises."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool: Any = pool

    async def begin(self, token: str) -> str | None:
        """The id of a session of whom the link is for, which is used up; None where it is no good."""
        session = new_token()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_FIRMLY)
            name = await connection.fetchval(_WHOSE, digest_of(token))
            if name is not None:
                name = await connection.fetchval(_BEGIN, digest_of(token), digest_of(session))
        return None if name is None else session

    async def end(self, session: str) -> None:
        """It is known no more."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_FIRMLY)
            await connection.execute(_END, digest_of(session))

    async def open_links_count(self, user: str) -> int:
        """How many links of this user would still begin a session."""
        return await self._pool.fetchval(_OPEN, user)

    async def add_link(self, user: str, address: str) -> LoginLink | None:
        """None where there is no such user."""
        return await add_login_link(self._pool, user, address)
