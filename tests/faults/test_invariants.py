"""Each invariant sees a deliberate violation, and says which one in words that lead to it."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from flowforge import events as facts
from flowforge.errors import RunError
from flowforge.identity import derived_uuid, new_uuid

from infra.eventlog import StoredEvent
from tests.faults import invariants
from tests.faults.invariants import Sent, Trigger
from tests.faults.system import Queue, System
from tests.faults.workload import Load

AT = datetime(2030, 1, 1, tzinfo=UTC)
RUN, CAUSE = derived_uuid(AT, "run"), derived_uuid(AT, "cause")
TRIGGERS = {"go": Trigger("w", "on", is_half=True)}
UPSTREAMS = {"up": Trigger("w", "after")}
POLICIES = {("w", "n"): 2}


class Log:
    """A short history of one run, written by the test."""

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self._positions = itertools.count(1)
        self._versions: dict[UUID, int] = {}

    def add(self, event: facts.Event, stream: UUID = RUN, kind: str = "run", *, skip: int = 0) -> "Log":
        """The next event of a stream; `skip` leaves out so many of its versions."""
        version = self._versions[stream] = self._versions.get(stream, 0) + 1 + skip
        data = facts.encode(event)
        name = type(event).__name__
        self.events.append(
            StoredEvent(next(self._positions), kind, stream, version, name, 1, data, None, None, None, None, AT)
        )
        return self


def received(name: str = "e1") -> facts.EventReceived:
    return facts.EventReceived(id=name, source="/s", type="go")


def cause(name: str = "e1") -> facts.Cause:
    return facts.Cause(event_id=CAUSE, type="go", id=name, source="/s", stream_id=CAUSE)


def triggered(run: UUID = RUN) -> facts.WorkflowTriggered:
    return facts.WorkflowTriggered(
        run_id=run, workflow_id="w", workflow_version=1, trigger=facts.TriggerRef("event", "on"), trigger_version=1,
        cause=cause(),
    )  # fmt: skip


def decided(decision: Any) -> facts.TriggerDecided:
    return facts.TriggerDecided(
        trigger_id="on", trigger_version=1, workflow_id="w", cause=cause(), decision=decision, reason=""
    )


def queued(attempt: int = 1) -> facts.NodeQueued:
    return facts.NodeQueued(node_id="n", attempt=attempt, job_id=new_uuid())


def completed(attempt: int = 1) -> facts.NodeCompleted:
    return facts.NodeCompleted(node_id="n", attempt=attempt)


def whole() -> Log:
    """A run as it should be."""
    log = Log().add(received(), CAUSE, "cause").add(triggered()).add(facts.RunStarted(total_nodes=1))
    return log.add(queued()).add(completed()).add(facts.RunCompleted())


def sent() -> Sent:
    return Sent(accepted={("/s", "e1"): ("go", 2)}, requested={"key": {str(RUN)}})


def all_found(log: Log, told: Sent) -> list[str]:
    events = log.events
    return [
        *invariants.accepted_once(events, told),
        *invariants.one_run_per_firing(events),
        *invariants.decided_once(events, told, TRIGGERS),
        *invariants.still_held(events),
        *invariants.consumed_once(events),
        *invariants.endings_decided(events, UPSTREAMS),
        *invariants.contiguous(events, 0, {}),
        *invariants.ends_or_waits(events),
        *invariants.ended_as_expected(events, {}),
        *invariants.accepted_results(events, POLICIES),
        *invariants.slots_are_kept(events, {"w": 1}),
    ]


def test_a_history_as_it_should_be_violates_nothing():
    assert all_found(whole(), sent()) == []


def _lost() -> tuple[Log, Sent]:
    return whole(), Sent(accepted={("/s", "e1"): ("go", 2), ("/s", "e2"): ("other", 0)})


def _logged_twice() -> tuple[Log, Sent]:
    return whole().add(received(), new_uuid(), "cause"), sent()


def _run_lost() -> tuple[Log, Sent]:
    return whole(), Sent(requested={"key": {str(new_uuid())}})


def _answered_twice() -> tuple[Log, Sent]:
    return whole(), Sent(requested={"key": {str(RUN), str(new_uuid())}})


def _not_saved() -> tuple[Log, Sent]:
    return whole(), Sent(saved=["w2"])


def _two_runs() -> tuple[Log, Sent]:
    other = new_uuid()
    return whole().add(triggered(other), other).add(facts.RunCompleted(), other), sent()


def _version_gap() -> tuple[Log, Sent]:
    return whole().add(facts.RunFailing(error=msgspec.convert({"code": "X", "message": ""}, RunError)), skip=1), sent()


def _position_gap() -> tuple[Log, Sent]:
    log = whole()
    del log.events[3]
    return log, sent()


def _hanging() -> tuple[Log, Sent]:
    return Log().add(received(), CAUSE, "cause").add(triggered()), sent()


def _failed() -> tuple[Log, Sent]:
    log = whole()
    log.events.pop()
    return log.add(facts.RunFailed(error=msgspec.convert({"code": "X", "message": ""}, RunError))), sent()


def _two_results() -> tuple[Log, Sent]:
    return whole().add(completed()), sent()


def _queued_twice() -> tuple[Log, Sent]:
    return whole().add(queued()), sent()


def _third_attempt() -> tuple[Log, Sent]:
    return whole().add(queued(3)).add(completed(3)), sent()


def _never_answered() -> tuple[Log, Sent]:
    return whole().add(queued(2)), sent()


def _decided_twice() -> tuple[Log, Sent]:
    return whole().add(decided("not_matched"), CAUSE, "cause"), sent()


def _decided_wrongly() -> tuple[Log, Sent]:
    return whole(), Sent(accepted={("/s", "e1"): ("go", 3)})


def _held() -> tuple[Log, Sent]:
    log = Log().add(received(), CAUSE, "cause").add(decided("held"), new_uuid(), "trigger")
    return log, Sent(accepted={("/s", "e1"): ("other", 0)})


def _used_twice() -> tuple[Log, Sent]:
    log = Log().add(received(), CAUSE, "cause")
    for run in (new_uuid(), new_uuid()):
        log.add(msgspec.structs.replace(triggered(run), consumed=[CAUSE]), run).add(facts.RunCompleted(), run)
    return log, sent()


def _used_and_not_told() -> tuple[Log, Sent]:
    run = new_uuid()
    used = msgspec.structs.replace(triggered(run), consumed=[new_uuid(), CAUSE])
    return Log().add(received(), CAUSE, "cause").add(used, run).add(facts.RunCompleted(), run), sent()


def _end_not_decided() -> tuple[Log, Sent]:
    upstream = msgspec.structs.replace(triggered(), workflow_id="up")
    return Log().add(upstream).add(facts.RunCompleted()), Sent()


SLOT = new_uuid()


def taken(run_id: UUID = RUN) -> facts.SlotTaken:
    return facts.SlotTaken(run_id=run_id, workflow_id="w", limit=1)


def _slot_leaked() -> tuple[Log, Sent]:
    return whole().add(taken(), SLOT, "slot"), sent()


def _slots_overrun() -> tuple[Log, Sent]:
    return whole().add(taken(), SLOT, "slot").add(taken(new_uuid()), SLOT, "slot"), sent()


def _slot_twice() -> tuple[Log, Sent]:
    return whole().add(taken(), SLOT, "slot").add(taken(), SLOT, "slot"), sent()


def _began_before_it_was_admitted() -> tuple[Log, Sent]:
    waits = facts.SlotWait(slot_id=SLOT, limit=1, place=1, holders=[])
    log = Log().add(received(), CAUSE, "cause").add(msgspec.structs.replace(triggered(), waits=waits))
    return log.add(facts.RunStarted(total_nodes=0)).add(facts.RunCompleted()), Sent()


@pytest.mark.parametrize(
    ("violated", "words"),
    [
        (_slot_leaked, "has ended and holds a slot"),
        (_slots_overrun, "slots: 2 runs of w hold slots"),
        (_slot_twice, "got two slots"),
        (_began_before_it_was_admitted, "waits and began"),
        (_lost, "I1: the accepted event e2 is not in the log"),
        (_logged_twice, "I1: event e1 of /s is logged 2 times"),
        (_run_lost, "was answered to key and is not in the log"),
        (_answered_twice, "I1: the same request key was answered with different runs"),
        (_not_saved, "I1: workflow w2 was saved and is logged 0 times"),
        (_two_runs, "I1: 2 runs of w for one cause"),
        (_position_gap, "I2: position 5 stands where 4 is due"),
        (_version_gap, "has version 7 where 6 is due"),
        (_hanging, "neither a job nor a timer would go on with it"),
        (_failed, "of w ended with RunFailed"),
        (_two_results, "I6: 2 results of attempt 1 of n"),
        (_queued_twice, "I6: attempt 1 of n in run"),
        (_third_attempt, "is more than the 2 attempts allowed"),
        (_never_answered, "was queued and never answered"),
        (_decided_twice, "I8: trigger w/on decided 2 times about e1: fired, not_matched"),
        (_held, "I8: trigger w/on still holds e1"),
        (_used_twice, f"I8: trigger w/on used {CAUSE} for 2 runs"),
        (_used_and_not_told, "and nothing says so"),
        (_end_not_decided, f"I8: w has not decided about the end of run {RUN}"),
        (_decided_wrongly, "I8: w should have decided 'not_matched' about e1"),
    ],
)
def test_a_violation_is_named(violated: Callable[[], tuple[Log, Sent]], words: str):
    log, told = violated()
    assert any(words in found for found in all_found(log, told)), all_found(log, told)


def test_a_run_with_a_job_out_or_a_timer_set_is_alive():
    waiting = Log().add(triggered()).add(queued())
    assert invariants.ends_or_waits(waiting.events) == []
    timer = facts.TimerSet(timer_id=new_uuid(), due_at=AT, purpose="run_timeout")
    assert invariants.ends_or_waits(Log().add(triggered()).add(timer).events) == []


def test_messages_without_an_owner_are_named():
    found = invariants.left_over([Queue("INBOX", waiting=2), Queue("REPORTS", "execution", is_pulled=False)])
    assert found == ["I9: 2 messages are left on INBOX", "I9: nobody pulls from REPORTS/execution"]


def test_what_was_logged_and_not_said_is_named():
    [first, *rest] = [event for event in whole().events if event.stream_type == "run"]
    [found] = invariants.said(whole().events, {str(event.event_id) for event in rest})
    assert found == f"{first.type} at position {first.position} was logged and never said"


def test_a_message_that_was_not_put_aside_or_for_another_cause_is_named():
    aside = facts.MessageQuarantined(service="triggers", subject="a", reason="no JSON", body="")
    log = Log().add(aside, new_uuid(), "quarantine")
    assert invariants.quarantined(log.events, {"a": "JSON"}) == []
    [found] = invariants.quarantined(log.events, {"a": "YAML"})
    assert "because of 'YAML'; causes there: ['no JSON']" in found


@pytest.mark.faults
@pytest.mark.asyncio(loop_scope="session")
async def test_a_read_model_that_says_something_else_is_named(system: System):
    load = Load(system)
    await load.begin()
    await load.publish("faults.map", {"items": [1]})
    await load.quiet()
    assert await invariants.read_models_are_fresh(system.log, system.service_dsn) == []
    connection = await asyncpg.connect(system.owner_dsn)
    try:
        run_id, status = await connection.fetchrow("select run_id, status from projections.runs limit 1")
        await connection.execute("update projections.runs set status = 'paused' where run_id = $1", run_id)
        [found] = await invariants.read_models_are_fresh(system.log, system.service_dsn)
        await connection.execute("update projections.runs set status = $2 where run_id = $1", run_id, status)
    finally:
        await connection.close()
    assert "I4" in found
    assert "status" in found
    assert "paused" in found
