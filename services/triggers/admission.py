"""Who may start: each run of a workflow with `concurrency` asks here first, and every ending lets the next one in (pure).

    queue            waits until a slot is free
    skip             does not start at all: `suppressed`, `overlap`
    cancel_running   the oldest runs of its own workflow make room; those of it that still wait leave the queue, so that
                     one waits at most (as in GitHub's concurrency groups)

A run asks with the limit of its own version; while it waits, the limit of the workflow's newest version counts. A run that
ended and is retried asks once more, by its first trigger's words; no trigger decides anything then.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from flowforge.definition import OnConflict
from flowforge.errors import ErrorCode
from flowforge.events import (
    Decision,
    QueueLeft,
    RetryRefused,
    RunAdmitted,
    RunCancelled,
    RunCompleted,
    RunDisplaced,
    RunFailed,
    RunPartiallyCompleted,
    SlotAwaited,
    SlotEvent,
    SlotFreed,
    SlotRefused,
    SlotTaken,
    SlotWait,
    TriggerDecided,
    WorkflowTriggered,
    decode,
)

from services.triggers.settings import HOLDERS_NAMED_MAX, SLOT_QUEUE_COUNT_MAX
from services.triggers.slots import Slots, evolve

SlotFact = SlotEvent | TriggerDecided
"""What stands in a slot's stream."""
Limits = Callable[[SlotAwaited], int]
"""How many may hold a slot before this one may, as things are now."""


class Asking(msgspec.Struct, frozen=True):
    """A run that wants to start, and the words of its version about it. `waits_ms`: how long it may wait.

    `asked_version`: the version of the event in the run's stream that asks, over 1 for one that is retried.
    """

    run: WorkflowTriggered
    slot_id: UUID
    limit: int
    on_conflict: OnConflict
    key: str = ""
    pool: str | None = None
    waits_ms: int | None = None
    is_override: bool = False
    asked_version: int = 1


class Let(msgspec.Struct, frozen=True):
    """It is there: at once, or with `waits` as soon as there is room. `facts` belong in the slot's stream."""

    facts: Sequence[SlotFact]
    waits: SlotWait | None = None


class Overlap(msgspec.Struct, frozen=True):
    """It does not start, and why; `run_ids` are the first of those in its way. `fact` belongs in the slot's stream where
    that is recorded."""

    detail: str
    run_ids: list[UUID]
    fact: SlotRefused


class Ending(msgspec.Struct, frozen=True):
    """How a run ended, at `version` of its stream, and in whose words."""

    run_id: UUID
    version: int
    type: Literal["RunCompleted", "RunFailed", "RunCancelled", "RunPartiallyCompleted"]
    detail: str = ""


def ending_of(run_id: UUID, version: int, kind: str, data: bytes | msgspec.Raw) -> Ending:
    """What the log says of it."""
    match decode(kind, data):
        case RunCompleted():
            return Ending(run_id, version, "RunCompleted")
        case RunFailed() as failed:
            return Ending(run_id, version, "RunFailed", failed.error.message)
        case RunCancelled() as cancelled:
            return Ending(run_id, version, "RunCancelled", cancelled.reason)
        case RunPartiallyCompleted() as partial:
            return Ending(run_id, version, "RunPartiallyCompleted", partial.error.message)
        case _:
            raise ValueError(f"{kind} is not the end of a run")


def ask(slots: Slots, asking: Asking, now: datetime, kin: Collection[UUID] = ()) -> Let | Overlap:
    """Whether the run may start. Asked again for one that holds a slot or waits, nothing follows.

    `kin` are runs that wait for this one: where they alone hold the slots, none would ever be free.
    """
    run = asking.run
    if run.run_id in slots.holders or run.run_id in slots.waiting:
        return Let([])
    has_room = len(slots.holders) < asking.limit
    if asking.is_override:
        return Let([_taken(asking, is_beyond_limit=not has_room)])
    if has_room and slots.place(run.priority) == 1:
        return Let([_taken(asking)])
    if slots.holders and slots.holders.keys() <= set(kin):
        return _refused(slots, asking, ", which waits for this run itself, so that none would ever be free")
    if asking.on_conflict == "skip":
        return _refused(slots, asking)
    if asking.on_conflict == "cancel_running":
        return _make_room(slots, asking, now)
    if len(slots.waiting) >= SLOT_QUEUE_COUNT_MAX:
        full = f"; {len(slots.waiting):,} wait already, and no more may"
        return _refused(slots, asking, full)
    place = slots.place(run.priority)
    return _waits(slots, asking, place, now)


