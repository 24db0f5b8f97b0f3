"""People: who there is, with which role, and with which keys. Everybody sees to keys and login links of their own.

Each change is a command to catalog, whose answer is passed on once the tables have it that authentication reads.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from flowforge.command import Command
from flowforge.identity import new_uuid
from flowforge.people import (
    KEY_DESCRIPTION_CHARS_MAX,
    KEY_DESCRIPTION_PATTERN,
    KEY_PREFIX,
    USER_PATTERN,
    AddUser,
    ChangeUser,
    CreateKey,
    MakeLoginLink,
    RemoveUser,
    RevokeKey,
    Role,
)
from litestar import Response, delete, patch, post
from msgspec import Meta

from infra.http.authentication import ADMIN, VIEWER, check_own_or_admin
from infra.http.described import MADE, READS_ONLY, takes
from infra.http.problems import Problem, not_found
from infra.http.sessions import digest_of, new_token
from services.gateway import reply
from services.gateway.answers import DELETED_USER, KEY_CREATED, KEY_REVOKED, LOGIN_LINK, USER_WRITTEN, NewLoginLink
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.reply import Reply
from services.gateway.settings import open_links_per_user_max

_SHOWN_ONCE = {"Cache-Control": "no-store"}


class NewUser(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a `POST`."""

    name: Annotated[str, Meta(pattern=USER_PATTERN)]
    role: Role


