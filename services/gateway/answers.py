"""The shapes of answers to writes, as they are described to clients. `position` is the event's in the log, for `?after=`."""

from datetime import datetime
from typing import Any

import msgspec
from flowforge.people import Role
from flowforge.subscribing import SubscriptionView
from msgspec import UNSET, UnsetType

from infra.http.described import TAGGED, gives
from infra.http.sessions import LoginLink


class Finding(msgspec.Struct):
    """What is wrong with a definition, or should be looked at."""

    type: str
    message: str
    path: str = ""
    nodes: list[str] = []
    severity: str = "warning"
    suggested_resolution: str = ""


class Saved(msgspec.Struct):
    """A save. `version` is the newest one, and the ETag."""

    id: str
    version: int
    position: int
    warnings: list[Finding]


class SavedTogether(msgspec.Struct):
    """A save of several workflows, all of them or none."""

    items: list[Saved]
    position: int


class Deleted(msgspec.Struct):
    """What is there no more."""

    id: str
    position: int


class SecretChanged(msgspec.Struct):
    """A secret that was set or deleted; a deleted one has no version."""

    name: str
    version: int | None
    position: int


class Report(msgspec.Struct):
    """Everything that is wrong with a definition."""

    is_valid: bool
    errors: list[Finding]
    warnings: list[Finding]
    circular_dependencies: list[list[str]]
    unreachable_nodes: list[str]
    orphaned_nodes: list[str]


class Started(msgspec.Struct):
    """A run that begins, at once or as soon as it has a slot."""

    run_id: str
    position: int


class Operated(msgspec.Struct):
    """What was done to a run, and how it stands then."""

    run_id: str
    position: int
    status: str | UnsetType = UNSET


class RefusedRun(msgspec.Struct):
    """A run to which it could not be done."""

    run_id: str
    code: str
    detail: str


class OperatedTogether(msgspec.Struct):
    """What was done to many runs; with `has_more`, ask again for the others."""

    action: str
    matched: int
    accepted: int
    run_ids: list[str]
    refused: list[RefusedRun]
    has_more: bool
    position: int


class Backfilled(msgspec.Struct):
    """The runs that make up for a schedule's past; `items` and how they stand only in a dry run, the ids only in a real one."""

    count: int
    backfill_id: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    position: int | UnsetType = UNSET
    fired: int | UnsetType = UNSET
    pending: int | UnsetType = UNSET
    items: list[dict[str, Any]] | UnsetType = UNSET
    has_more: bool | UnsetType = UNSET


class Received(msgspec.Struct):
    """An event, logged as `event_id`; a `duplicate` was logged before, there, and `differs` where it said something else."""

    id: str
    source: str
    event_id: str
    position: int
    duplicate: bool
    differs: bool


class ReceivedTogether(msgspec.Struct):
    """Several events, in their order."""

    items: list[Received]
    position: int


class Decided(msgspec.Struct):
    """A decision about an approval."""

    id: str
    decision: str
    run_id: str
    position: int


class Retried(msgspec.Struct):
    """A dead letter that `service` takes up again."""

    id: str
    service: str
    position: int


class Tried(msgspec.Struct):
    """What a trigger answers to one event; `input` is that of the run that would start."""

    decision: str
    reason: str | None
    detail: Any = None
    input: Any = None


class RehearsedDecisions(msgspec.Struct):
    """One page, newest first."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Rehearsed(msgspec.Struct):
    """What a trigger would have done, and what it did."""

    evaluated: int
    would_fire: int
    did_fire: int
    decisions: RehearsedDecisions


class SubscriptionWritten(SubscriptionView, frozen=True, kw_only=True):
    """A subscription after a write; `secret` only in the answer to the request that had one made."""

    position: int
    secret: str | UnsetType = UNSET


class Replayed(msgspec.Struct):
    """What was logged after `since_position` is posted again."""

    id: str
    since_position: int
    position: int


class Delivered(msgspec.Struct):
    """What came of one post; `status` is that of the receiver's answer, null where none came."""

    delivered: bool
    event_id: str
    status: int | None
    duration_ms: int
    error: str | None


