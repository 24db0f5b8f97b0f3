"""Who is calling, and may they: API keys, roles, refusal by default.

A handler says in its `opt` which role it needs (`opt=VIEWER`), or that anybody may call it (`opt=PUBLIC`). A handler
that says neither is refused to everybody: nothing is opened by forgetting. Exemption hangs on the handler itself, never
on a path pattern (Kestra CVE-2026-53576, Prefect CVE-2026-3514).
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, cast, get_args

import asyncpg
import msgspec
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from infra.http.problems import Problem, unavailable

Role = Literal["viewer", "operator", "editor", "admin"]
_RANK = {role: rank for rank, role in enumerate(get_args(Role))}
_ROLE, _PUBLIC = "flowforge_role", "flowforge_public"

VIEWER = {_ROLE: "viewer"}
"""May read."""
OPERATOR = {_ROLE: "operator"}
"""May run, cancel and approve."""
EDITOR = {_ROLE: "editor"}
"""May change definitions and triggers."""


ADMIN = {_ROLE: "admin"}
"""May manage users, keys and retention."""
PUBLIC = {_PUBLIC: True}
"""No key is needed."""

KEY_CACHED_S = 5.0
KEYS_CACHED_MAX = 10_000
KEY_LENGTH_MAX = 512


class Principal(msgspec.Struct, frozen=True):
    """Who is calling; found in `request.user`."""

    name: str
    role: Role


LOCAL = Principal("local", "admin")
"""Everybody, where authentication is off."""

Lookup = Callable[[bytes], Awaitable[Principal | None]]
"""SHA-256 of a key → whose it is."""


def is_public(opt: Mapping[str, object]) -> bool:
    """Whether anybody may call the handler with this `opt`."""
    return opt.get(_PUBLIC) is True


class KeyRing:
    """Whose key is this? Answers are kept for `KEY_CACHED_S`, so a withdrawn key works no longer than that."""

    def __init__(self, lookup: Lookup, clock: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup
        self._clock = clock
        self._known: dict[bytes, tuple[Principal | None, float]] = {}

    async def principal(self, key: str) -> Principal | None:
        """The holder of the key, None for an unknown one."""
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        found = self._known.get(digest)
        if found is not None and found[1] > self._clock():
            return found[0]
        principal = await self._lookup(digest)
        if len(self._known) >= KEYS_CACHED_MAX:
            self._known.clear()
        self._known[digest] = (principal, self._clock() + KEY_CACHED_S)
        return principal


async def key_holder(pool: asyncpg.Pool, digest: bytes) -> Principal | None:
    """Look the key up in the gateway's table. Raises a 503 `Problem` while that is not there."""
    try:
        row = await pool.fetchrow("select name, role from gateway.keys where hash = $1", digest)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError) as fault:
        raise unavailable("keys cannot be checked yet: the gateway has not started") from fault
    if row is None or row["role"] not in _RANK:
        return None
    return Principal(row["name"], cast("Role", row["role"]))


class Authentication(ASGIMiddleware):
    """Middleware: 401 without a valid key, 403 without the role that the handler demands."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET, ScopeType.ASGI)

    def __init__(self, keys: KeyRing, *, is_on: bool) -> None:
        self._keys = keys
        self._is_on = is_on

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through to its handler, or raise `Problem`."""
        opt = scope["route_handler"].opt
        if not is_public(opt):
            principal = await self._principal(scope) if self._is_on else LOCAL
            _check_role(principal, opt.get(_ROLE))
            scope["user"] = principal
        await next_app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        key = _bearer_key(scope)
        if key is None:
            raise _unauthorized("a key is needed: `Authorization: Bearer <key>`")
        principal = await self._keys.principal(key)
        if principal is None:
            raise _unauthorized("this key is unknown or was withdrawn")
        return principal


def _bearer_key(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, key = given[0].decode("latin-1").partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and 0 < len(key) <= KEY_LENGTH_MAX else None


def _check_role(principal: Principal, needed: object) -> None:
    if not isinstance(needed, str) or needed not in _RANK:
        raise Problem(403, "nobody may call this: it names no role", code="FORBIDDEN")
    if _RANK[principal.role] < _RANK[needed]:
        raise Problem(403, f"this needs the role '{needed}', {principal.name} has '{principal.role}'", code="FORBIDDEN")


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, code="UNAUTHORIZED", headers={"WWW-Authenticate": 'Bearer realm="flowforge"'})
