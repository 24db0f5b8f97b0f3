"""People: what follows from a command about users and keys, given what happened before; the command again changes nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from flowforge.events import (
    PeopleEvent,
    UserAdded,
    UserChanged,
    UserKeyCreated,
    UserKeyRevoked,
    UserLoginLinkMade,
    UserRemoved,
)
from flowforge.people import AddUser, ChangeUser, CreateKey, MakeLoginLink, PeopleCommand, RemoveUser, RevokeKey
from flowforge.refusals import Refusal

from services.catalog.people.decide import decide
from services.catalog.people.state import evolve, initial
from services.catalog.settings import keys_per_user_max, users_max
from tests.unit.catalog.conftest import Running

ADA, BEN = UserAdded(name="ada", role="editor"), UserAdded(name="ben", role="admin")
KEY = UserKeyCreated(name="ada", key_id="key-1", key_hash="00", description="import")
GONE = UserRemoved(name="ada")


def after(events: Sequence[PeopleEvent], command: PeopleCommand) -> Sequence[PeopleEvent] | Refusal:
    state = initial
    for event in events:
        state = evolve(state, event)
    decided = decide(state, command)
    if isinstance(decided, Refusal):
        return decided
    for event in decided.events:
        state = evolve(state, event)
    again = decide(state, command)
    assert isinstance(again, Refusal) or list(again.events) == [] or isinstance(command, MakeLoginLink)
    return decided.events


def add(name: str = "ada", role: str = "editor") -> AddUser:
    return AddUser(command_id="c", name=name, role=role)


def change(role: str, name: str = "ada") -> ChangeUser:
    return ChangeUser(command_id="c", name=name, role=role)


def remove(name: str = "ada") -> RemoveUser:
    return RemoveUser(command_id="c", name=name)


def create_key(key_id: str = "key-1", user: str = "ada", description: str = "import") -> CreateKey:
    return CreateKey(command_id="c", user=user, key_id=key_id, key_hash="00", description=description)


def revoke(key_id: str = "key-1", user: str = "ada") -> RevokeKey:
    return RevokeKey(command_id="c", user=user, key_id=key_id)


@pytest.mark.parametrize(
    ("before", "command", "events"),
    [
        ([], add(), [ADA]),
        ([ADA, GONE], add(), [ADA]),
        ([ADA], change("viewer"), [UserChanged(name="ada", role="viewer")]),
        ([ADA], change("editor"), []),
        ([ADA], remove(), [GONE]),
        ([ADA], create_key(), [KEY]),
        ([ADA, KEY], create_key(), []),
        ([ADA, KEY], revoke(), [UserKeyRevoked(name="ada", key_id="key-1")]),
        ([ADA], MakeLoginLink(command_id="c", user="ada"), [UserLoginLinkMade(name="ada")]),
        (
            [],
            create_key(user="admin"),
            [UserKeyCreated(name="admin", key_id="key-1", key_hash="00", description="import")],
        ),
        ([BEN], change("viewer", "admin"), [UserChanged(name="admin", role="viewer")]),
        ([BEN], remove("admin"), [UserRemoved(name="admin")]),
    ],
)
def test_a_change_is_an_event_and_what_is_so_already_is_none(
    before: list[PeopleEvent], command: PeopleCommand, events: list[PeopleEvent]
):
    assert after(before, command) == events


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([], change("viewer", "admin")),
        ([], remove("admin")),
        ([ADA], remove("admin")),
        ([BEN, UserRemoved(name="admin")], remove("ben")),
        ([BEN, UserChanged(name="admin", role="viewer")], change("operator", "ben")),
    ],
)
def test_the_last_administrator_stays_one(before: list[PeopleEvent], command: PeopleCommand):
    refusal = after(before, command)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (409, "LAST_ADMIN")
    assert "give another user that role first" in refusal.detail


@pytest.mark.parametrize(
    ("before", "command", "told"),
    [
        ([], change("viewer"), "there is no user 'ada'"),
        ([], remove(), "there is no user 'ada'"),
        ([ADA, GONE], create_key(), "there is no user 'ada'"),
        ([], revoke(), "there is no user 'ada'"),
        ([ADA], revoke(), "there is no key 'key-1'"),
        ([ADA, KEY, GONE, ADA], revoke(), "there is no key 'key-1'"),
        ([], MakeLoginLink(command_id="c", user="ada"), "there is no user 'ada'"),
    ],
)
def test_who_or_what_is_not_there_is_told(before: list[PeopleEvent], command: PeopleCommand, told: str):
    refusal = after(before, command)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.detail) == (404, told)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"description": "a\n"}, "the description is one line, without control characters"),
        ({"expires_at": datetime(2099, 1, 1, tzinfo=timezone(timedelta(hours=2)))}, "is not in UTC"),
    ],
)
def test_what_no_table_and_no_terminal_takes_is_not_logged(fields: dict[str, Any], told: str):
    refusal = after([ADA], msgspec.structs.replace(create_key(), **fields))
    assert isinstance(refusal, Refusal)
    assert refusal.status == 422
    assert told in refusal.detail


def test_a_name_is_taken_once():
    refusal = after([ADA], add(role="viewer"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize("name", ["", "Ada", "a b", "a/b", "ä", "-a", "a" * 64, "local", "a\n"])
def test_a_name_must_be_one(name: str):
    refusal = after([], add(name))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.errors[0]["path"]) == (422, "$.name")


def test_a_role_must_be_one():
    for command in (add(role="boss"), change("boss")):
        refusal = after([] if isinstance(command, AddUser) else [ADA], command)
        assert isinstance(refusal, Refusal)
        assert refusal.detail == "'boss' is no role: expected viewer, operator, editor, admin"


def test_there_is_room_for_so_many_and_no_more():
    many = [UserAdded(name=f"u{number}", role="viewer") for number in range(users_max - 1)]
    keys = [UserKeyCreated(name="ada", key_id=f"key-{number}", key_hash="00") for number in range(keys_per_user_max)]
    for before, command in ((many, add()), ([ADA, *keys], create_key("key-x"))):
        refusal = after(before, command)
        assert isinstance(refusal, Refusal)
        assert refusal.status == 409
        assert "the limit" in refusal.detail


def test_a_long_description_is_refused():
    refusal = after([ADA], create_key(description="x" * 201))
    assert isinstance(refusal, Refusal)
    assert refusal.errors[0]["path"] == "$.description"


async def test_a_command_that_comes_again_is_answered_as_the_first_time(running: Running):
    for number, asked in enumerate((add("ada"), create_key(), remove())):
        command = msgspec.structs.replace(asked, command_id=str(number))
        [first] = await running.turn(command)
        [second] = await running.turn(command)
        assert first == second
        assert "ok" in first
    assert len(await running.events()) == 3


async def test_two_administrators_who_remove_each_other_at_once_leave_one(running: Running):
    await running.turn(AddUser(command_id="1", name="ben", role="admin"))
    answers = await running.turn(RemoveUser(command_id="2", name="ben"), RemoveUser(command_id="3", name="admin"))
    assert sorted("ok" in answer for answer in answers) == [False, True]
