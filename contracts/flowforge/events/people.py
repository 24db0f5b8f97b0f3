"""Users and their keys: stream type `people`, one for all of them, written by catalog. No key is in an event."""

from datetime import datetime

from flowforge.events.event import Event


class UserAdded(Event, kw_only=True, frozen=True):
    """There is somebody of this name, who has the role (viewer, operator, editor, admin)."""

    name: str
    role: str


class UserChanged(Event, kw_only=True, frozen=True):
    """The user has another role than before."""

    name: str
    role: str


class UserRemoved(Event, kw_only=True, frozen=True):
    """There is no such user any more; their keys and sessions end with it."""

    name: str


class UserKeyCreated(Event, kw_only=True, frozen=True):
    """The user has a further key: a random value, of which `key_hash` is the SHA-256. It ends at `expires_at`, if ever."""

    name: str
    key_id: str
    key_hash: str
    description: str = ""
    expires_at: datetime | None = None


class UserKeyRevoked(Event, kw_only=True, frozen=True):
    """The key is good for nothing any more."""

    name: str
    key_id: str


class UserLoginLinkMade(Event, kw_only=True, frozen=True):
    """Somebody, the actor, was given a link that logs in to the console as this user, once."""

    name: str
