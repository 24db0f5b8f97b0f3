"""Subscriptions: who asked for what; how they stand is known to their own service."""

from flowforge.events import (
    DeliveryAbandoned,
    SubscriptionDeleted,
    SubscriptionEvent,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    SubscriptionSaved,
)

from infra.eventlog import StoredEvent
from services.projections.fold.asked import audit
from services.projections.state import ReadModels

_ACTIONS: dict[type[SubscriptionEvent], str] = {
    SubscriptionSaved: "save_subscription",
    SubscriptionPaused: "pause_subscription",
    SubscriptionResumed: "resume_subscription",
    SubscriptionReplayed: "replay_subscription",
    SubscriptionDeleted: "delete_subscription",
    DeliveryAbandoned: "abandon_delivery",
}


def subscription_asked(models: ReadModels, stored: StoredEvent, event: SubscriptionEvent) -> None:
    """A line of the audit trail, also for what the service did by itself."""
    audit(models, stored, _ACTIONS[type(event)], "subscription", event.subscription_id)
