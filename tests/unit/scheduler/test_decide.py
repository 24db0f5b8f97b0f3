"""A timer that is due fires, once, and no other does."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flowforge.events import TimerFired, TimerSet
from flowforge.identity import new_uuid

from services.scheduler.decide import decide
from services.scheduler.state import Timer, timer_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = UUID(int=7)


def timer(due_at: datetime) -> Timer:
    fact = TimerSet(timer_id=new_uuid(), due_at=due_at, purpose="retry", node_id="n", instance="3", attempt=2)
    return timer_of(fact, RUN, "w", 5)


def test_a_timer_that_is_due_fires_with_all_that_it_was_set_with():
    given = timer(NOW)
    assert decide(given, NOW) == [
        TimerFired(
            timer_id=given.timer_id, run_id=RUN, workflow_id="w", due_at=NOW, purpose="retry", node_id="n", instance="3",
            attempt=2,
        )
    ]  # fmt: skip


def test_a_late_one_fires_too():
    assert len(decide(timer(NOW - timedelta(days=400)), NOW)) == 1


def test_one_that_is_not_due_does_not():
    assert decide(timer(NOW + timedelta(microseconds=1)), NOW) == []


def test_one_that_has_fired_does_not():
    assert decide(None, NOW) == []
