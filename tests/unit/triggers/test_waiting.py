"""Triggers that wait: batches, quiet, delays, limits, absences. Nothing is lost, and nothing fires twice."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flowforge.events import Cause, TriggerDecided
from triggers_spec import START, Spec, inbox, on_event, plain

from services.triggers.memory import Memory, evolve


async def given(*triggers: dict[str, Any], **fields: Any) -> Spec:
    spec = Spec()
    await spec.workflow("w", *triggers, **fields)
    return spec


async def decisions(spec: Spec) -> list[tuple[str, str]]:
    return [(decision, reason) for _, decision, reason in await spec.decisions()]


async def test_a_batch_fires_at_its_count_with_all_its_events():
    spec = await given(on_event(batch={"count": 3, "window_ms": 60_000}))
    for number in range(1, 4):
        await spec.event(f"e{number}", data={"n": number})
    [run] = await spec.runs()
    assert [event["data"]["n"] for event in plain(run.input_data)["events"]] == [1, 2, 3]
    assert len(run.consumed) == 3
    assert await decisions(spec) == [("held", "batch"), ("held", "batch"), ("fired", ""), ("fired", "")]
    await spec.time_passes(120_000)
    assert len(await spec.runs()) == 1


async def test_a_batch_fires_at_the_end_of_its_window_with_what_has_come():
    spec = await given(on_event(batch={"count": 3, "window_ms": 1000}, input={"ids": "${events.map(e, e.id)}"}))
    await spec.event("e1")
    await spec.time_passes(600)
    await spec.event("e2")
    spec.restart()
    await spec.time_passes(399)
    assert await spec.runs() == []
    await spec.time_passes(2)
    [run] = await spec.runs()
    assert plain(run.input_data) == {"ids": ["e1", "e2"]}


async def test_what_does_not_match_is_no_part_of_a_batch():
    spec = await given(on_event(batch={"count": 2, "window_ms": 1000}, filter="event.data.n > 1"))
    await spec.event("e1", data={"n": 1})
    await spec.event("e2", data={"n": 2})
    assert [decision for decision, _ in await decisions(spec)] == ["not_matched", "held"]


async def test_quiet_is_waited_for_and_the_last_event_fires():
    spec = await given(on_event(debounce_ms=1000))
    await spec.event("e1", data={"n": 1})
    await spec.time_passes(900)
    await spec.event("e2", data={"n": 2})
    await spec.time_passes(900)
    assert await spec.runs() == []
    await spec.time_passes(101)
    [run] = await spec.runs()
    assert plain(run.input_data) == {"n": 2}
    assert await decisions(spec) == [("held", "debounce"), ("suppressed", "debounced"), ("held", "debounce")]


async def test_many_events_before_quiet_need_few_timers():
    spec = await given(on_event(debounce_ms=1000))
    for number in range(20):
        await spec.event(f"e{number}")
        await spec.time_passes(10)
    await spec.time_passes(2000)
    assert len(await spec.runs()) == 1
    assert sum(1 for event in await spec.log.read(0, 1000) if event.type == "TriggerTimerSet") <= 3


async def test_a_delayed_event_fires_later_with_its_own_data_also_after_a_restart():
    spec = await given(on_event(delay_ms=1000))
    await spec.event("e1", data={"n": 1})
    await spec.time_passes(500)
    await spec.event("e2", data={"n": 2})
    spec.restart()
    await spec.time_passes(501)
    assert [plain(run.input_data) for run in await spec.runs()] == [{"n": 1}]
    await spec.time_passes(500)
    assert [plain(run.input_data) for run in await spec.runs()] == [{"n": 1}, {"n": 2}]


async def test_whoever_disables_a_trigger_while_it_waits_is_heard():
    spec = await given(on_event(delay_ms=1000))
    await spec.event("e1")
    await spec.workflow("w", on_event(delay_ms=1000, enabled=False))
    await spec.time_passes(1001)
    assert await spec.runs() == []
    assert await decisions(spec) == [("held", "delay"), ("suppressed", "disabled")]


async def test_a_trigger_that_is_enabled_again_in_time_fires():
    spec = await given(on_event(delay_ms=1000))
    await spec.event("e1")
    await spec.workflow("w", on_event(delay_ms=1000, enabled=False))
    await spec.workflow("w", on_event(delay_ms=1000))
    await spec.time_passes(1001)
    assert len(await spec.runs()) == 1


async def test_an_archived_workflow_does_not_start_what_was_delayed():
    spec = await given(on_event(delay_ms=1000))
    await spec.event("e1")
    await spec.archived("w")
    await spec.time_passes(1001)
    assert await decisions(spec) == [("held", "delay"), ("suppressed", "workflow_inactive")]


async def test_a_limit_is_a_sliding_window():
    spec = await given(on_event(limit={"max_fires": 2, "per_ms": 1000}))
    for number in range(3):
        await spec.event(f"e{number}")
        await spec.time_passes(300)
    assert len(await spec.runs()) == 2
    assert await decisions(spec) == [("suppressed", "limited")]
    await spec.time_passes(150)  # the first firing has left the window
    spec.restart()
    await spec.event("e9")
    assert len(await spec.runs()) == 3
    await spec.event("e10")
    assert len(await spec.runs()) == 3


async def test_all_steps_follow_one_another():
    spec = await given(
        on_event(
            batch={"count": 2, "window_ms": 1000},
            debounce_ms=500,
            delay_ms=500,
            limit={"max_fires": 1, "per_ms": 60_000},
        )
    )
    for number in range(4):
        await spec.event(f"e{number}")
        await spec.time_passes(10)
    await spec.time_passes(400)
    assert await spec.runs() == []
    await spec.time_passes(1000)
    [run] = await spec.runs()
    assert [event["id"] for event in plain(run.input_data)["events"]] == ["e2", "e3"]
    finals: dict[str, str] = {}
    for event in await spec.log.read(0, 1000):
        if event.type == "TriggerDecided":
            fact = json.loads(event.data)
            if fact["decision"] != "held":
                assert fact["cause"]["id"] not in finals
                finals[fact["cause"]["id"]] = fact["decision"]
    assert finals == {"e0": "suppressed", "e1": "suppressed", "e2": "fired"}


async def test_an_input_that_cannot_be_made_is_a_decision_for_every_cause_held():
    spec = await given(on_event(batch={"count": 2, "window_ms": 1000}, input={"n": "${event.data.missing}"}))
    await spec.event("e1", data={})
    await spec.event("e2", data={})
    assert await spec.runs() == []
    assert [decision for decision, _ in await decisions(spec)] == ["held", "failed", "failed"]


async def test_absence_fires_when_nothing_came_since_the_trigger_was_enabled():
    spec = await given(on_event(absent_for_ms=1000))
    await spec.time_passes(999)
    assert await spec.runs() == []
    await spec.time_passes(2)
    [run] = await spec.runs()
    assert run.cause.type == "TriggerTimerFired"
    await spec.time_passes(10_000)
    assert len(await spec.runs()) == 1


async def test_a_match_in_time_has_absence_counted_anew():
    spec = await given(on_event(absent_for_ms=1000))
    await spec.time_passes(900)
    await spec.event("e1")
    await spec.time_passes(900)
    spec.restart()
    assert await spec.runs() == []
    await spec.time_passes(101)
    assert len(await spec.runs()) == 1
    await spec.event("e2")
    await spec.time_passes(1001)
    assert len(await spec.runs()) == 2
    assert await decisions(spec) == [("not_matched", "absent_for_ms")] * 2


async def test_no_absence_is_counted_while_the_trigger_is_disabled():
    spec = await given(on_event(absent_for_ms=1000))
    await spec.workflow("w", on_event(absent_for_ms=1000, enabled=False))
    await spec.time_passes(5000)
    assert await spec.runs() == []
    await spec.workflow("w", on_event(absent_for_ms=1000))
    await spec.time_passes(999)
    assert await spec.runs() == []
    await spec.time_passes(2)
    assert len(await spec.runs()) == 1


async def test_several_events_of_one_command_fill_one_batch():
    spec = await given(on_event(batch={"count": 4, "window_ms": 1000}))
    events = [
        {"specversion": "1.0", "id": f"e{number}", "source": "/shop", "type": "file.arrived", "data": number}
        for number in range(6)
    ]
    await spec.command("ReceiveEvents", command_id="c", events=events)
    [run] = await spec.runs()
    assert len(run.consumed) == 4
    assert [reason for decision, reason in await decisions(spec) if decision == "held"] == ["batch"] * 5


async def test_a_large_batch_fires_after_a_restart():
    spec = await given(on_event(batch={"count": 30, "window_ms": 1000}))
    for number in range(25):
        await spec.event(f"e{number}")
    spec.restart()
    await spec.time_passes(1001)
    [run] = await spec.runs()
    assert len(run.consumed) == 25


async def test_many_that_are_due_together_after_a_restart_all_fire():
    spec = await given(*(on_event(f"t{number:02}", delay_ms=1000) for number in range(12)))
    for number in range(12):
        await spec.event(f"e{number}")
    spec.restart()
    spec.pass_without_timers(2000)
    await spec.event("late")
    await spec.time_passes(1001)
    assert len(await spec.runs()) == 12 * 13


async def test_what_is_due_together_goes_in_the_order_in_which_it_came():
    spec = await given(on_event(delay_ms=1000, limit={"max_fires": 1, "per_ms": 60_000}))
    events = [
        {"specversion": "1.0", "id": f"e{number}", "source": "/shop", "type": "file.arrived"} for number in range(6)
    ]
    await spec.command("ReceiveEvents", command_id="c", events=events)
    await spec.time_passes(1001)
    assert [run.cause.id for run in await spec.runs()] == ["e0"]


async def test_a_timer_beside_an_event_that_came_again_lets_go_what_is_due():
    spec = await given(on_event(debounce_ms=1000))
    await spec.event("e1")
    spec.pass_without_timers(1001)
    timer = await spec.timer()
    await spec.deliver([inbox("e1"), timer])
    assert len(await spec.runs()) == 1


async def test_an_absence_before_a_match_fires_though_its_timer_comes_after_it():
    spec = await given(on_event(absent_for_ms=1000))
    spec.pass_without_timers(1500)
    await spec.event("e1")
    timer = await spec.timer()
    await spec.deliver([timer])
    assert [run.cause.id for run in await spec.runs()] == [timer.event.id]
    await spec.time_passes(1100)
    assert len(await spec.runs()) == 2


async def test_what_is_held_no_longer_leaves_nothing_behind():
    spec = await given(on_event(debounce_ms=1000))
    for number in range(200):
        await spec.event(f"e{number}")
    [(_, memory)] = spec.service.ledger.memories()
    assert len(memory.due) < 20
    assert memory.of_cause == {}


async def test_what_only_came_due_does_not_count_for_the_cause_that_came_then():
    spec = await given(on_event("s", "*", delay_ms=1000), on_event("t", "last"))
    events = [{"specversion": "1.0", "id": f"e{number}", "source": "/shop", "type": "first"} for number in range(1001)]
    await spec.command("ReceiveEvents", command_id="c", events=events)
    spec.pass_without_timers(1001)
    await spec.event("e", "last")
    runs = await spec.runs()
    assert [run.trigger.id for run in runs].count("s") == 1001
    assert [run.chain for run in runs if run.trigger.id == "t"] == [None]


async def test_an_absence_that_is_delayed_outlives_that_its_trigger_is_disabled_for_a_while():
    spec = await given(on_event(absent_for_ms=1000, delay_ms=1000))
    await spec.time_passes(1001)
    await spec.workflow("w", on_event(absent_for_ms=1000, delay_ms=1000, enabled=False))
    await spec.workflow("w", on_event(absent_for_ms=1000, delay_ms=1000))
    await spec.time_passes(1001)
    assert await decisions(spec) == [("held", "delay"), ("held", "delay")]
    assert len(await spec.runs()) == 1


async def test_what_was_held_ends_when_its_trigger_is_changed_into_one_that_waits_for_absence():
    spec = await given(on_event(batch={"count": 2, "window_ms": 1000}))
    await spec.event("e1")
    await spec.workflow("w", on_event(absent_for_ms=500))
    assert await decisions(spec) == [("held", "batch"), ("expired", "the trigger was changed while it waited")]
    await spec.time_passes(2000)
    assert [run.cause.type for run in await spec.runs()] == ["TriggerTimerFired"]


async def test_a_timer_that_comes_again_when_the_next_absence_is_due_tells_of_none():
    spec = await given(on_event(absent_for_ms=1000))
    spec.pass_without_timers(1000)
    timer = await spec.timer()
    await spec.deliver([timer])
    await spec.event("e1")
    spec.pass_without_timers(1001)
    await spec.turn([timer])
    assert len(await spec.runs()) == 1
    await spec.time_passes(1)
    assert len(await spec.runs()) == 2


async def test_a_timer_that_comes_again_once_its_trigger_is_gone_ends_what_it_told_of():
    spec = await given(on_event(absent_for_ms=1000, delay_ms=1000))
    spec.pass_without_timers(1000)
    timer = await spec.timer()
    await spec.deliver([timer])
    spec.tells_definitions = False
    await spec.workflow("w")
    await spec.deliver([timer])
    assert [decision for decision, _ in await decisions(spec)] == ["held", "expired"]


@pytest.mark.parametrize(
    "waits", [{"debounce_ms": 1000}, {"delay_ms": 1000}, {"batch": {"count": 9, "window_ms": 1000}}]
)
async def test_what_comes_once_the_clock_was_set_back_does_not_wait_for_a_timer_that_has_come(waits: dict[str, Any]):
    spec = await given(on_event(**waits))
    await spec.event("e1")
    await spec.time_passes(1001)
    spec.the_clock_is_set_back(500)
    await spec.event("e2")
    await spec.time_passes(3000)
    assert [run.cause.id for run in await spec.runs()] == ["e1", "e2"]


async def test_what_comes_after_a_timer_of_a_scheduler_whose_clock_is_ahead_fires_too():
    spec = await given(on_event(delay_ms=1000))
    await spec.event("e1")
    await spec.time_passes(900)
    await spec.deliver([await spec.timer()])
    await spec.event("e2")
    await spec.time_passes(3000)
    assert [run.cause.id for run in await spec.runs()] == ["e1", "e2"]


def test_what_is_due_is_found_without_looking_at_all_that_waits():
    class Counted(list[tuple[datetime, UUID]]):
        looked_at = 0

        def __getitem__(self, place: Any) -> Any:
            Counted.looked_at += 1
            return super().__getitem__(place)

        def __iter__(self) -> Iterator[tuple[datetime, UUID]]:
            Counted.looked_at += len(self)
            return super().__iter__()

    memory = Memory()
    for number in range(2000):
        at = START + timedelta(seconds=number)
        cause = Cause(event_id=UUID(int=number + 1), type="k", id=str(number), source="/s", stream_id=UUID(int=9))
        held = TriggerDecided(
            trigger_id="t", trigger_version=1, workflow_id="w", cause=cause, decision="held", reason="delay", due_at=at
        )
        evolve(memory, held, START)
    memory.due = Counted(memory.due)
    assert [held.lead.id for held in memory.due_by(START + timedelta(seconds=3))] == ["0", "1", "2", "3"]
    assert Counted.looked_at < 40
