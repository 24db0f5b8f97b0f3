"""What follows from a schedule that came due, or was missed: the scheduler says when, here it is decided what (pure)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.definition import ScheduleTrigger
from flowforge.envelope import SPEC_VERSION
from flowforge.events import Cause, ScheduleFired, ScheduleMissed, TriggerDecided

from infra.schedules import ScheduleFault, next_after, schedule_of
from services.triggers.cause import is_large
from services.triggers.decide import Decided, NotFired, declined, evaluate, fired
from services.triggers.index import Index, Rule
from services.triggers.settings import SCHEDULE_TICK

BACKFILL_LABEL = "backfill"
"""Of a run that a backfill started: the backfill's id."""
_encode = msgspec.json.encode


class ScheduledCause:
    """A firing as rules and expressions see it. `recorded_at`, which is `now` there, is its nominal time."""

    __slots__ = ("_fact", "bindings", "cause", "data", "recorded_at", "stream_id")

    def __init__(self, fact: ScheduleFired, event_id: UUID, stream_id: UUID, namespace: str) -> None:
        self.cause = _cause(fact, fact.scheduled_at, event_id, stream_id, namespace)
        self.stream_id = stream_id
        self.recorded_at = fact.scheduled_at
        self.data = msgspec.Raw(
            _encode({name: getattr(fact, name) for name in ("scheduled_at", "previous_at", "next_at")})
        )
        event: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.cause.id,
            "source": self.cause.source,
            "type": self.cause.type,
            "time": _text(fact.scheduled_at),
            "data": msgspec.json.decode(self.data),
        }
        self.bindings: dict[str, object] = {"event": event, "events": [event], "now": fact.scheduled_at}


def decide_scheduled(
    index: Index, fact: ScheduleFired | ScheduleMissed, event_id: UUID, stream_id: UUID, namespace: str
) -> Decided:
    """The run that starts, or why none does."""
    if isinstance(fact, ScheduleMissed):
        return _decide_missed(fact, event_id, stream_id, namespace)
    cause = ScheduledCause(fact, event_id, stream_id, namespace)
    rule = _rule(index, fact)
    if rule is None:
        decision = _decided(fact, cause.cause, NotFired("suppressed", "changed", "the trigger is no longer there"))
        return Decided(stream_id, cause.cause, None, [decision], [], [])
    answer = evaluate(rule, cause)
    if not isinstance(answer, NotFired) and not _is_still_due(rule, fact):
        answer = NotFired("suppressed", "changed", f"its schedule no longer has {_text(fact.scheduled_at)}")
    if isinstance(answer, NotFired):
        return Decided(stream_id, cause.cause, None, [declined(rule, cause, answer)], [], [])
    run = fired(rule, cause, answer)
    if fact.backfill_id is not None:
        run = msgspec.structs.replace(run, labels={BACKFILL_LABEL: str(fact.backfill_id)})
    return Decided(stream_id, cause.cause, None, [], [run], [answer] if is_large(answer) else [])


def _decide_missed(fact: ScheduleMissed, event_id: UUID, stream_id: UUID, namespace: str) -> Decided:
    cause = _cause(fact, fact.last_at, event_id, stream_id, namespace)
    count = f"{'more than ' if fact.has_more else ''}{fact.count:,} firing{'' if fact.count == 1 else 's'}"
    span = _text(fact.last_at) if fact.count == 1 else f"from {_text(fact.first_at)} to {_text(fact.last_at)}"
    reason = f"{count} missed while nothing ran, {span}: not caught up"
    return Decided(stream_id, cause, None, [_decided(fact, cause, NotFired("expired", reason))], [], [])


def _rule(index: Index, fact: ScheduleFired) -> Rule | None:
    workflow = index.workflows.get(fact.workflow_id)
    if workflow is None:
        return None
    for trigger in workflow.newest.definition.triggers:
        if isinstance(trigger, ScheduleTrigger) and trigger.id == fact.trigger_id:
            return Rule(workflow, index.checked(fact.workflow_id), trigger)
    return None


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
