"""Commands about subscriptions, which all go to the service of that name; reading is asking it, too."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from flowforge.command import Command
from flowforge.events.subscriptions import PauseReason, SubscriptionFilter

DeliveryStatus = Literal["pending", "delivered", "failed"]


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
