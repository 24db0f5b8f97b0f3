"""People: users with a role, and what an administrator or they themselves may ask for."""

from datetime import datetime
from typing import Literal, get_args

from flowforge.command import Command
from flowforge.identity import named_stream

Role = Literal["viewer", "operator", "editor", "admin"]
"""Each may do what those before it may: read; run, cancel and approve; change definitions; manage users and keys."""
ROLES: tuple[Role, ...] = get_args(Role)
ADMINISTRATOR = "admin"
"""The user that a new installation has, before anything is logged of users."""
NOBODY = "local"
"""Who everybody is while authentication is off; no user is called so."""
USER_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,62}$"
KEY_ID_PATTERN = r"^key-[0-9a-f]{12}$"
KEY_PREFIX = "ffk_"
"""How keys begin, so that they are known for what they are wherever they turn up."""
KEY_DESCRIPTION_CHARS_MAX = 200
KEY_DESCRIPTION_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""One line without control characters: an administrator's terminal shows what others have written."""
PEOPLE = "people"
PEOPLE_STREAM = named_stream(PEOPLE, "all")
"""One stream has all users and keys: that one administrator is left is a rule about all of them."""


class AddUser(Command, kw_only=True, frozen=True):
    """To catalog: somebody with that role from now on. Answers, as all of these, `{version, position}`."""

    name: str
    role: str


class ChangeUser(Command, kw_only=True, frozen=True):
    """To catalog: another role."""

    name: str
    role: str


class RemoveUser(Command, kw_only=True, frozen=True):
    """To catalog: no such user any more, nor any key of theirs."""

    name: str


class CreateKey(Command, kw_only=True, frozen=True):
    """To catalog: a further key of a user, by the SHA-256 of it, as hexadecimal digits. The key is in no command.
    `expires_at` is in UTC."""

    user: str
    key_id: str
    key_hash: str
    description: str = ""
    expires_at: datetime | None = None


class RevokeKey(Command, kw_only=True, frozen=True):
    """To catalog: the key is good for nothing any more."""

    user: str
    key_id: str


class MakeLoginLink(Command, kw_only=True, frozen=True):
    """To catalog: it is on record that somebody was given a link that logs in as this user."""

    user: str


PeopleCommand = AddUser | ChangeUser | RemoveUser | CreateKey | RevokeKey | MakeLoginLink
PEOPLE_COMMANDS: tuple[type[Command], ...] = get_args(PeopleCommand)
