"""Deliveries of one subscription: looks what it is owed, posts it, and writes down what became of it.

What is owed is a row before it is posted, and how far the log was looked at is written in the same transaction; a post
is settled after its answer. Killed in between, the next owner posts what is pending again, under the same id.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from flowforge.command import Command
from flowforge.identity import derived_uuid
from flowforge.subscribing import AbandonDelivery, PauseSubscription

from infra.bus.message import logged_event
from infra.eventlog import EventLog, StoredEvent, Unavailable
from infra.failpoints import failpoint
from services.subscriptions.choosing import Chooser
from services.subscriptions.filters import Filter
from services.subscriptions.lanes import AT_ONCE, Lanes, Owed
from services.subscriptions.loaded import Loaded, Order
from services.subscriptions.posting import Poster
from services.subscriptions.recent import Recent, Told
from services.subscriptions.retries import Again, Attempt, verdict
from services.subscriptions.settings import (
    CURSOR_KEPT_EVERY_S,
    IN_FLIGHT_MAX,
    PENDING_MAX,
    POLL_S,
    RETRY_WAIT_S,
    SETTLED_PER_STATEMENT_MAX,
)
from services.subscriptions.state import Subscription
from services.subscriptions.store import Counts, Cursor, Ended, Store

_log = logging.getLogger(__name__)


class Tools(msgspec.Struct, frozen=True):
    """What all deliverers share. `tell` gives the service a command of its own."""

    log: EventLog
    store: Store
    recent: Recent
    poster: Poster
    posts: asyncio.Semaphore
    waits_s: Sequence[float]
    tell: Callable[[Command], None]
    now: Callable[[], datetime]
    chooser: Chooser


class Deliverer:
    """Runs until stopped; `changed` when the subscription is not what it was."""

    def __init__(self, loaded: Loaded, tools: Tools) -> None:
        self.loaded = loaded
        self._tools = tools
        self._lanes = Lanes()
        self._cursor = Cursor(0, 0)
        self._ended: list[tuple[Owed, Attempt]] = []
        self._posts: set[asyncio.Task[None]] = set()
        self._wakes = asyncio.Event()
        self._last_delivered_at: datetime | None = None
        self._failing_since: datetime | None = None
        self._kept_at_s = 0.0
        self._is_stopping_for = ""
        self._filter = Filter(self._subscription.filter)
        self._types = self._filter.types

    @property
    def position(self) -> int:
        """Up to where it has looked for what is owed."""
        return self._cursor.position

    @property
    def filter_fault(self) -> str:
        """Why the condition of the filter last had no answer."""
        return self._filter.fault

    @property
    def _subscription(self) -> Subscription:
        assert self.loaded.state.subscription is not None
        return self.loaded.state.subscription

    def changed(self, loaded: Loaded) -> None:
        """It was saved, paused, resumed or is to be replayed."""
        self.loaded = loaded
        self._filter = Filter(self._subscription.filter)
        self._types = self._filter.types
        if self._subscription.paused is None:
            self._is_stopping_for = ""
        self._wakes.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._persist(self._open)
            while True:
                self._wakes.clear()
                if not await self._persist(self._turn):
                    await self._wait()
        finally:
            for post in self._posts:
                post.cancel()

    async def _persist(self, deed: Callable[[], Awaitable[bool]]) -> bool:
        """Do it until the log and the tables let it be done."""
        while True:
            try:
                return await deed()
            except Unavailable as fault:
                _log.warning("subscription %s waits: %s", self._subscription.id, fault)
                await asyncio.sleep(RETRY_WAIT_S)

    async def _open(self) -> bool:
        """Take up what is pending."""
        found = await self._tools.store.cursor(self._subscription.id)
        self._cursor = found or Cursor(self.loaded.created_position, 0)
        self._last_delivered_at, self._failing_since = self._cursor.last_delivered_at, self._cursor.failing_since
        self._lanes = Lanes(await self._tools.store.pending(self._subscription.id))
        self.loaded.carried_out(self._cursor.ordered_position)
        return True

    async def _turn(self) -> bool:
        """Whether there was something to do."""
        has_settled = await self._settle()
        orders = self.loaded.orders_after(self._cursor.ordered_position)
        if orders:
            if not self._lanes.under_way_count:
                await self._carry_out(orders[0])
            return not self._lanes.under_way_count
        if self._subscription.paused is not None or self._is_stopping_for:
            return has_settled
        has_found = await self._look()
        return self._post_due() or has_found or has_settled

    async def _wait(self) -> None:
        """Until something changed, the log grew, or something comes due."""
        at = self._lanes.next_at() if self._free_count() else None
        is_idle = self._subscription.paused is not None or bool(self._is_stopping_for)
        waits_s = POLL_S if at is None or at == AT_ONCE or is_idle else (at - self._tools.now()).total_seconds()
        has_room = len(self._lanes) < PENDING_MAX and not is_idle
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wakes.wait())]
        if has_room:
            waiting.append(asyncio.ensure_future(self._tools.recent.grown(self._cursor.position)))
        try:
            await asyncio.wait(waiting, timeout=min(max(waits_s, 0.001), POLL_S), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    # --- what is owed -------------------------------------------------------------------------------------------------

    async def _carry_out(self, order: Order) -> None:
        """What a save, a replay or a resumption asks for, once."""
        store, name = self._tools.store, self._subscription.id
        since = order.since_position
        match order.kind:
            case "begin":
                await store.begin(name, Cursor(since, order.position), drops_above=-1)
            case "replay":
                since = min(self._cursor.position, since)
                await store.begin(name, Cursor(since, order.position), drops_above=since)
            case _:
                since = self._cursor.position
                await store.resume(name, order.position)
        self._cursor = Cursor(since, order.position)
        self._failing_since = None
        self._lanes = Lanes(await store.pending(name))
        self.loaded.carried_out(order.position)

    async def _look(self) -> bool:
        """Find what is owed in the next page of the log, as far as there is room."""
        room = PENDING_MAX - len(self._lanes)
        if room <= 0 or 0 <= self._tools.recent.end <= self._cursor.position:
            return False
        page = await self._tools.recent.after(self._cursor.position, self._types)
        chosen = await self._tools.chooser.first(page.events, self._means, room)
        owed = [_owed_of(told) for told in chosen]
        position = chosen[-1].stored.position if len(chosen) == room else page.position
        loop_s = asyncio.get_running_loop().time()
        if owed or loop_s - self._kept_at_s > CURSOR_KEPT_EVERY_S:
            await self._tools.store.owe(self._subscription.id, position, owed)
            self._kept_at_s = loop_s
        has_moved = position > self._cursor.position
        self._cursor = Cursor(position, self._cursor.ordered_position)
        for each in owed:
            self._lanes.add(each)
        return has_moved

    def _means(self, told: Told) -> bool:
        def event() -> dict[str, object]:
            posted = logged_event(told.stored, self._tools.poster.namespace)
            return msgspec.json.decode(msgspec.json.encode(posted))

        return self._filter.means(told.stored.type, told.run, event)

    # --- posting ------------------------------------------------------------------------------------------------------

    def _post_due(self) -> bool:
        """Begin the posts whose time has come; to a receiver that fails, one at a time."""
        due = self._lanes.take_due(self._tools.now(), self._free_count())
        for owed in due:
            post = asyncio.create_task(self._post(self._subscription, owed))
            self._posts.add(post)
            post.add_done_callback(partial(self._posted, owed))
        return bool(due)

    def _posted(self, owed: Owed, post: asyncio.Task[None]) -> None:
        """A post that a bug ended is an attempt that failed: its run goes on all the same."""
        self._posts.discard(post)
        if post.cancelled() or (fault := post.exception()) is None:
            return
        _log.critical("a post at position %d ended: %s", owed.position, fault, exc_info=fault)
        told = f"FlowForge itself failed: {type(fault).__name__}; the log of subscriptions says more"
        self._ended.append((owed, Attempt(self._tools.now(), None, 0, told)))
        self._wakes.set()

    def _free_count(self) -> int:
        return max(0, (1 if self._failing_since else IN_FLIGHT_MAX) - self._lanes.under_way_count)

    async def _post(self, subscription: Subscription, owed: Owed) -> None:
        try:
            stored = owed.stored or await self._event(owed)
            async with self._tools.posts:
                attempt = await self._tools.poster.post(subscription, stored, owed.attempts + 1)
        except Unavailable as fault:
            _log.warning("subscription %s waits: %s", subscription.id, fault)
            owed.due_at = self._tools.now() + timedelta(seconds=RETRY_WAIT_S)
            self._lanes.again(owed)
        except asyncio.CancelledError:
            raise
        else:
            self._ended.append((owed, attempt))
        self._wakes.set()

    async def _event(self, owed: Owed) -> StoredEvent:
        stored = await self._tools.log.read_position(owed.position)
        if stored is None:
            raise Unavailable(f"the log does not give the event at {owed.position}")
        return stored

    async def _settle(self) -> bool:
        """Write down what became of posts."""
        batch = self._ended[:SETTLED_PER_STATEMENT_MAX]
        if not batch:
            return False
        counts, ended = Counts(failing_since=self._failing_since), list[Ended]()
        for owed, attempt in batch:
            owed.tried(attempt)
            ended.append(self._judged(owed, attempt, counts))
        self._failing_since = counts.failing_since
        failpoint("subscriptions.before_settle")
        await self._persist_settled(ended, counts)
        del self._ended[: len(batch)]
        for each in ended:
            if each.status == "pending":
                self._lanes.again(each.owed)
            else:
                self._lanes.done(each.owed)
        return True

    async def _persist_settled(self, ended: list[Ended], counts: Counts) -> None:
        while True:  # here and not around the turn: an attempt is counted once
            try:
                return await self._tools.store.settle(self._subscription.id, ended, counts)
            except Unavailable as fault:
                _log.warning("subscription %s cannot write down what it posted: %s", self._subscription.id, fault)
                await asyncio.sleep(RETRY_WAIT_S)

    def _judged(self, owed: Owed, attempt: Attempt, counts: Counts) -> Ended:
        match verdict(attempt, owed.attempts, random.random(), self._tools.waits_s):
            case "delivered":
                self._last_delivered_at = counts.last_delivered_at = attempt.at
                counts.delivered += 1
                counts.failing_since = None
                return Ended(owed, "delivered", attempt.at)
            case Again(at):
                self._failed(attempt, counts)
                owed.due_at = at
                return Ended(owed, "pending", None)
            case "gone":
                self._failed(attempt, counts)
                self._stop_for("gone", owed, attempt)
                owed.due_at = None
                return Ended(owed, "pending", None)
            case _:
                self._failed(attempt, counts)
                return self._spent(owed, attempt, counts)

    def _failed(self, attempt: Attempt, counts: Counts) -> None:
        counts.failing_since = counts.failing_since or attempt.at
        counts.last_error = attempt.error

    def _spent(self, owed: Owed, attempt: Attempt, counts: Counts) -> Ended:
        """All attempts failed: where others arrived meanwhile it is this event, else it is the receiver."""
        arrived_at, tried_at = self._last_delivered_at, owed.first_tried_at
        if arrived_at is not None and tried_at is not None and arrived_at >= tried_at:
            counts.failed += 1
            self._tools.tell(_abandoned(self._subscription.id, owed, attempt))
            return Ended(owed, "failed", attempt.at)
        self._stop_for("failing", owed, attempt)
        owed.due_at = None
        return Ended(owed, "pending", None)

    def _stop_for(self, reason: str, owed: Owed, attempt: Attempt) -> None:
        """Nothing more is posted; the log says so soon."""
        self._is_stopping_for = reason
        attempts = "1 attempt" if owed.attempts == 1 else f"{owed.attempts} attempts"
        self._tools.tell(
            PauseSubscription(
                command_id=str(derived_uuid(attempt.at, "pause", self._subscription.id, owed.position)),
                subscription_id=self._subscription.id,
                reason="gone" if reason == "gone" else "failing",
                detail=f"{owed.event_type} at position {owed.position}, {attempts}: {attempt.error}",
            )
        )


def _owed_of(told: Told) -> Owed:
    stored = told.stored
    return Owed(
        stored.position, stored.event_id, stored.type, stored.stream_id, told.run.workflow_id, stored=stored
    )  # fmt: skip


def _abandoned(subscription_id: str, owed: Owed, attempt: Attempt) -> AbandonDelivery:
    return AbandonDelivery(
        command_id=str(derived_uuid(attempt.at, "abandon", subscription_id, owed.position)),
        subscription_id=subscription_id,
        event_id=owed.event_id,
        event_position=owed.position,
        event_type=owed.event_type,
        run_id=owed.run_id,
        attempts=owed.attempts,
        error=attempt.error,
    )
