"""What follows from a command about people. Pure; a refusal is a value."""

import re
from datetime import timedelta
from typing import assert_never

from flowforge.events import (
    PeopleEvent,
    UserAdded,
    UserChanged,
    UserKeyCreated,
    UserKeyRevoked,
    UserLoginLinkMade,
    UserRemoved,
)
from flowforge.people import (
    KEY_DESCRIPTION_CHARS_MAX,
    KEY_DESCRIPTION_PATTERN,
    NOBODY,
    ROLES,
    USER_PATTERN,
    AddUser,
    ChangeUser,
    CreateKey,
    MakeLoginLink,
    PeopleCommand,
    RemoveUser,
    RevokeKey,
)
from flowforge.refusals import Refusal, invalid, invalid_state, not_found

from services.catalog.decided import Decided
from services.catalog.people.state import People, Person
from services.catalog.settings import keys_per_user_max, users_max

Outcome = Decided[PeopleEvent] | Refusal


def decide(state: People, command: PeopleCommand) -> Outcome:
    """The event that carries the command out; none where it is so already."""
    match command:
        case AddUser():
            return _add(state, command)
        case ChangeUser():
            return _change(state, command)
        case RemoveUser():
            return _remove(state, command)
        case CreateKey():
            return _create_key(state, command)
        case RevokeKey():
            return _revoke_key(state, command)
        case MakeLoginLink():
            return (
                _made([UserLoginLinkMade(name=command.user)]) if command.user in state.users else _nobody(command.user)
            )
        case _:
            assert_never(command)


def _add(state: People, command: AddUser) -> Outcome:
    if (refusal := _bad_name(command.name) or _bad_role(command.role)) is not None:
        return refusal
    if command.name in state.users:
        return Refusal(
            code="ALREADY_EXISTS",
            status=409,
            title="Already exists",
            detail=f"a user '{command.name}' exists already; PATCH changes the role",
        )
    if len(state.users) >= users_max:
        return invalid_state(f"there are {users_max:,} users, the limit; remove one who is gone")
    return _made([UserAdded(name=command.name, role=command.role)])


def _change(state: People, command: ChangeUser) -> Outcome:
    person = state.users.get(command.name)
    if person is None:
        return _nobody(command.name)
    if (refusal := _bad_role(command.role)) is not None:
        return refusal
    if person.role == command.role:
        return _made([])
    if _is_last_admin(state, person):
        return _last_admin(command.name, "lowered")
    return _made([UserChanged(name=command.name, role=command.role)])


def _remove(state: People, command: RemoveUser) -> Outcome:
    person = state.users.get(command.name)
    if person is None:
        return _nobody(command.name)
    if _is_last_admin(state, person):
        return _last_admin(command.name, "removed")
    return _made([UserRemoved(name=command.name)])


def _create_key(state: People, command: CreateKey) -> Outcome:
    person = state.users.get(command.user)
    if person is None:
        return _nobody(command.user)
    if (refusal := _bad_key(command)) is not None:
        return refusal
    if command.key_id in person.keys:
        return _made([])
    if len(person.keys) >= keys_per_user_max:
        return invalid_state(f"'{command.user}' has {keys_per_user_max} keys, the limit; revoke one that nobody uses")
    created = UserKeyCreated(
        name=command.user,
        key_id=command.key_id,
        key_hash=command.key_hash,
        description=command.description,
        expires_at=command.expires_at,
    )
    return _made([created])


def _revoke_key(state: People, command: RevokeKey) -> Outcome:
    person = state.users.get(command.user)
    if person is None:
        return _nobody(command.user)
    if command.key_id not in person.keys:
        return not_found("key", command.key_id[:100])
    return _made([UserKeyRevoked(name=command.user, key_id=command.key_id)])


def _made(events: list[PeopleEvent]) -> Decided[PeopleEvent]:
    return Decided(events)


def _is_last_admin(state: People, person: Person) -> bool:
    return person.role == "admin" and state.admins_count == 1


def _last_admin(name: str, what: str) -> Refusal:
    return Refusal(
        code="LAST_ADMIN",
        status=409,
        title="The last administrator",
        detail=f"'{name}' is the only user with the role 'admin' and cannot be {what}; give another user that role first",
    )


def _nobody(name: str) -> Refusal:
    return not_found("user", name[:100])


def _bad_key(command: CreateKey) -> Refusal | None:
    if len(command.description) > KEY_DESCRIPTION_CHARS_MAX:
        path = "$.description"
        message = f"the description has {len(command.description)} characters, the limit is {KEY_DESCRIPTION_CHARS_MAX}"
    elif not re.fullmatch(KEY_DESCRIPTION_PATTERN, command.description):
        path, message = "$.description", "the description is one line, without control characters"
    elif command.expires_at is not None and command.expires_at.utcoffset() != timedelta(0):
        path, message = "$.expires_at", f"{command.expires_at.isoformat()} is not in UTC, as times in the log are"
    else:
        return None
    return invalid("Key invalid", message, [{"path": path, "message": message}])


def _bad_role(role: str) -> Refusal | None:
    if role in ROLES:
        return None
    message = f"'{role[:100]}' is no role: expected {', '.join(ROLES)}"
    return invalid("User invalid", message, [{"path": "$.role", "message": message}])


def _bad_name(name: str) -> Refusal | None:
    if name == NOBODY:
        message = f"'{NOBODY}' is everybody while authentication is off; take another name"
    elif re.fullmatch(USER_PATTERN, name):
        return None
    else:
        message = (
            f"'{name[:100]}' is no name of a user: small letters, digits and `. _ @ -`, a letter or digit first, "
            "at most 63 in all"
        )
    return invalid("User invalid", message, [{"path": "$.name", "message": message}])
