"""Who is told of run events by HTTP: stream type `subscription`, one per id, written by subscriptions.

Deliveries that succeed stand in no event: they would double the log. What was given up does.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.events.event import Event

PauseReason = Literal["by_hand", "failing", "gone"]


class SubscriptionFilter(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Which run events are meant: those that fit all of it; empty fits every one.

    `types` are event types, `statuses` those that an event puts its run in, `label` is `name=value`, `condition` is CEL
    over `event` (as it is posted) and `run {id, workflow_id, labels}`.
    """

    workflow_id: str | None = None
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    label: str | None = None
    condition: str | None = None


class SubscriptionSaved(Event, kw_only=True, frozen=True):
    """Run events of the filter are posted to the URL from now on.

    `secret_ref` is a keyed fingerprint under which the signing secret is kept, sealed; what was signed with before is
    `secret_before`, and both sign until `secret_before_until`.
    """

    subscription_id: str
    subscription_version: int
    url: str
    name: str = ""
    filter: SubscriptionFilter = SubscriptionFilter()
    secret_ref: str
    secret_before: str = ""
    secret_before_until: datetime | None = None


class SubscriptionPaused(Event, kw_only=True, frozen=True):
    """Nothing is posted until it is resumed; what happens meanwhile is posted then."""

    subscription_id: str
    reason: PauseReason
    detail: str = ""


class SubscriptionResumed(Event, kw_only=True, frozen=True):
    """Posting goes on where it stood, or, with `skips_missed`, with what happens from now on."""

    subscription_id: str
    skips_missed: bool = False


class SubscriptionReplayed(Event, kw_only=True, frozen=True):
    """What was logged after `since_position` is posted once more, each event under the id that it had."""

    subscription_id: str
    since_position: int


class DeliveryAbandoned(Event, kw_only=True, frozen=True):
    """One event could not be posted in all its attempts, while others could; a replay posts it again."""

    subscription_id: str
    event_id: UUID
    event_position: int
    event_type: str
    run_id: UUID
    attempts: int
    error: str


class SubscriptionDeleted(Event, kw_only=True, frozen=True):
    """There is no such subscription any more."""

    subscription_id: str
