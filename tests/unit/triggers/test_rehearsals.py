"""What-if: over the recorded history a trigger answers what it did answer; a changed one, what it would have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from flowforge.commands import RehearseTrigger
from flowforge.definition import Trigger
from triggers_spec import START, Spec, on_event, on_upstreams

from services.triggers.dry import Rehearsal
from services.triggers.rehearsing import rehearse

Answer = tuple[str, str, str]


async def what_if(spec: Spec, trigger: dict[str, Any], workflow_id: str = "w", **window: Any) -> dict[str, Any]:
    await spec.service.definitions.look()
    written = msgspec.Raw(msgspec.json.encode(trigger))
    asked: dict[str, Any] = {"limit": 1000} | window
    command = RehearseTrigger(command_id="q", trigger=written, workflow_id=workflow_id, **asked)
    rehearsal = Rehearsal(
        msgspec.json.decode(written, type=Trigger), spec.service.definitions.index.workflows.get(workflow_id), "ns"
    )
    return await rehearse(spec.log, rehearsal, command, spec.now)


def answers(told: dict[str, Any]) -> list[Answer]:
    """Oldest first, without how often a cause was held."""
    return [(item["cause"]["id"], item["decision"], item["reason"] or "") for item in reversed(told["items"])]


async def recorded(spec: Spec) -> list[Answer]:
    facts = [msgspec.json.decode(event.data) for event in await spec.log.read(0, 100_000) if event.type in _RECORDED]
    mine = [
        fact for fact in facts if fact.get("trigger_id") == "t" or fact.get("trigger") == {"type": "event", "id": "t"}
    ]
    return [(fact["cause"]["id"], fact.get("decision", "fired"), fact.get("reason", "")) for fact in mine]


_RECORDED = {"TriggerDecided", "WorkflowTriggered"}
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("trigger", [on_event(), {"id": "s", "type": "schedule", "config": {"cron": "0 3 * * *"}}])
@pytest.mark.parametrize(
    ("window", "has_some"),
    [
        ({"since": FIRST}, True),
        ({"since": FIRST, "until": LAST}, True),
        ({"until": FIRST}, False),
        ({"since": LAST}, False),
    ],
)
async def test_the_ends_of_the_calendar_are_moments_too(trigger: dict[str, Any], window: Any, has_some: bool):
    spec = Spec()
    await spec.workflow("w", on_event())
    await spec.event("e1")
    told = await what_if(spec, trigger, **window)
    if trigger["type"] == "event":
        assert told["would_fire"] == has_some


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter": "event.data.n % 2 == 0"},
        {"batch": {"count": 3, "window_ms": 1000}},
        {"debounce_ms": 700},
        {"delay_ms": 700},
        {"limit": {"max_fires": 2, "per_ms": 2000}},
        {
            "batch": {"count": 2, "window_ms": 900},
            "debounce_ms": 300,
            "delay_ms": 200,
            "limit": {"max_fires": 1, "per_ms": 3000},
            "filter": "event.data.n != 3",
        },
    ],
)
async def test_the_trigger_that_was_there_would_have_answered_what_it_did(options: dict[str, Any]):
    spec = Spec()
    await spec.workflow("w", on_event(**options))
    for number in range(12):
        await spec.event(f"e{number}", data={"n": number})
        await spec.time_passes(400 if number % 3 else 1200)
    await spec.time_passes(60_000)
    told = await what_if(spec, on_event(**options))
    assert sorted(answers(told)) == sorted(await recorded(spec))
    assert told["would_fire"] == told["did_fire"] == len(await spec.runs())
    assert told["evaluated"] == 12
    assert {item["did_fire"] for item in told["items"] if item["decision"] == "fired" and item["run_id"]} <= {True}


async def test_a_join_is_rehearsed_over_the_ends_of_runs():
    spec = Spec()
    await spec.workflow("a")
    await spec.workflow("b")
    await spec.workflow("w")
    for upstream in ("a", "b", "a", "a", "b"):
        await spec.run_ends(upstream)
    await spec.run_ends("b", "failed")
    trigger = on_upstreams("a", "b", logic="all")
    told = await what_if(spec, trigger)
    decisions = [item["decision"] for item in reversed(told["items"])]
    assert decisions == ["held", "fired", "fired", "held", "expired", "held", "fired", "fired", "not_matched"]
    assert (told["evaluated"], told["would_fire"], told["did_fire"]) == (6, 2, 0)


async def test_an_absence_is_found_in_the_past():
    spec = Spec()
    await spec.workflow("w")
    await spec.event("e1")
    await spec.time_passes(500)
    await spec.event("e2")
    await spec.time_passes(2000)
    told = await what_if(spec, on_event(absent_for_ms=1000))
    assert [item["decision"] for item in reversed(told["items"])] == ["not_matched", "not_matched", "fired"]


async def test_a_schedule_is_rehearsed_over_its_nominal_times():
    spec = Spec()
    await spec.workflow("w")
    trigger = {
        "id": "t",
        "type": "schedule",
        "config": {"cron": "0 * * * *"},
        "limit": {"max_fires": 1, "per_ms": 7_000_000},
    }
    told = await what_if(spec, trigger, since=START, until=START + timedelta(hours=4))
    assert [item["decision"] for item in reversed(told["items"])] == ["fired", "suppressed", "fired", "suppressed"]
    assert told["items"][-1]["cause"]["id"] == "t@2026-01-01T00:00:00Z"


async def test_the_pages_of_a_rehearsal_follow_one_another():
    spec = Spec()
    await spec.workflow("w")
    for number in range(7):
        await spec.event(f"e{number}")
    trigger = on_event(limit={"max_fires": 3, "per_ms": 60_000})
    seen: list[str] = []
    before: int | None = None
    while True:
        page = await what_if(spec, trigger, limit=3, before=before)
        seen += [item["cause"]["id"] for item in page["items"]]
        before = page["next_position"]
        if before is None:
            break
    assert seen == [f"e{number}" for number in reversed(range(7))]
