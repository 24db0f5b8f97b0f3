"""Who there is, with which role and keys, and how the stream of people tells it. Pure."""

from collections.abc import Mapping
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


class Person(msgspec.Struct, frozen=True):
    """One user; `keys` are the ids of those that were not revoked."""

    role: str
    keys: frozenset[str] = frozenset()


class People(msgspec.Struct, frozen=True):
    """Everybody by name. `version` counts the changes."""

    version: int
    users: Mapping[str, Person]

    @property
    def admins_count(self) -> int:
        return sum(person.role == "admin" for person in self.users.values())


initial = People(0, {ADMINISTRATOR: Person("admin")})


def evolve(state: People, event: PeopleEvent) -> People:
    """Who there is after the event."""
    users = dict(state.users)
    match event:
        case UserAdded():
            users[event.name] = Person(event.role)
        case UserChanged():
            users[event.name] = Person(event.role, users[event.name].keys)
        case UserRemoved():
            del users[event.name]
        case UserKeyCreated():
            before = users[event.name]
            users[event.name] = Person(before.role, before.keys | {event.key_id})
        case UserKeyRevoked():
            before = users[event.name]
            users[event.name] = Person(before.role, before.keys - {event.key_id})
        case UserLoginLinkMade():
            pass
        case _:
            assert_never(event)
    return People(state.version + 1, users)
