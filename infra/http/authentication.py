"""Who is calling, and may they: API keys, sessions of the console, roles, refusal by default.

A handler says in its `opt` which role it needs (`opt=VIEWER`), or that anybody may call it (`opt=PUBLIC`). A handler
that says neither is refused to everybody: nothing is opened by forgetting. Exemption hangs on the handler itself, never
on a path pattern (Kestra CVE-2026-53576, Prefect CVE-2026-3514).
"""

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Literal, cast

import asyncpg
import msgspec
from flowforge.people import NOBODY, ROLES, Role
from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPDisconnectEvent, Receive, ReceiveMessage, Scope, Send

from infra.http.methods import options
from infra.http.origins import check_local, check_same_origin
from infra.http.problems import Problem, unavailable
from infra.http.sessions import SESSIONS, digest_of, session_of

Way = Literal["key", "session", "off"]
"""How a caller is known; `off`: not at all."""
_RANK = {role: rank for rank, role in enumerate(ROLES)}
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
STREAM_LOOKED_AT_EVERY_S = 30.0
"""A live stream ends so long after whoever listens may listen no more."""
KEY_LENGTH_MAX = 512
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Principal(msgspec.Struct, frozen=True):
    """Who is calling; found in `request.user`. `expires_at` is of the key or the session, None for a key that stays."""

    name: str
    role: Role
    auth: Way = "key"
    expires_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


LOCAL = Principal(NOBODY, "admin", "off")
"""Everybody, where authentication is off."""

Lookup = Callable[[bytes], Awaitable[Principal | None]]
"""SHA-256 of a key, or of a session's id → whose it is."""


def is_public(opt: Mapping[str, object]) -> bool:
    """Whether anybody may call the handler with this `opt`."""
    return opt.get(_PUBLIC) is True