class UserWritten(msgspec.Struct):
    """A user after a write."""

    name: str
    role: Role
    position: int


class UserDeleted(msgspec.Struct):
    """A user who is there no more."""

    name: str
    position: int


class KeyCreated(msgspec.Struct):
    """A key that was made. The `key` itself is in the first answer only: null where the request is repeated."""

    id: str
    user: str
    description: str
    expires_at: datetime | None
    key: str | None
    position: int


class NewLoginLink(LoginLink, frozen=True):
    """A link just made; the event of it has this position."""

    position: int


class KeyRevoked(msgspec.Struct):
    """A key that opens nothing any more."""

    id: str
    user: str
    position: int


class SessionEnded(msgspec.Struct):
    """Whose session it was."""

    user: str


_RUN_ID = "019ca945-2b5d-764f-be2e-79b6b73f502e"
SAVED = TAGGED | gives(Saved, {"id": "daily-report", "version": 3, "position": 4711, "warnings": []})
STARTED = gives(Started, {"run_id": _RUN_ID, "position": 4711})
OPERATED = gives(Operated, {"run_id": _RUN_ID, "status": "running", "position": 4711})
DELETED = gives(Deleted, {"id": "daily-report", "position": 4711})
SECRET_CHANGED = gives(SecretChanged, {"name": "API_KEY", "version": 1, "position": 4711})
SUBSCRIPTION_EXAMPLE: dict[str, Any] = {
    "id": "ledger",
    "name": "Failures for the ledger",
    "url": "https://ledger.example.com/flowforge",
    "filter": {"workflow_id": "daily-report", "types": ["RunFailed"]},
    "enabled": True,
    "status": "active",
    "paused": None,
    "version": 1,
    "created_at": "2026-01-31T12:00:00Z",
    "created_by": "ada",
    "updated_at": "2026-01-31T12:00:00Z",
    "deliveries": {
        "position": 4711,
        "pending": 0,
        "oldest_pending_at": None,
        "next_attempt_at": None,
        "delivered": 0,
        "failed": 0,
        "last_delivered_at": None,
        "failing_since": None,
        "last_error": None,
        "filter_error": None,
    },
    "position": 4711,
}
SUBSCRIPTION_WRITTEN = TAGGED | gives(SubscriptionWritten, SUBSCRIPTION_EXAMPLE)
SUBSCRIPTION_MADE = TAGGED | gives(
    SubscriptionWritten, SUBSCRIPTION_EXAMPLE | {"secret": "whsec_c2FtcGxlLXNlY3JldC1vZi0yNC1ieXRlcw=="}
)
REPLAYED = gives(Replayed, {"id": "ledger", "since_position": 4000, "position": 4711})
DELIVERED = gives(Delivered, {"delivered": True, "event_id": _RUN_ID, "status": 204, "duration_ms": 38, "error": None})
USER_WRITTEN = gives(UserWritten, {"name": "ada", "role": "editor", "position": 4711})
DELETED_USER = gives(UserDeleted, {"name": "ada", "position": 4711})
KEY_REVOKED = gives(KeyRevoked, {"id": "key-0f3a5c7e9b1d", "user": "ada", "position": 4711})
KEY_CREATED = gives(
    KeyCreated,
    {
        "id": "key-0f3a5c7e9b1d", "user": "ada", "description": "nightly import", "expires_at": "2099-01-31T00:00:00Z",
        "key": "ffk_3q2-7wq8cTexample", "position": 4711,
    },
)  # fmt: skip
SESSION_ENDED = gives(SessionEnded, {"user": "ada"})
LOGIN_LINK = gives(
    NewLoginLink,
    {"url": "http://127.0.0.1:8080/login?token=3q2-7wq8cT", "expires_at": "2026-01-31T13:00:00Z", "position": 4711},
)
RECEIVED_EXAMPLE = {
    "id": "order-17",
    "source": "/shop",
    "event_id": _RUN_ID,
    "position": 4711,
    "duplicate": False,
    "differs": False,
}
