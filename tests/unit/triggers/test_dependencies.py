"""Dependency triggers: one upstream or several, joined once, never with what is stale."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flowforge.events import WorkflowTriggered
from triggers_spec import Spec, on_upstreams, plain

from infra.eventlog import MemoryEventLog, StoredEvent


async def given(*upstreams: str, **trigger: Any) -> Spec:
    spec = Spec()
    for name in upstreams:
        await spec.workflow(name)
    await spec.workflow("w", on_upstreams(*upstreams, **trigger))
    return spec


async def downstream(spec: Spec) -> list[WorkflowTriggered]:
    return [run for run in await spec.runs() if run.workflow_id == "w"]


async def test_the_end_of_an_upstream_starts_a_run_with_what_it_gave():
    spec = await given("a")
    upstream = await spec.run_ends("a", output={"rows": 3})
    [run] = [run for run in await spec.runs() if run.workflow_id == "w"]
    data = plain(run.input_data)
    assert (data["output"], data["status"], data["workflow_id"]) == ({"rows": 3}, "completed", "a")
    assert data["run_id"] == str(upstream)
    assert (run.trigger.type, run.trigger.id, run.cause.type) == ("dependency", "t", "RunCompleted")
    assert run.depth == 2
    assert run.chain is not None
    assert run.chain.workflow_ids == ["a"]


async def test_an_ending_that_is_not_waited_for_is_a_decision():
    spec = await given("a")
    await spec.run_ends("a", "failed")
    assert await downstream(spec) == []
    assert await spec.decisions() == [("t", "not_matched", "the run of a failed, it fires on_success")]


@pytest.mark.parametrize(
    ("condition", "is_met"), [("on_success", False), ("on_failure", True), ("on_completion", True)]
)
async def test_a_partial_end_had_failures_and_is_no_success(condition: str, is_met: bool):
    spec = await given("a", condition=condition)
    await spec.run_ends("a", "partial", output={"rows": 3})
    assert len(await downstream(spec)) == is_met
    if not is_met:
        assert await spec.decisions() == [("t", "not_matched", "the run of a ended partial, it fires on_success")]
        return
    [run] = await downstream(spec)
    data = plain(run.input_data)
    assert (data["status"], data["output"], data["error"]["message"]) == ("partial", {"rows": 3}, "one broke")


async def test_a_run_of_another_workflow_concerns_nobody():
    spec = await given("a")
    await spec.workflow("other")
    before = (await spec.log.head()).position
    begun = await spec.begin("other")
    assert await spec.ends(begun) == []
    assert (await spec.log.head()).position == before + 3  # the request, the run, its end


async def test_any_fires_for_each():
    spec = await given("a", "b", condition="on_completion")
    await spec.run_ends("a")
    await spec.run_ends("b", "cancelled")
    assert len(await downstream(spec)) == 2


async def test_all_fires_once_the_last_one_has_ended_and_starts_afresh():
    spec = await given("a", "b", logic="all")
    await spec.run_ends("a")
    assert await downstream(spec) == []
    assert await spec.decisions() == [("t", "held", "upstreams")]
    await spec.run_ends("b")
    assert len(await downstream(spec)) == 1
    await spec.run_ends("b")
    assert len(await downstream(spec)) == 1
    await spec.run_ends("a")
    assert len(await downstream(spec)) == 2
    decisions = [(decision, reason) for _, decision, reason in await spec.decisions()]
    assert decisions == [("held", "upstreams"), ("fired", ""), ("held", "upstreams"), ("fired", "")]


async def test_a_join_survives_a_restart_between_its_parts():
    spec = await given("a", "b", logic="all", input={"rows": "${events.map(e, e.data.output)}"})
    await spec.run_ends("a", output=1)
    spec.restart()
    await spec.run_ends("b", output=2)
    [run] = [run for run in await spec.runs() if run.workflow_id == "w"]
    assert plain(run.input_data) == {"rows": [1, 2]}
    assert len(run.consumed) == 2


async def test_a_newer_run_of_an_upstream_takes_the_place_of_the_older():
    spec = await given("a", "b", logic="all", input={"rows": "${events[0].data.output}"})
    await spec.run_ends("a", output="old")
    await spec.run_ends("a", output="new")
    await spec.run_ends("b")
    [run] = [run for run in await spec.runs() if run.workflow_id == "w"]
    assert plain(run.input_data) == {"rows": "new"}
    decisions = [decision for _, decision, _ in await spec.decisions()]
    assert decisions == ["held", "expired", "held", "fired"]


async def test_upstreams_join_only_with_equal_keys():
    spec = await given("a", "b", logic="all", correlate_by="run.labels.day")
    await spec.run_ends("a", labels={"day": "mon"})
    await spec.run_ends("b", labels={"day": "tue"})
    assert await downstream(spec) == []
    await spec.run_ends("b", labels={"day": "mon"})
    assert len(await downstream(spec)) == 1


async def test_a_key_that_cannot_be_found_is_a_failed_decision():
    spec = await given("a", "b", logic="all", correlate_by="run.labels.day")
    await spec.run_ends("a")
    [(_, decision, reason)] = await spec.decisions()
    assert decision == "failed"
    assert "correlate_by" in reason
    assert "day" in reason


async def test_a_satisfied_upstream_waits_so_long_and_no_longer():
    spec = await given("a", "b", logic="all", window_ms=1000)
    await spec.run_ends("a")
    await spec.time_passes(1001)
    await spec.run_ends("b")
    assert await downstream(spec) == []
    assert await spec.decisions() == [
        ("t", "held", "upstreams"),
        ("t", "expired", "its window closed: b did not end in time"),
        ("t", "held", "upstreams"),
    ]


async def test_a_changed_trigger_starts_empty_and_a_renamed_one_does_not():
    spec = await given("a", "b", logic="all")
    await spec.run_ends("a")
    await spec.workflow("w", on_upstreams("a", "b", logic="all", name="Renamed"))
    await spec.run_ends("b")
    assert len(await downstream(spec)) == 1
    await spec.run_ends("a")
    await spec.workflow("w", on_upstreams("a", "b", logic="all", window_ms=5000))
    await spec.run_ends("b")
    assert len(await downstream(spec)) == 1
    assert ("t", "expired", "the trigger was changed while it waited") in await spec.decisions()


async def test_a_removed_trigger_lets_go_of_what_it_held():
    spec = await given("a", "b", logic="all")
    await spec.run_ends("a")
    await spec.workflow("w")
    assert await spec.decisions() == [
        ("t", "held", "upstreams"),
        ("t", "expired", "the trigger was removed while it waited"),
    ]


async def test_a_trigger_saved_before_the_end_counts_though_nobody_told():
    spec = Spec()
    await spec.workflow("a")
    begun = await spec.begin("a")
    spec.tells_definitions = False
    await spec.workflow("w", on_upstreams("a"))
    await spec.ends(begun)
    assert len(await downstream(spec)) == 1


async def test_a_trigger_saved_while_the_definitions_are_read_counts_for_the_next_end():
    class Log(MemoryEventLog):
        meanwhile: Callable[[], Awaitable[object]] | None = None

        async def read(self, after_position: int, limit: int = 1000, **which: Any) -> list[StoredEvent]:
            page = await super().read(after_position, limit, **which)
            if which.get("named_only") and self.meanwhile is not None:
                happening, self.meanwhile = self.meanwhile, None
                await happening()
            return page

    log = Log()
    spec = Spec(log)
    await spec.workflow("a")
    begun = await spec.begin("a")
    spec.tells_definitions = False
    await spec.workflow("another")
    log.meanwhile = lambda: spec.workflow("w", on_upstreams("a"))
    await spec.service.tick()
    assert log.meanwhile is None
    await spec.ends(begun)
    assert len(await downstream(spec)) == 1


async def test_a_chain_of_causes_is_cut():
    spec = Spec()
    await spec.workflow("w", on_upstreams("w", condition="on_completion"))
    await spec.begin("w")
    for _ in range(40):
        runs = await spec.runs()
        await spec.ends(runs[-1])
        if len(await spec.runs()) == len(runs):
            break
    runs = await spec.runs()
    assert [run.depth for run in runs] == list(range(1, 33))
    assert [(decision, reason) for _, decision, reason in await spec.decisions()] == [("suppressed", "depth_exceeded")]


async def test_one_first_cause_starts_at_most_a_thousand_runs():
    spec = Spec()
    await spec.workflow("a")
    upstreams = [f"w{number:03}" for number in range(10)]
    for number in range(100):
        await spec.workflow(f"w{number:03}", on_upstreams("a", *upstreams))
    await spec.begin("a")
    for at in range(12):
        await spec.ends((await spec.runs())[at])
    chained = [run for run in await spec.runs() if run.workflow_id != "a"]
    assert len(chained) == 999
    reasons = {reason for _, decision, reason in await spec.decisions() if decision == "suppressed"}
    assert reasons == {"depth_exceeded"}


async def test_two_ends_in_one_turn_join_once():
    spec = await given("a", "b", logic="all")
    first, second = await spec.begin("a"), await spec.begin("b")
    await spec.deliver([await spec.ending(first), await spec.ending(second)])
    assert len(await downstream(spec)) == 1


async def test_ends_that_wait_together_fire_after_a_restart_each_with_its_chain():
    spec = await given("a", delay_ms=1000)
    for _ in range(12):
        await spec.run_ends("a")
    spec.restart()
    spec.pass_without_timers(1001)
    await spec.run_ends("a")
    await spec.time_passes(1001)
    assert [run.depth for run in await downstream(spec)] == [2] * 13
