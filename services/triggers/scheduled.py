"""What follows from a schedule that came due, or was missed: the scheduler says when, here it is decided what (pure)."""

from datetime import datetime
from uuid import UUID

import msgspec
from flowforge.definition import ScheduleTrigger
from flowforge.events import Cause, ScheduleFired, ScheduleMissed, TriggerDecided

from infra.causes import scheduled_data
from infra.schedules import ScheduleFault, next_after, schedule_of
from services.triggers.cause import OwnCause
from services.triggers.decide import Decided, Deciding, declined
from services.triggers.index import Index, Rule
from services.triggers.settings import SCHEDULE_TICK
from services.triggers.verdict import NotFired

BACKFILL_LABEL = "backfill"
"""Of a run that a backfill started: the backfill's id."""
_encode = msgspec.json.encode


def scheduled_cause(fact: ScheduleFired, event_id: UUID, stream_id: UUID, namespace: str) -> OwnCause:
    """A firing as rules and expressions see it. What is `now` there is its nominal time."""
    data = msgspec.Raw(_encode(scheduled_data(fact)))
    labels = {} if fact.backfill_id is None else {BACKFILL_LABEL: str(fact.backfill_id)}
    cause = _cause(fact, fact.scheduled_at, event_id, stream_id, namespace)
    return OwnCause(cause, data, fact.scheduled_at, labels=labels)


def decide_scheduled(
    deciding: Deciding,
    index: Index,
    fact: ScheduleFired | ScheduleMissed,
    event_id: UUID,
    stream_id: UUID,
    namespace: str,
) -> Decided:
    """The run that starts, or why none does."""
    if isinstance(fact, ScheduleMissed):
        cause = _cause(fact, fact.last_at, event_id, stream_id, namespace)
        return Decided(stream_id, cause, None, "schedule", 1, decisions=[_missed(fact, cause)])
    cause = scheduled_cause(fact, event_id, stream_id, namespace)
    rule = index.rule((fact.workflow_id, fact.trigger_id))
    if rule is None or not isinstance(rule.trigger, ScheduleTrigger):
        answer = NotFired("suppressed", "changed", "the trigger is no longer there")
        deciding.decisions.append(_decided(fact, cause.cause, answer))
    elif rule.standing is None and not _is_still_due(rule, fact):
        answer = NotFired("suppressed", "changed", f"its schedule no longer has {_text(fact.scheduled_at)}")
        deciding.decisions.append(declined(rule, cause.cause, answer))
    else:
        deciding.consider(rule, cause)
    return deciding.decided(cause, stream_type="schedule", stream_version=1)


def _missed(fact: ScheduleMissed, cause: Cause) -> TriggerDecided:
    count = f"{'more than ' if fact.has_more else ''}{fact.count:,} firing{'' if fact.count == 1 else 's'}"
    span = _text(fact.last_at) if fact.count == 1 else f"from {_text(fact.first_at)} to {_text(fact.last_at)}"
    reason = f"{count} missed while nothing ran, {span}: not caught up"
    return _decided(fact, cause, NotFired("expired", reason))


def _is_still_due(rule: Rule, fact: ScheduleFired) -> bool:
    """Whether the time belongs to the schedule as it is now; a trigger that was only renamed still fires."""
    if rule.trigger_version == fact.trigger_version:
        return True
    assert isinstance(rule.trigger, ScheduleTrigger)
    try:
        schedule = schedule_of(rule.trigger.config, *rule.key)
    except ScheduleFault:
        return False
    found = next_after(schedule, fact.scheduled_at - SCHEDULE_TICK)
    return found is not None and found.scheduled_at == fact.scheduled_at


def _cause(
    fact: ScheduleFired | ScheduleMissed, at: datetime, event_id: UUID, stream_id: UUID, namespace: str
) -> Cause:
    return Cause(
        event_id=event_id,
        type=type(fact).__name__,
        id=f"{fact.trigger_id}@{_text(at)}",
        source=f"/{namespace}/schedules/{fact.workflow_id}",
        stream_id=stream_id,
    )


def _decided(fact: ScheduleFired | ScheduleMissed, cause: Cause, answer: NotFired) -> TriggerDecided:
    return TriggerDecided(
        trigger_id=fact.trigger_id,
        trigger_version=fact.trigger_version,
        workflow_id=fact.workflow_id,
        cause=cause,
        decision=answer.decision,
        reason=answer.reason,
        detail=answer.detail,
    )


def _text(at: datetime) -> str:
    return str(msgspec.to_builtins(at))
