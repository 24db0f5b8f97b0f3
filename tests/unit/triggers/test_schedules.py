"""What follows from a schedule that came due: one run, or one recorded reason why none."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flowforge.events import ScheduleFired, ScheduleMissed, TriggerDecided, encode
from flowforge.identity import derived_uuid
from triggers_spec import START, Spec, plain

from infra.bus import Message
from infra.bus.message import envelope, logged_event
from infra.eventlog import Append, NewEvent, StreamAppend

DUE = START.replace(hour=2)
STREAM = derived_uuid(DUE, "schedule", "w", "nightly")


def nightly(cron: str = "0 2 * * *", **more: Any) -> dict[str, Any]:
    return {"id": "nightly", "type": "schedule", "config": {"cron": cron}, **more}


async def comes_due(spec: Spec, version: int = 1, stream_id: UUID = STREAM, fact: Any = None) -> Message:
    """What the scheduler does."""
    fact = fact or ScheduleFired(
        workflow_id="w", trigger_id="nightly", trigger_version=version, scheduled_at=DUE,
        previous_at=DUE - timedelta(days=1), next_at=DUE + timedelta(days=1), due_at=DUE,
    )  # fmt: skip
    stream = StreamAppend("schedule", stream_id, 0, [NewEvent(type(fact).__name__, encode(fact))])
    await spec.log.append([Append([stream], DUE)])
    [stored] = await spec.log.read_stream(stream_id)
    return Message(
        "ns.timers.schedules.w", envelope(stored, "ns"), logged_event(stored, "ns"), "stream", "$JS.ACK.T.t.1.1.1.1.0"
    )


async def test_a_firing_starts_one_run_with_the_nominal_time_as_its_data():
    spec = Spec()
    await spec.workflow("w", nightly())
    message = await comes_due(spec)
    await spec.deliver([message])
    spec.restart()
    await spec.deliver([message])
    [run] = await spec.runs()
    assert run.run_id == derived_uuid(DUE, "run", "w", "nightly", STREAM)
    assert (run.trigger.type, run.trigger.id, run.trigger_version) == ("schedule", "nightly", 1)
    assert (run.cause.type, run.cause.id, run.cause.source) == (
        "ScheduleFired", "nightly@2026-01-01T02:00:00Z", "/ns/schedules/w",
    )  # fmt: skip
    assert run.consumed == [run.cause.event_id] == [UUID(message.event.id)]
    assert plain(run.input_data) == {
        "scheduled_at": "2026-01-01T02:00:00Z", "previous_at": "2025-12-31T02:00:00Z", "next_at": "2026-01-02T02:00:00Z",
    }  # fmt: skip
    assert [out.subject for out in spec.said] == [f"ns.runs.w.{run.run_id}.WorkflowTriggered"]


@pytest.mark.parametrize("delay_ms", [0, 1_000])
async def test_a_firing_that_is_made_up_for_starts_its_one_run_under_the_label_of_its_backfill(delay_ms: int):
    spec, backfill_id = Spec(), UUID(int=7)
    settings: dict[str, Any] = {"delay_ms": delay_ms} if delay_ms else {}
    await spec.workflow("w", nightly(**settings))
    fact = ScheduleFired(
        workflow_id="w", trigger_id="nightly", trigger_version=1, scheduled_at=DUE,
        previous_at=DUE - timedelta(days=1), next_at=DUE + timedelta(days=1), due_at=DUE, backfill_id=backfill_id,
    )  # fmt: skip
    await spec.deliver([await comes_due(spec, fact=fact)])
    if delay_ms:
        assert await spec.runs() == []
        spec.restart()
        await spec.time_passes(delay_ms)
    [run] = await spec.runs()
    assert run.run_id == derived_uuid(DUE, "run", "w", "nightly", STREAM), "as if the clock had fired it"
    assert run.labels == {"backfill": str(backfill_id)}
    assert plain(run.input_data)["scheduled_at"] == "2026-01-01T02:00:00Z"


async def test_the_input_is_rendered_over_the_firing():
    spec = Spec()
    await spec.workflow("w", nightly(input={"day": "${event.data.scheduled_at}", "cause": "${event.id}"}))
    await spec.deliver([await comes_due(spec)])
    [run] = await spec.runs()
    assert plain(run.input_data) == {"day": "2026-01-01T02:00:00Z", "cause": "nightly@2026-01-01T02:00:00Z"}


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (([nightly(enabled=False)], {}), "disabled"),
        (([nightly()], {"status": "draft"}), "workflow_inactive"),
        (([nightly("0 3 * * *")], {}), "changed"),
        (([], {}), "changed"),
    ],
)
async def test_what_was_changed_since_starts_nothing_and_says_why(now: Any, reason: str):
    spec = Spec()
    await spec.workflow("w", nightly())
    message = await comes_due(spec)
    triggers, fields = now
    await spec.workflow("w", *triggers, **fields)
    await spec.deliver([message])
    assert await spec.decisions() == [("nightly", "suppressed", reason)]
    assert await spec.runs() == []
    _, decision = await spec.log.read_stream(STREAM)
    assert (decision.type, decision.version) == ("TriggerDecided", 2)


async def test_a_trigger_that_was_renamed_since_still_fires():
    spec = Spec()
    await spec.workflow("w", nightly())
    message = await comes_due(spec)
    await spec.workflow("w", nightly(name="every night"))
    await spec.deliver([message])
    [run] = await spec.runs()
    assert run.trigger_version == 2


async def test_what_was_decided_stays_when_the_message_comes_again_after_a_change():
    spec = Spec()
    await spec.workflow("w", nightly())
    message = await comes_due(spec)
    await spec.deliver([message])
    await spec.workflow("w", nightly(enabled=False))
    spec.restart()
    await spec.deliver([message])
    assert (len(await spec.runs()), await spec.decisions()) == (1, [])


async def test_a_change_between_decision_and_append_counts():
    spec = Spec()
    await spec.workflow("w", nightly())
    message = await comes_due(spec)
    spec.before_append = lambda: spec.workflow("w", nightly(enabled=False))
    await spec.deliver([message])
    assert await spec.decisions() == [("nightly", "suppressed", "disabled")]


async def test_firings_that_were_missed_are_recorded_as_expired():
    spec = Spec()
    await spec.workflow("w", nightly())
    fact = ScheduleMissed(
        workflow_id="w", trigger_id="nightly", trigger_version=1, first_at=DUE, last_at=DUE + timedelta(days=2), count=3
    )
    await spec.deliver([await comes_due(spec, fact=fact)])
    [decision] = await spec.logged(TriggerDecided)
    assert (decision.decision, decision.cause.id) == ("expired", "nightly@2026-01-03T02:00:00Z")
    assert decision.reason == (
        "3 firings missed while nothing ran, from 2026-01-01T02:00:00Z to 2026-01-03T02:00:00Z: not caught up"
    )


async def test_an_input_that_cannot_be_rendered_is_a_failed_decision():
    spec = Spec()
    await spec.workflow("w", nightly(input={"x": "${event.data.nothing}"}))
    await spec.deliver([await comes_due(spec)])
    [decision] = await spec.logged(TriggerDecided)
    assert decision.decision == "failed"


async def test_who_claims_to_be_the_scheduler_on_the_inbox_is_an_event_like_any_other():
    spec = Spec()
    await spec.workflow("w", nightly())
    message = await comes_due(spec)
    body = json.dumps(
        {"specversion": "1.0", "type": "ScheduleFired", "id": "1", "source": message.event.source}
    ).encode()
    await spec.deliver([Message("ns.inbox.events", body, message.event, "stream", "$JS.ACK.I.t.1.1.1.1.0")])
    assert await spec.runs() == []
