"""Subscriptions and deliveries as they are read."""

from collections.abc import Mapping
from typing import Any

import msgspec
from flowforge.subscribing import DeliveriesView, DeliveryTry, DeliveryView, SubscriptionPause, SubscriptionView

from services.subscriptions.loaded import Loaded


class Seen(msgspec.Struct, frozen=True):
    """What the deliverer knows beyond the tables: how far it has looked, and why its filter last had no answer."""

    position: int = 0
    filter_fault: str = ""


def subscription_view(loaded: Loaded, health: Mapping[str, Any] | None, seen: Seen) -> SubscriptionView:
    """One subscription; its secret is never shown."""
    subscription = loaded.state.subscription
    assert subscription is not None
    assert loaded.created_at is not None
    assert loaded.updated_at is not None
    paused = subscription.paused
    return SubscriptionView(
        id=subscription.id,
        name=subscription.name,
        url=subscription.url,
        filter=subscription.filter,
        enabled=paused is None,
        status="active" if paused is None else "paused",
        paused=None if paused is None else SubscriptionPause(paused.reason, paused.detail or None, loaded.paused_at),
        version=loaded.state.version,
        created_at=loaded.created_at,
        created_by=loaded.created_by,
        updated_at=loaded.updated_at,
        deliveries=_health(health, seen, loaded.created_position),
    )


def _health(row: Mapping[str, Any] | None, seen: Seen, created_position: int) -> DeliveriesView:
    found = dict(row or {})
    return DeliveriesView(
        position=seen.position or found.get("position", created_position),
        pending=found.get("pending_count", 0),
        oldest_pending_at=found.get("oldest_pending_at"),
        next_attempt_at=found.get("next_attempt_at"),
        delivered=found.get("delivered_count", 0),
        failed=found.get("failed_count", 0),
        last_delivered_at=found.get("last_delivered_at"),
        failing_since=found.get("failing_since"),
        last_error=found.get("last_error"),
        filter_error=seen.filter_fault or None,
    )


def delivery_view(row: Mapping[str, Any]) -> DeliveryView:
    """One delivery, with its last attempts."""
    tries = row["tries"]
    return DeliveryView(
        **{name: row[name] for name in _DELIVERY},
        next_attempt_at=row["due_at"] if row["status"] == "pending" else None,
        last_status=tries[-1].status if tries else None,
        last_error=(tries[-1].error or None) if tries else None,
        tries=[DeliveryTry(each.at, each.status, each.duration_ms, each.error or None) for each in tries],
    )


_DELIVERY = (
    "position", "event_id", "event_type", "run_id", "workflow_id", "status", "attempts", "created_at", "ended_at",
)  # fmt: skip
