"""Reading who there is and with which keys; of oneself, everybody may."""

from datetime import datetime
from typing import Any

import msgspec
from flowforge.people import ADMINISTRATOR, Role
from litestar import Request, Router, get

from infra.http.authentication import ADMIN, VIEWER, Principal, check_own_or_admin
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import not_found
from services.projections.api.reads import Reads
from services.projections.conditions import Conditions

_USERS = f"""
    select name, role, created_at, created_by, updated_at, created_position,
        (select count(*) from projections.user_keys where user_name = name) as keys_count
    from (
        select name, role, created_at, created_by, updated_at, created_position from projections.users
        where status = 'active'
        union all select '{ADMINISTRATOR}', 'admin', null, null, null, 0
        where not exists (select from projections.users where name = '{ADMINISTRATOR}')
    ) known
"""  # noqa: S608  a constant: the first administrator is there before anything is logged
_KEYS = "select id, description, created_at, created_by, expires_at, position from projections.user_keys"
Asked = Request[Principal, Any, Any]


class UserView(msgspec.Struct):
    """Somebody who may ask. The first administrator was not added by anybody: no times are known. `keys_count` leaves out
    the key that the installation itself made for that one."""

    name: str
    role: Role
    created_at: datetime | None
    created_by: str | None
    updated_at: datetime | None
    keys_count: int


class KeyView(msgspec.Struct):
    """A key, but for the key itself, which was shown when it was made."""

    id: str
    description: str
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None


@get("/", opt=ADMIN)
async def list_users(reads: Reads, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None) -> Page[UserView]:
    """Everybody who may ask, the last added first."""
    cursors = await reads.cursors("users")
    conditions = Conditions()
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("created_position < {}", before[0])
    rows = await reads.pool.fetch(_USERS + conditions.page("created_position desc", limit), *conditions.values)
    return cursors.page([_user(row) for row in rows], limit, [[row["created_position"]] for row in rows])


@get("/{user:str}", opt=VIEWER)
async def read_user(request: Asked, reads: Reads, user: str) -> UserView:
    """One user. Others than oneself: for administrators."""
    check_own_or_admin(request.user, user)
    return await _known(reads, user)


@get("/{user:str}/keys", opt=VIEWER)
async def list_keys(
    request: Asked, reads: Reads, user: str, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[KeyView]:
    """The keys of a user that were not revoked, the newest first; never the keys themselves."""
    check_own_or_admin(request.user, user)
    cursors = await reads.cursors("keys", user)
    conditions = Conditions().add("user_name = {}", user)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("position < {}", before[0])
    await _known(reads, user)
    rows = await reads.pool.fetch(_KEYS + conditions.page("position desc", limit), *conditions.values)
    keys = [KeyView(*(row[name] for name in KeyView.__struct_fields__)) for row in rows]
    return cursors.page(keys, limit, [[row["position"]] for row in rows])


async def _known(reads: Reads, user: str) -> UserView:
    row = await reads.pool.fetchrow(_USERS + " where name = $1", user)
    if row is None:
        raise not_found("user", user[:100])
    return _user(row)


def _user(row: Any) -> UserView:
    return UserView(*(row[name] for name in UserView.__struct_fields__))


def routers() -> list[Router]:
    return [Router("/api/users", route_handlers=[list_users, read_user, list_keys], tags=["users"])]
