"""What a subscription is, and what its stream tells of one. Pure."""

from datetime import datetime
from typing import assert_never

import msgspec
from flowforge.events import (
    DeliveryAbandoned,
    PauseReason,
    SubscriptionDeleted,
    SubscriptionEvent,
    SubscriptionFilter,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    SubscriptionSaved,
)


class Paused(msgspec.Struct, frozen=True):
    """Why nothing is posted."""

    reason: PauseReason
    detail: str = ""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """As it was saved last. `secret_before` signs as well until `secret_before_until`."""

    id: str
    url: str
    name: str
    filter: SubscriptionFilter
    secret_ref: str
    secret_before: str = ""
    secret_before_until: datetime | None = None
    paused: Paused | None = None

    def secret_refs(self, now: datetime) -> list[str]:
        """What signs now, the newest first."""
        until = self.secret_before_until
        return [self.secret_ref, *([self.secret_before] if until is not None and now < until else [])]


class State(msgspec.Struct, frozen=True):
    """`version` counts the saves; no subscription: there is none, or it was deleted."""

    version: int = 0
    subscription: Subscription | None = None


initial = State()


def evolve(state: State, event: SubscriptionEvent) -> State:
    """The state after the event."""
    before = state.subscription
    match event:
        case SubscriptionSaved():
            return State(event.subscription_version, _saved(event, None if before is None else before.paused))
        case SubscriptionDeleted():
            return State(state.version)
        case SubscriptionPaused():
            return _changed(state, Paused(event.reason, event.detail))
        case SubscriptionResumed():
            return _changed(state, None)
        case SubscriptionReplayed() | DeliveryAbandoned():
            return state
        case _:
            assert_never(event)


def _saved(event: SubscriptionSaved, paused: Paused | None) -> Subscription:
    return Subscription(
        id=event.subscription_id,
        url=event.url,
        name=event.name,
        filter=event.filter,
        secret_ref=event.secret_ref,
        secret_before=event.secret_before,
        secret_before_until=event.secret_before_until,
        paused=paused,
    )


def _changed(state: State, paused: Paused | None) -> State:
    if state.subscription is None:
        return state
    return State(state.version, msgspec.structs.replace(state.subscription, paused=paused))