def ask_once_more(slots: Slots, asking: Asking, now: datetime, limits: Limits) -> list[SlotFact]:
    """What follows from the retry of a run that ended: it is admitted, now or later, or refused.

    It may come before the ending itself: what the run held then is free first.
    """
    run_id, workflow_id, version = asking.run.run_id, asking.run.workflow_id, asking.asked_version
    if slots.asked_version(run_id) >= version:
        return []
    gone = end(slots, Ending(run_id, version, "RunCancelled", "it ended, and is retried"), limits)
    after = slots.copy()
    for fact in gone:
        evolve(after, fact)
    answer = ask(after, asking, now)
    if isinstance(answer, Overlap):
        message = f"{answer.detail}; retry it once a slot is free"
        code = ErrorCode.CONCURRENT_EXECUTION_CONFLICT
        refused = RetryRefused(
            run_id=run_id, workflow_id=workflow_id, asked_version=version, code=code, message=message
        )
        return [*gone, refused]
    if answer.waits is not None:
        return [*gone, *answer.facts]
    return [*gone, *answer.facts, RunAdmitted(run_id=run_id, workflow_id=workflow_id, asked_version=version)]


def end(slots: Slots, ending: Ending, limits: Limits) -> list[SlotFact]:
    """The run ended: its slot is free, or it waits no more; then who may starts. Of a run that was retried since, nothing
    follows."""
    run_id = ending.run_id
    if slots.asked_version(run_id) >= ending.version:
        return []
    if run_id in slots.holders:
        freed = SlotFreed(run_id=run_id, workflow_id=slots.holders[run_id].workflow_id)
        return [freed, *_admitted(slots.queue(), len(slots.holders) - 1, limits)]
    waiting = slots.waiting.get(run_id)
    if waiting is None:
        return []
    asked = waiting.asked
    others = (other for other in slots.queue() if other.run_id != run_id)
    return [
        QueueLeft(run_id=run_id, workflow_id=asked.workflow_id),
        *_given_up(asked, ending),
        *_admitted(others, len(slots.holders), limits),
    ]


def look(slots: Slots, limits: Limits) -> list[SlotFact]:
    """A limit may have changed: who may starts."""
    return _admitted(slots.queue(), len(slots.holders), limits)


def _admitted(queue: Iterable[SlotAwaited], held: int, limits: Limits) -> list[SlotFact]:
    facts: list[SlotFact] = []
    for asked in queue:
        if held >= limits(asked):
            break
        held += 1
        facts.append(RunAdmitted(run_id=asked.run_id, workflow_id=asked.workflow_id, asked_version=asked.asked_version))
        facts += _decided(asked, "fired", run_id=asked.run_id)
    return facts


def _make_room(slots: Slots, asking: Asking, now: datetime) -> Let:
    run, own = asking.run, asking.run.workflow_id
    facts: list[SlotFact] = []
    kept_before = 0
    for asked in slots.queue():
        if asked.workflow_id != own:
            kept_before += asked.priority >= run.priority
            continue
        facts.append(RunDisplaced(run_id=asked.run_id, workflow_id=own, by_run_id=run.run_id))
        detail = f"the newer run {run.run_id} took its place in the queue"
        facts += _decided(asked, "suppressed", "overlap", detail, asked.run_id)
    if len(slots.holders) < asking.limit and not kept_before:
        return Let([*facts, _taken(asking)])
    leaving = sum(holder.is_displaced for holder in slots.holders.values())
    too_many = len(slots.holders) + 1 - asking.limit - leaving
    staying = (
        run_id for run_id, holder in slots.holders.items() if holder.workflow_id == own and not holder.is_displaced
    )
    for _, run_id in zip(range(too_many), staying, strict=False):
        facts.append(RunDisplaced(run_id=run_id, workflow_id=own, by_run_id=run.run_id))
    waits = _waits(slots, asking, kept_before + 1, now)
    return Let([*facts, *waits.facts], waits.waits)