class ChangedUser(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a `PATCH`."""

    role: Role


class NewKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a `POST`. Without `expires_at` the key is good until it is revoked."""

    description: Annotated[str, Meta(max_length=KEY_DESCRIPTION_CHARS_MAX, pattern=KEY_DESCRIPTION_PATTERN)] = ""
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


@post("/", opt=ADMIN | takes(NewUser, {"name": "ada", "role": "editor"}) | MADE | USER_WRITTEN, summary="Add a user")
async def add_user(request: AnyRequest) -> Response[bytes]:
    """201 `{name, role, position}`. 409 where the name is taken."""
    body = await json_body(request)
    new = shaped(body, NewUser)
    location = {"Location": f"/api/users/{new.name}"}
    shown = {"name": new.name, "role": new.role}
    return await _change(request, body, AddUser, {"name": new.name, "role": new.role}, shown, 201, location)


@patch(
    "/{user:str}", opt=ADMIN | takes(ChangedUser, {"role": "operator"}) | USER_WRITTEN, summary="Change a user's role"
)
async def change_user(request: AnyRequest, user: str) -> Response[bytes]:
    """200 `{name, role, position}`: it holds at once for keys and sessions that there are. 409 for the last administrator."""
    body = await json_body(request)
    shown = {"name": user, "role": shaped(body, ChangedUser).role}
    return await _change(request, body, ChangeUser, shown, shown)


@delete("/{user:str}", opt=ADMIN | DELETED_USER, status_code=200, summary="Remove a user")
async def remove_user(request: AnyRequest, user: str) -> Response[bytes]:
    """200 `{name, position}`: keys and sessions of this user end at once. 409 for the last administrator."""
    return await _change(request, b"", RemoveUser, {"name": user}, {"name": user})


@post(
    "/{user:str}/keys",
    opt=VIEWER | takes(NewKey, {"description": "nightly import", "expires_at": "2099-01-31T00:00:00Z"}) | KEY_CREATED,
    status_code=201,
    summary="Make a key",
)
async def create_key(request: AnyRequest, user: str) -> Response[bytes]:
    """201 with the key: nobody can read it later, and to a repeated request it is null.

    404 for an unknown user; others than oneself ask an administrator.
    """
    check_own_or_admin(request.user, user)
    body = await json_body(request)
    new = shaped(body, NewKey)
    expires_at = _good_until(new.expires_at)
    key = KEY_PREFIX + new_token()
    here, digest = gateway(request), digest_of(key)

    async def deed(command_id: str) -> Reply:
        key_id = f"key-{command_id.replace('-', '')[-12:]}"
        command = CreateKey(
            command_id=command_id, actor=request.user.name, user=user, key_id=key_id, key_hash=digest.hex(),
            description=new.description, expires_at=expires_at,
        )  # fmt: skip
        answer = await here.ask(request, command)
        await here.people.catch_up()
        shown = {"id": key_id, "user": user, "description": new.description, "expires_at": expires_at, "key": None}
        return reply.of(201, {**shown, "position": answer["position"]}, **_SHOWN_ONCE)

    response = await here.once(request, body, deed)
    return await _with_key(request, response, user, key)


def _good_until(given: datetime | None) -> datetime | None:
    """The time in UTC, as it is logged: at the end of the calendar there are some that no table takes. Raises a 422
    `Problem` for one of these, and for what is past."""
    if given is None:
        return None
    try:
        in_utc = given.astimezone(UTC)
    except OverflowError:
        message = f"{given.isoformat()} is beyond the calendar; leave it out for a key that stays"
    else:
        if in_utc > datetime.now(UTC):
            return in_utc
        message = f"{given.isoformat()} is past; name a time to come, or leave it out"
    errors = [{"path": "$.expires_at", "message": message}]
    raise Problem(422, message, code="INVALID", title="Key invalid", errors=errors)


async def _with_key(request: AnyRequest, response: Response[bytes], user: str, key: str) -> Response[bytes]:
    """The answer with the key, where it is this request that made it: no answer that is kept has it."""
    answer: dict[str, Any] = msgspec.json.decode(response.content)
    key_id = answer.get("id")
    if key_id is not None and await gateway(request).people.has_key(user, key_id, digest_of(key)):
        answer["key"] = key
        response.content = msgspec.json.encode(answer)
    return response


@delete("/{user:str}/keys/{key_id:str}", opt=VIEWER | KEY_REVOKED, status_code=200, summary="Revoke a key")
async def revoke_key(request: AnyRequest, user: str, key_id: str) -> Response[bytes]:
    """200 `{id, user, position}`: the key opens nothing any more. Others than oneself ask an administrator."""
    check_own_or_admin(request.user, user)
    return await _change(request, b"", RevokeKey, {"user": user, "key_id": key_id}, {"id": key_id, "user": user})


@post("/{user:str}/login-links", opt=VIEWER | READS_ONLY | LOGIN_LINK, status_code=201, summary="Make a login link")
async def make_login_link(request: AnyRequest, user: str) -> Response[NewLoginLink]:
    """201 `{url, expires_at, position}`: whoever opens it within an hour is logged in to the console as this user, once.
    404 for an unknown user, 409 while too many are open; others than oneself ask an administrator."""
    check_own_or_admin(request.user, user)
    here = gateway(request)
    if await here.sessions.open_links_count(user) >= open_links_per_user_max:
        detail = f"{open_links_per_user_max} login links of '{user}' are open, the limit; use one, or wait for an hour"
        raise Problem(409, detail, code="TOO_MANY_LINKS", title="Too many login links")
    made = await here.ask(request, MakeLoginLink(command_id=str(new_uuid()), actor=request.user.name, user=user))
    link = await here.sessions.add_link(user, here.address(request))
    if link is None:  # removed since
        raise not_found("user", user[:100])
    answer = NewLoginLink(link.url, link.expires_at, made["position"])
    return Response(answer, status_code=201, headers=_SHOWN_ONCE)


async def _change(
    request: AnyRequest,
    body: bytes,
    kind: type[Command],
    fields: dict[str, Any],
    shown: dict[str, Any],
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """Have the command carried out, and in force, once per idempotency key."""
    here = gateway(request)

    async def deed(command_id: str) -> Reply:
        answer = await here.ask(request, kind(command_id=command_id, actor=request.user.name, **fields))
        await here.people.catch_up()
        return reply.of(status, {**shown, "position": answer["position"]}, **(headers or {}))

    return await here.once(request, body, deed)
