"""Commands about subscriptions, which all go to the service of that name, and how subscriptions are read, by asking it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.command import Command
from flowforge.events.subscriptions import PauseReason, SubscriptionFilter
from flowforge.refusals import ExpectedVersion

DeliveryStatus = Literal["pending", "delivered", "failed"]


class SubscriptionPause(msgspec.Struct, frozen=True):
    """Why nothing is posted now, and since when."""

    reason: PauseReason
    detail: str | None
    at: datetime | None


class DeliveriesView(msgspec.Struct, frozen=True, kw_only=True):
    """How its deliveries stand: events up to `position` were looked at; `pending` are still to be posted, `failed` were given
    up. `filter_error`: why the filter's condition last had no answer, which counts as no."""

    position: int
    pending: int
    oldest_pending_at: datetime | None
    next_attempt_at: datetime | None
    delivered: int
    failed: int
    last_delivered_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
    filter_error: str | None


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as it is read; its secret is never shown. `version` counts the saves, pauses are none."""

    id: str
    name: str
    url: str
    filter: SubscriptionFilter
    enabled: bool
    status: Literal["active", "paused"]
    paused: SubscriptionPause | None
    version: int
    created_at: datetime
    created_by: str | None
    updated_at: datetime
    deliveries: DeliveriesView


class DeliveryTry(msgspec.Struct, frozen=True):
    """One post: no `status` where no answer came, no `error` where it arrived."""

    at: datetime
    status: int | None
    duration_ms: int
    error: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event that is owed or was posted, with the last of its `attempts`."""

    position: int
    event_id: UUID
    event_type: str
    run_id: UUID
    workflow_id: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    ended_at: datetime | None
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    tries: list[DeliveryTry]


class CreateSubscription(Command, kw_only=True, frozen=True):
    """Answers the subscription as it is read, with `position`. Its secret was kept, sealed, under `secret_ref`."""

    subscription_id: str
    url: str
    name: str = ""
    filter: SubscriptionFilter = SubscriptionFilter()
    secret_ref: str
    is_enabled: bool = True


class ChangeSubscription(Command, kw_only=True, frozen=True):
    """Change what is given; answers as `CreateSubscription`. A new secret signs beside the old one for a day."""

    subscription_id: str
    url: str | None = None
    name: str | None = None
    filter: SubscriptionFilter | None = None
    secret_ref: str | None = None
    is_enabled: bool | None = None
    expected_version: ExpectedVersion = None


class PauseSubscription(Command, kw_only=True, frozen=True):
    """Post nothing more; answers as `CreateSubscription`."""

    subscription_id: str
    reason: PauseReason = "by_hand"
    detail: str = ""


class ResumeSubscription(Command, kw_only=True, frozen=True):
    """Post again, at once, what is owed; with `skips_missed` only what happens from now on. Answers as above."""

    subscription_id: str
    skips_missed: bool = False


class ReplaySubscription(Command, kw_only=True, frozen=True):
    """Post again what was logged after a position, or since a time. Answers `{id, since_position, position}`."""

    subscription_id: str
    since_position: int | None = None
    since_at: datetime | None = None


class DeleteSubscription(Command, kw_only=True, frozen=True):
    """Answers `{id, position}`."""

    subscription_id: str
    expected_version: ExpectedVersion = None


class AbandonDelivery(Command, kw_only=True, frozen=True):
    """Of the service to itself: all attempts of one delivery are spent."""

    subscription_id: str
    event_id: UUID
    event_position: int
    event_type: str
    run_id: UUID
    attempts: int
    error: str


class TestSubscription(Command, kw_only=True, frozen=True):
    """Post one event of type `SubscriptionTested` now. Answers `{delivered, event_id, status, duration_ms, error}`."""

    __test__ = False
    subscription_id: str


class ReadSubscriptions(Command, kw_only=True, frozen=True):
    """Answers `{items}`, newest first; of one id, itself."""

    subscription_id: str | None = None


class ReadDeliveries(Command, kw_only=True, frozen=True):
    """Answers `{items}` of one subscription, newest event first, below `before_position`."""

    subscription_id: str
    status: DeliveryStatus | None = None
    before_position: int | None = None
    limit: int = 50


SUBSCRIPTION_COMMANDS: tuple[type[Command], ...] = (
    CreateSubscription,
    ChangeSubscription,
    PauseSubscription,
    ResumeSubscription,
    ReplaySubscription,
    DeleteSubscription,
    AbandonDelivery,
    TestSubscription,
    ReadSubscriptions,
    ReadDeliveries,
)