class KeyRing:
    """Whose key (or session) is this? Answers are kept for `KEY_CACHED_S`, so a withdrawn key works no longer than that."""

    def __init__(self, lookup: Lookup, clock: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup
        self._clock = clock
        self._known: dict[bytes, tuple[Principal | None, float]] = {}
        _RINGS.add(self)

    async def principal(self, key: str) -> Principal | None:
        """The holder of the key, None for an unknown one."""
        digest = digest_of(key)
        found = self._known.get(digest)
        if found is not None and found[1] > self._clock():
            return found[0]
        known = self._known
        principal = await self._lookup(digest)
        if len(known) >= KEYS_CACHED_MAX:
            known.clear()
        known[digest] = (principal, self._clock() + KEY_CACHED_S)
        return principal

    def forget(self) -> None:
        """Look everybody up anew; what is being looked up right now is not remembered."""
        self._known = {}


_RINGS: weakref.WeakSet[KeyRing] = weakref.WeakSet()


def forget_known() -> None:
    """Keys or sessions have changed: this process asks the tables again at once, others within `KEY_CACHED_S`."""
    for ring in tuple(_RINGS):
        ring.forget()


_KEYS = "select name, role, expires_at from gateway.keys where hash = $1 and (expires_at is null or expires_at > now())"


async def key_holder(pool: asyncpg.Pool, digest: bytes) -> Principal | None:
    """Look the key up in the gateway's table. Raises a 503 `Problem` while that is not there."""
    return await _holder(pool, _KEYS, digest, "key")


async def session_holder(pool: asyncpg.Pool, digest: bytes) -> Principal | None:
    """Look the session up likewise, and note that it is used."""
    return await _holder(pool, SESSIONS, digest, "session")


async def _holder(pool: asyncpg.Pool, query: str, digest: bytes, way: Way) -> Principal | None:
    try:
        row = await pool.fetchrow(query, digest)
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedColumnError,
        asyncpg.InvalidSchemaNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as fault:
        raise unavailable("keys cannot be checked yet: the gateway has not started") from fault
    if row is None or row["role"] not in _RANK:
        return None
    return Principal(row["name"], cast("Role", row["role"]), way, row["expires_at"])


class Authentication(ASGIMiddleware):
    """Middleware: 401 without a valid key or session, 403 without the role that the handler demands.

    A browser sends a session's cookie by itself, so a write with one must come from a page of this host; and where
    authentication is off, every request must, under a name that only this machine has.
    """

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET, ScopeType.ASGI)

    def __init__(
        self, keys: KeyRing, sessions: KeyRing, *, is_on: bool, looked_at_every_s: float = STREAM_LOOKED_AT_EVERY_S
    ) -> None:
        self._keys = keys
        self._sessions = sessions
        self._is_on = is_on
        self._looked_at_every_s = looked_at_every_s

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the request through to its handler, or raise `Problem`."""
        if scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS":
            await options(scope["path"]).to_asgi_response(None, Request(scope))(scope, receive, send)
            return
        opt = scope["route_handler"].opt
        if not is_public(opt):
            principal = await self._principal(scope)
            _check_role(principal, opt.get(_ROLE))
            scope["user"] = principal
            if self._is_on and scope.get("method") == "GET":
                receive = partial(self._receive_while_known, scope, principal, receive)
        await next_app(scope, receive, send)

    async def _receive_while_known(self, scope: Scope, principal: Principal, receive: Receive) -> ReceiveMessage:
        """What the client says; that it has gone, once it is somebody else's or nobody's: so a live stream ends, which
        waits for just that."""
        coming = asyncio.ensure_future(receive())
        try:
            while not coming.done():
                done, _ = await asyncio.wait([coming], timeout=self._looked_at_every_s)
                if not done and not await self._is_still(scope, principal):
                    return HTTPDisconnectEvent(type="http.disconnect")
            return coming.result()
        finally:
            coming.cancel()

    async def _is_still(self, scope: Scope, principal: Principal) -> bool:
        """Where nobody can tell now, yes."""
        try:
            now = await self._principal(scope)
        except Problem as problem:
            return problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return True
        return (now.name, now.role) == (principal.name, principal.role)

    async def _principal(self, scope: Scope) -> Principal:
        headers = Headers.from_scope(scope)
        if not self._is_on:
            check_local(headers)
            return LOCAL
        if "authorization" in headers:
            return await self._key_holder(headers.getall("authorization"))
        session = session_of(headers)
        if session is None:
            raise _unauthorized("a key is needed: `Authorization: Bearer <key>`; or a session: `flowforge login`")
        principal = await self._sessions.principal(session)
        if principal is None:
            raise _unauthorized("this session has ended; `flowforge login` makes a link for a new one")
        if scope.get("method") not in _READS:
            check_same_origin(headers)
        return principal

    async def _key_holder(self, given: list[str]) -> Principal:
        key = _bearer_key(given)
        if key is None:
            raise _unauthorized("a key is needed: `Authorization: Bearer <key>`")
        principal = await self._keys.principal(key)
        if principal is None:
            raise _unauthorized("this key is unknown or was withdrawn")
        return principal


def _bearer_key(given: list[str]) -> str | None:
    if len(given) != 1:
        return None
    scheme, _, key = given[0].partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and 0 < len(key) <= KEY_LENGTH_MAX else None


def _check_role(principal: Principal, needed: object) -> None:
    if not isinstance(needed, str) or needed not in _RANK:
        raise Problem(403, "nobody may call this: it names no role", code="FORBIDDEN")
    if _RANK[principal.role] < _RANK[needed]:
        raise Problem(403, f"this needs the role '{needed}', {principal.name} has '{principal.role}'", code="FORBIDDEN")


def check_own_or_admin(principal: Principal, user: str) -> None:
    """Raises a 403 `Problem` where somebody asks for what is another user's, unless that is an administrator."""
    if principal.name != user and not principal.is_admin:
        detail = f"this needs the role 'admin', or to be '{user[:100]}': {principal.name} has '{principal.role}'"
        raise Problem(403, detail, code="FORBIDDEN")


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, code="UNAUTHORIZED", headers={"WWW-Authenticate": 'Bearer realm="flowforge"'})
