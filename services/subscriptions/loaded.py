"""A subscription with what its stream tells besides its state."""

from collections.abc import Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import (
    SubscriptionDeleted,
    SubscriptionEvent,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    SubscriptionSaved,
    decode,
)
from flowforge.identity import named_stream

from infra.eventlog import StoredEvent
from services.subscriptions.settings import COMMANDS_KNOWN_MAX, ORDERS_KNOWN_MAX
from services.subscriptions.state import State, evolve, initial

STREAM_TYPE = "subscription"


class Order(msgspec.Struct, frozen=True):
    """What the deliverer is to do once: `position` is the event that says so.

    `begin`: look from there on, and forget what is pending; `replay`: look again from there on; `resume`: all that is
    pending is due.
    """

    kind: str
    position: int
    since_position: int = 0


class Loaded(msgspec.Struct):
    """`past`: where the log has what each of the last commands led to; `orders`: those that are to be
    carried out, and the last that were."""

    state: State = initial
    stream_version: int = 0
    position: int = 0
    created_at: datetime | None = None
    created_by: str | None = None
    created_position: int = 0
    updated_at: datetime | None = None
    paused_at: datetime | None = None
    orders: list[Order] = []
    past: dict[UUID, int] = {}

    def take(self, stored: StoredEvent) -> None:
        """One more event of its stream."""
        event = cast("SubscriptionEvent", decode(stored.type, stored.data))
        is_new = self.state.subscription is None
        self.state = evolve(self.state, event)
        self.stream_version, self.position, self.updated_at = stored.version, stored.position, stored.recorded_at
        if stored.causation_id is not None:
            self.past.setdefault(stored.causation_id, stored.position)
            if len(self.past) > COMMANDS_KNOWN_MAX:
                del self.past[next(iter(self.past))]
        match event:
            case SubscriptionSaved() if is_new:
                self.created_at, self.created_by, self.created_position = (
                    stored.recorded_at, stored.actor, stored.position,
                )  # fmt: skip
                self.orders = [Order("begin", stored.position, stored.position)]
            case SubscriptionPaused():
                self.paused_at = stored.recorded_at
            case SubscriptionResumed():
                kind = "begin" if event.skips_missed else "resume"
                self.orders = [*self.orders, Order(kind, stored.position, stored.position)]
            case SubscriptionReplayed():
                self.orders = [*self.orders, Order("replay", stored.position, event.since_position)]
            case SubscriptionDeleted():
                self.orders = []
            case _:
                pass

    def orders_after(self, position: int) -> list[Order]:
        """Those that are not carried out yet."""
        return [order for order in self.orders if order.position > position]

    def carried_out(self, position: int) -> None:
        """Orders up to there are: all but the last of them need not be remembered."""
        done_count = len(self.orders) - len(self.orders_after(position))
        self.orders = self.orders[max(0, done_count - ORDERS_KNOWN_MAX) :]


def stream_of(subscription_id: str) -> UUID:
    """The id of its stream."""
    return named_stream(STREAM_TYPE, subscription_id)


def folded(events: Iterable[StoredEvent]) -> Loaded:
    """The subscription after the events of its stream."""
    loaded = Loaded(orders=[], past={})
    for stored in events:
        loaded.take(stored)
    return loaded