def _taken(asking: Asking, *, is_beyond_limit: bool = False) -> SlotTaken:
    return SlotTaken(
        run_id=asking.run.run_id,
        workflow_id=asking.run.workflow_id,
        limit=asking.limit,
        key=asking.key,
        pool=asking.pool,
        is_beyond_limit=is_beyond_limit,
        asked_version=asking.asked_version,
    )


def _refused(slots: Slots, asking: Asking, more: str = "") -> Overlap:
    run = asking.run
    fact = SlotRefused(workflow_id=run.workflow_id, trigger_id=run.trigger.id, cause_event_id=run.cause.event_id)
    return Overlap(_in_the_way(slots, asking) + more, _named(slots), fact)


def _waits(slots: Slots, asking: Asking, place: int, now: datetime) -> Let:
    run = asking.run
    asked = SlotAwaited(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        limit=asking.limit,
        key=asking.key,
        pool=asking.pool,
        priority=run.priority,
        trigger_id=run.trigger.id,
        trigger_version=run.trigger_version,
        cause=run.cause,
        consumed=run.consumed,
        asked_version=asking.asked_version,
    )
    waits = SlotWait(
        slot_id=asking.slot_id,
        limit=asking.limit,
        place=place,
        holders=list(slots.holders)[:HOLDERS_NAMED_MAX],
        key=asking.key,
        pool=asking.pool,
        due_at=None if asking.waits_ms is None else now + timedelta(milliseconds=asking.waits_ms),
    )
    detail = f"{_in_the_way(slots, asking)}; place {place} in the queue"
    return Let([asked, *_decided(asked, "held", "concurrency", detail, run.run_id)], waits)


def _given_up(asked: SlotAwaited, ending: Ending) -> list[TriggerDecided]:
    if ending.type == "RunCancelled":
        return _decided(asked, "suppressed", "cancelled", ending.detail or "cancelled while it waited", asked.run_id)
    return _decided(asked, "expired", "concurrency", ending.detail, asked.run_id)


def _decided(
    asked: SlotAwaited, decision: Decision, reason: str = "", detail: str = "", run_id: UUID | None = None
) -> list[TriggerDecided]:
    """The trigger's answer; none for a retry, which its trigger has nothing to do with."""
    if asked.asked_version > 1:
        return []
    decided = TriggerDecided(
        trigger_id=asked.trigger_id,
        trigger_version=asked.trigger_version,
        workflow_id=asked.workflow_id,
        cause=asked.cause,
        decision=decision,
        reason=reason,
        detail=detail,
        consumed=asked.consumed if decision == "fired" else [],
        run_id=run_id,
    )
    return [decided]


def _in_the_way(slots: Slots, asking: Asking) -> str:
    whose = f"the pool '{asking.pool}'" if asking.pool is not None else f"'{asking.run.workflow_id}'"
    under = f" under the key '{asking.key}'" if asking.key else ""
    named = _named(slots)
    more = f" and {len(slots.holders) - len(named)} more" if len(slots.holders) > len(named) else ""
    held = ", ".join(map(str, named)) + more
    limit = f"{len(slots.holders)} of {asking.limit} slot{'' if asking.limit == 1 else 's'} of {whose}{under}"
    return f"{limit} held" + (f" by {held}" if held else "; others wait before it")


def _named(slots: Slots) -> list[UUID]:
    return list(slots.holders)[:HOLDERS_NAMED_MAX]
