"""Users and their keys."""

from typing import assert_never

import msgspec
from flowforge.events import (
    PeopleEvent,
    UserAdded,
    UserChanged,
    UserKeyCreated,
    UserKeyRevoked,
    UserLoginLinkMade,
    UserRemoved,
)
from flowforge.people import ADMINISTRATOR

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.fold.values import clean
from services.projections.state import ReadModels, UserKeyRow, UserRow


def fold_people(models: ReadModels, stored: StoredEvent, event: PeopleEvent) -> None:
    """Apply one event. The user is in `models`, unless this event adds them."""
    match event:
        case UserAdded():
            _put(models, _added(stored, event))
            audit(models, stored, "add_user", "user", event.name)
        case UserChanged():
            _put(models, msgspec.structs.replace(_known(models, stored, event.name), role=event.role, **_now(stored)))
            audit(models, stored, "change_user", "user", event.name)
        case UserRemoved():
            _put(models, msgspec.structs.replace(_known(models, stored, event.name), status="removed", **_now(stored)))
            _without_keys(models, event.name)
            audit(models, stored, "remove_user", "user", event.name)
        case UserKeyCreated():
            models.changes.user_keys[event.name, event.key_id] = _key(stored, event)
            audit(models, stored, "create_key", "user", event.name)
        case UserKeyRevoked():
            models.changes.user_keys.pop((event.name, event.key_id), None)
            models.changes.user_keys_gone.add((event.name, event.key_id))
            audit(models, stored, "revoke_key", "user", event.name)
        case UserLoginLinkMade():
            audit(models, stored, "make_login_link", "user", event.name)
        case _:
            assert_never(event)


def _put(models: ReadModels, row: UserRow) -> None:
    models.users[row.name] = models.changes.users[row.name] = row


def _now(stored: StoredEvent) -> dict[str, object]:
    return {"updated_at": stored.recorded_at, "position": stored.position}


def _known(models: ReadModels, stored: StoredEvent, name: str) -> UserRow:
    """The first administrator is known without an event. Raises KeyError for anybody else of whom nothing was logged."""
    if name == ADMINISTRATOR and name not in models.users:
        return UserRow(name, "admin", "active", None, None, 0, stored.recorded_at, stored.position)
    return models.users[name]


def _added(stored: StoredEvent, event: UserAdded) -> UserRow:
    at, by, position = stored.recorded_at, clean(stored.actor), stored.position
    return UserRow(event.name, event.role, "active", at, by, position, at, position)


def _key(stored: StoredEvent, event: UserKeyCreated) -> UserKeyRow:
    return UserKeyRow(
        user_name=event.name,
        id=event.key_id,
        description=event.description,
        created_at=stored.recorded_at,
        created_by=clean(stored.actor),
        expires_at=event.expires_at,
        position=stored.position,
    )


def _without_keys(models: ReadModels, name: str) -> None:
    keys = models.changes.user_keys
    for key in [key for key in keys if key[0] == name]:
        del keys[key]
    models.changes.users_gone.add(name)
