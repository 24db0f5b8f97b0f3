"""A run that fails starts the workflow that its own one names in `settings.on_failure`: once, and never in a circle."""

from typing import Any

import pytest
from flowforge.events import RunStarted, TriggerDecided, WorkflowTriggered
from runs_spec import is_retried, said, wants_child
from triggers_spec import Spec, on_upstreams, plain

HANDLED: dict[str, Any] = {"settings": {"on_failure": {"workflow_id": "page"}}}


async def with_handler(**handler: Any) -> Spec:
    spec = Spec()
    await spec.workflow("w", **HANDLED)
    await spec.workflow("page", **handler)
    return spec


async def handlers(spec: Spec) -> list[WorkflowTriggered]:
    return [run for run in await spec.runs() if run.trigger.type == "on_failure"]


async def answers(spec: Spec) -> list[tuple[str, str, str, str]]:
    return [
        (fact.workflow_id, fact.trigger_id, fact.decision, fact.reason) for fact in await spec.logged(TriggerDecided)
    ]


async def test_a_failed_run_starts_the_handler_with_what_happened():
    spec = await with_handler()
    failed = await spec.begin("w", labels={"day": "mon"}, input_data={"n": 1})
    await said(spec, failed, RunStarted(total_nodes=1))
    await spec.ends(failed, "failed")
    [run] = await handlers(spec)
    assert (run.workflow_id, run.trigger.id, run.cause.type, run.depth) == ("page", "w", "RunFailed", 2)
    told = plain(run.input_data)
    assert (told["run_id"], told["workflow_id"], told["workflow_version"]) == (str(failed.run_id), "w", 1)
    assert (told["status"], told["error"]["message"], told["failed_nodes"]) == ("failed", "it broke", [])
    assert (told["input_data"], told["labels"], told["output"]) == ({"n": 1}, {"day": "mon"}, None)
    assert told["created_at"] <= told["started_at"] <= told["completed_at"]


async def test_a_run_that_never_started_has_no_start():
    spec = await with_handler()
    await spec.run_ends("w", "failed")
    [run] = await handlers(spec)
    assert plain(run.input_data)["started_at"] is None


@pytest.mark.parametrize("ending", ["completed", "cancelled", "partial"])
async def test_another_ending_starts_no_handler(ending: str):
    spec = await with_handler()
    await spec.run_ends("w", ending)
    assert await handlers(spec) == []
    assert await answers(spec) == []


async def test_an_ending_that_is_heard_again_starts_nothing_more():
    spec = await with_handler()
    failed = await spec.begin("w")
    ending = await spec.ending(failed, "failed")
    await spec.deliver([ending])
    spec.restart()
    await spec.deliver([ending, ending])
    assert len(await handlers(spec)) == 1


async def test_each_ending_of_a_retried_run_starts_the_handler():
    spec = await with_handler()
    failed = await spec.begin("w")
    await spec.ends(failed, "failed")
    await spec.deliver([await is_retried(spec, failed)])
    await spec.ends(failed, "failed")
    first, second = await handlers(spec)
    assert first.cause.event_id != second.cause.event_id


async def test_the_setting_of_the_runs_own_version_counts():
    spec = await with_handler()
    failed = await spec.begin("w")
    await spec.workflow("w")
    await spec.ends(failed, "failed")
    assert len(await handlers(spec)) == 1
    await spec.run_ends("w", "failed")
    assert len(await handlers(spec)) == 1


async def test_dependents_are_started_beside_the_handler():
    spec = await with_handler()
    await spec.workflow("after", on_upstreams("w", condition="on_failure"))
    await spec.run_ends("w", "failed")
    assert [run.workflow_id for run in await spec.runs()] == ["w", "page", "after"]


async def test_a_child_that_failed_has_its_own_handler():
    spec = await with_handler()
    await spec.workflow("parent")
    await spec.deliver([await wants_child(spec, await spec.begin("parent"), "w")])
    child = (await spec.runs())[-1]
    await spec.ends(child, "failed")
    [run] = await handlers(spec)
    assert plain(run.input_data)["parent_run_id"] == str(child.parent_run_id)


# --- why not ----------------------------------------------------------------------------------------------------------


async def test_a_handler_that_is_not_there_is_a_decision():
    spec = Spec()
    await spec.workflow("w", **HANDLED)
    await spec.run_ends("w", "failed")
    [fact] = await spec.logged(TriggerDecided)
    assert (fact.workflow_id, fact.trigger_id, fact.decision, fact.reason) == (
        "page",
        "w",
        "suppressed",
        "workflow_inactive",
    )
    assert fact.detail == "there is no workflow 'page'; save it, or name another one in settings.on_failure of 'w'"


@pytest.mark.parametrize("status", ["draft", "archived"])
async def test_a_handler_that_is_not_active_is_a_decision(status: str):
    spec = await with_handler(status=status)
    await spec.run_ends("w", "failed")
    assert await handlers(spec) == []
    assert await answers(spec) == [("page", "w", "suppressed", "workflow_inactive")]


async def test_a_handler_saved_meanwhile_is_started():
    spec = Spec()
    await spec.workflow("w", **HANDLED)
    failed = await spec.begin("w")
    spec.tells_definitions = False
    await spec.workflow("page")
    await spec.ends(failed, "failed")
    assert len(await handlers(spec)) == 1


async def test_an_input_that_the_handler_does_not_take_is_a_decision_with_the_path():
    spec = await with_handler(input_schema={"type": "object", "properties": {"labels": {"type": "string"}}})
    await spec.run_ends("w", "failed")
    [fact] = await spec.logged(TriggerDecided)
    assert (fact.decision, fact.detail) == ("failed", "$.input.labels")


async def test_a_handler_that_fails_does_not_start_itself():
    spec = Spec()
    await spec.workflow("w", **HANDLED)
    await spec.workflow("page", **HANDLED)
    await spec.run_ends("w", "failed")
    [run] = await handlers(spec)
    await spec.ends(run, "failed")
    assert len(await handlers(spec)) == 1
    assert await answers(spec) == [("page", "page", "suppressed", "self")]


async def test_handlers_of_one_another_end_after_one_round():
    spec = Spec()
    await spec.workflow("w", **HANDLED)
    await spec.workflow("page", settings={"on_failure": {"workflow_id": "w"}})
    await spec.run_ends("w", "failed")
    [run] = await handlers(spec)
    await spec.ends(run, "failed")
    assert await answers(spec) == [("w", "page", "suppressed", "self")]


async def test_a_handler_waits_for_its_slot_or_is_suppressed():
    spec = await with_handler(settings={"concurrency": {"limit": 1, "on_conflict": "skip"}})
    await spec.run_ends("w", "failed")
    await spec.run_ends("w", "failed")
    assert len(await handlers(spec)) == 1
    assert await answers(spec) == [("page", "w", "suppressed", "overlap")]


async def test_a_handler_counts_in_the_chain_of_causes():
    spec = Spec()
    for number in range(40):
        await spec.workflow(f"w{number}", settings={"on_failure": {"workflow_id": f"w{number + 1}"}})
    await spec.run_ends("w0", "failed")
    for _ in range(40):
        last = (await spec.runs())[-1]
        await spec.ends(last, "failed")
        if (await spec.runs())[-1] is last or len(await spec.runs()) >= 32:
            break
    await spec.ends((await spec.runs())[-1], "failed")
    assert [run.depth for run in await spec.runs()] == list(range(1, 33))
    assert [(decision, reason) for _, _, decision, reason in await answers(spec)] == [("suppressed", "depth_exceeded")]
