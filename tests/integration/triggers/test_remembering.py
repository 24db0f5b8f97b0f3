"""Triggers that wait, on real servers with the real scheduler; and killed while they do."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from triggers_stage import Decision, Installation, on_event, on_upstreams, waiting

from infra.failpoints import KILLED_EXIT_STATUS
from tests.killing import points

DELAY_MS = 300


async def test_a_delayed_event_fires_after_its_delay(installation: Installation):
    await installation.start_scheduler()
    await installation.start()
    await installation.save_and_tell("w", waiting(on_event(), delay_ms=DELAY_MS))
    await installation.publish("e1", data={"n": 1})
    [run] = await installation.until_runs(1)
    assert json.loads(bytes(run.input_data)) == {"n": 1}
    assert await installation.decisions() == {"e1": [("held", "delay"), ("fired", "")]}
    [received] = await installation.logged("EventReceived")
    *_, started = await installation.logged("WorkflowTriggered")
    assert started.recorded_at - received.recorded_at >= timedelta(milliseconds=DELAY_MS)


async def test_a_batch_closes_at_its_window_with_what_has_come(installation: Installation):
    await installation.start_scheduler()
    await installation.start()
    await installation.save_and_tell("w", on_event(batch={"count": 100, "window_ms": DELAY_MS}))
    for number in range(5):
        await installation.publish(f"e{number}")
    [run] = await installation.until_runs(1)
    assert [event["id"] for event in json.loads(bytes(run.input_data))["events"]] == [f"e{n}" for n in range(5)]
    decisions = await installation.decisions()
    assert all(made == [("held", "batch"), ("fired", "")] for made in decisions.values())
    assert len(decisions) == 5


async def test_a_join_fires_once_with_what_both_runs_gave(installation: Installation):
    await installation.start()
    for name in ("a", "b"):
        await installation.save_and_tell(name)
    await installation.save_and_tell("w", on_upstreams("a", "b", logic="all"))
    first, second = await installation.run("a"), await installation.run("b")
    await installation.run_ends("a", first, output=1)
    await installation.run_ends("b", second, output=2)
    [run] = await installation.until_runs(1)
    given = json.loads(bytes(run.input_data))["events"]
    assert sorted(event["data"]["output"] for event in given) == [1, 2]
    await installation.until_all_is_heard()
    assert len(await installation.until_runs(1)) == 1


async def test_what_did_not_come_fires(installation: Installation):
    await installation.start_scheduler()
    await installation.start()
    await installation.save_and_tell("w", on_event(absent_for_ms=DELAY_MS))
    [run] = await installation.until_runs(1)
    assert run.cause.type == "TriggerTimerFired"
    await installation.publish("e1")
    await installation.until_runs(2)
    assert (await installation.decisions())["e1"] == [("not_matched", "absent_for_ms")]


async def test_a_trigger_saved_just_before_an_upstream_ends_is_in_force(installation: Installation):
    await installation.start()
    await installation.save_and_tell("a")
    for number in range(10):
        begun = await installation.run("a")
        await installation.save_and_tell(f"w{number}", on_upstreams("a"))
        await installation.run_ends("a", begun)
        await installation.until_runs(1, f"w{number}")


# --- killed -----------------------------------------------------------------------------------------------------------


async def _received(installation: Installation) -> dict[str, list[Decision]]:
    """An event is there to be held."""
    await installation.start_scheduler()
    await installation.save("w", waiting(on_event(), delay_ms=DELAY_MS))
    await installation.publish("e1")
    return {"e1": [("held", "delay"), ("fired", "")]}


async def _due(installation: Installation) -> dict[str, list[Decision]]:
    """Events are held, and their timer fires while nobody is there."""
    await installation.start()
    await installation.save_and_tell("w", waiting(on_event(), delay_ms=DELAY_MS))
    for number in range(12):
        await installation.publish(f"e{number}")
    await installation.until_inbox_is_empty()
    await installation.stop_triggers()
    await installation.start_scheduler()

    async def has_fired() -> bool:
        return bool(await installation.logged("TriggerTimerFired"))

    await installation.until(has_fired, "the timer fires")
    return {f"e{number}": [("held", "delay"), ("fired", "")] for number in range(12)}


async def _joined(installation: Installation) -> dict[str, list[Decision]]:
    """One upstream has ended and is held, and the other one ends."""
    await installation.start()
    for name in ("a", "b"):
        await installation.save_and_tell(name)
    await installation.save_and_tell("w", on_upstreams("a", "b", logic="all"))
    first = await installation.run_ends("a", await installation.run("a"))

    async def is_held() -> bool:
        return bool(await installation.decisions())

    await installation.until(is_held, "the first one is held")
    await installation.stop_triggers()
    second = await installation.run_ends("b", await installation.run("b"))
    return {str(first.event_id): [("held", "upstreams"), ("fired", "")], str(second.event_id): [("fired", "")]}


@pytest.mark.faults
@pytest.mark.parametrize("point", points("triggers.after_append", "triggers.before_append"))
@pytest.mark.parametrize("given", [_received, _due, _joined])
async def test_killed_while_it_holds_nothing_is_lost_and_nothing_counts_twice(
    installation: Installation,
    tmp_path: Path,
    given: Callable[[Installation], Awaitable[dict[str, list[Decision]]]],
    point: str,
):
    due = await given(installation)
    assert await installation.dies_at(point, tmp_path) == KILLED_EXIT_STATUS
    await installation.start()
    await installation.until_runs(12 if given is _due else 1)
    await installation.until_all_is_heard()
    assert await installation.decisions() == due
