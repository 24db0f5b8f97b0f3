"""Secrets that workflows use: stream type `secret`, one per name, written by catalog. Values stand in no event."""

from flowforge.events.event import Event


class SecretSet(Event, kw_only=True, frozen=True):
    """The secret has a value, or another one than before. `ref` is a keyed fingerprint under which it is kept, sealed."""

    name: str
    secret_version: int
    ref: str


class SecretDeleted(Event, kw_only=True, frozen=True):
    """There is no such secret any more: jobs that name it fail."""

    name: str
