"""Sessions of the console, and the links that begin them: random values, of which only the SHA-256 is kept.

The tables are the gateway's (`gateway.sessions`, `gateway.login_links`); here is what more than one process does with them.
They are in no backup: whoever restores one logs in anew.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

COOKIE = "flowforge_session"
TOKEN_BYTES = 32
"""Of a login link and of a session's id."""
TOKEN_CHARS_MAX = 128
LOGIN_LINK_S_MAX = 3_600
"""A login link is good for so long, and once."""
SESSION_UNUSED_S_MAX = 7 * 86_400
SESSION_S_MAX = 30 * 86_400
"""In all, however much it is used."""
SESSION_NOTED_EVERY_S = 600
"""How exactly it is known when a session was used last."""

_LEFT = f"least(used_at + interval '{SESSION_UNUSED_S_MAX} seconds', created_at + interval '{SESSION_S_MAX} seconds')"
SESSIONS = f"""
    with found as (
        select hash, name, role, used_at, {_LEFT} as expires_at from gateway.sessions
        where hash = $1 and {_LEFT} > now()
    ), noted as (
        update gateway.sessions set used_at = now() from found
        where sessions.hash = found.hash and found.used_at < now() - interval '{SESSION_NOTED_EVERY_S} seconds'
    )
    select name, role, expires_at from found
"""  # noqa: S608  constants
"""Whose session it is, by the SHA-256 of its id."""
_ADD_LINK = f"""
    insert into gateway.login_links (hash, name, expires_at)
    select $1, name, now() + interval '{LOGIN_LINK_S_MAX} seconds' from gateway.users where name = $2 for share
    returning expires_at
"""  # noqa: S608


class LoginLink(msgspec.Struct, frozen=True):
    """A link that logs its user in, once, until then."""

    url: str
    expires_at: datetime


def new_token() -> str:
    """A value that nobody can guess, as text for an address or a cookie."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest_of(token: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def session_of(headers: Mapping[str, str]) -> str | None:
    """The session's id in the cookies of a request. Read pair by pair: the standard library's parser takes none of them where
    one is odd, and on `localhost` those of every other tool come along."""
    pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
    found = [value.strip() for name, _, value in pairs if name.strip() == COOKIE]
    return found[-1] if found and 0 < len(found[-1]) <= TOKEN_CHARS_MAX else None


async def add_login_link(connection: Any, user: str, address: str) -> LoginLink | None:
    """A link below `address` for this user; None where there is no such user. `connection` is one of asyncpg, or a pool."""
    token = new_token()
    expires_at = await connection.fetchval(_ADD_LINK, digest_of(token), user)
    return None if expires_at is None else LoginLink(f"{address.rstrip('/')}/login?token={quote(token)}", expires_at)
