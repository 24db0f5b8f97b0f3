"""Runs that a node of another run asks for: started once, with what its parent has, or refused with the reason."""

from typing import Any

import pytest
from flowforge.events import ChildRunRefused, SlotRefused, TriggerDecided, WorkflowTriggered, decode
from runs_spec import child_id, wants_child, wants_it_no_more
from triggers_spec import Spec, inbox, on_event, on_upstreams, plain

from services.triggers import settings as limits
from services.triggers.decide import deciding


async def with_parent(*workflows: str, **fields: Any) -> tuple[Spec, WorkflowTriggered]:
    """A parent that runs, and the workflows that it may ask for."""
    spec = Spec()
    await spec.workflow("parent")
    for name in workflows or ("child",):
        await spec.workflow(name, **fields)
    return spec, await spec.begin("parent", actor="ada", labels={"day": "mon"}, priority=7)


async def children(spec: Spec) -> list[WorkflowTriggered]:
    return [run for run in await spec.runs() if run.trigger.type == "workflow"]


async def refusals(spec: Spec) -> list[tuple[str, str]]:
    return [(fact.code, fact.message) for fact in await spec.logged(ChildRunRefused)]


async def test_a_node_that_asks_gets_its_child():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent, data={"n": 1}, instance="3")])
    [run] = await children(spec)
    assert run.run_id == child_id(parent, instance="3")
    assert (run.workflow_id, run.workflow_version, run.trigger.id) == ("child", 1, "n")
    assert (run.parent_run_id, run.parent_node_id, run.parent_instance) == (parent.run_id, "n", "3")
    assert (plain(run.input_data), run.labels, run.priority, run.depth) == ({"n": 1}, {"day": "mon"}, 7, 2)
    assert (run.cause.type, run.cause.stream_id) == ("ChildRunRequested", parent.run_id)
    assert run.chain is not None
    assert (run.chain.first_event_id, run.chain.workflow_ids) == (parent.cause.event_id, ["parent"])


async def test_a_child_is_said_to_execution_in_the_name_of_who_started_its_parent():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent)])
    [stored] = await spec.log.read_stream(child_id(parent))
    assert (stored.actor, stored.correlation_id) == ("ada", parent.cause.event_id)
    assert spec.said[-1].subject == f"ns.runs.child.{child_id(parent)}.WorkflowTriggered"


async def test_a_child_is_asked_for_once_whatever_comes_again_after_a_restart():
    spec, parent = await with_parent()
    asked = await wants_child(spec, parent)
    await spec.deliver([asked, asked])
    spec.restart()
    await spec.deliver([asked])
    assert len(await children(spec)) == 1
    assert await refusals(spec) == []


async def test_children_of_one_turn_each_start():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent, instance=str(at)) for at in range(5)])
    assert [run.parent_instance for run in await children(spec)] == ["0", "1", "2", "3", "4"]


async def test_a_child_is_of_the_version_that_is_named_else_of_the_newest():
    spec, parent = await with_parent()
    await spec.workflow("child")
    await spec.deliver([await wants_child(spec, parent, version=1, node_id="old")])
    await spec.deliver([await wants_child(spec, parent, node_id="new")])
    assert [run.workflow_version for run in await children(spec)] == [1, 2]


async def test_a_version_saved_before_the_child_is_asked_for_counts_though_nobody_told():
    spec, parent = await with_parent()
    spec.tells_definitions = False
    await spec.workflow("child")
    await spec.deliver([await wants_child(spec, parent)])
    assert [run.workflow_version for run in await children(spec)] == [2]


async def test_a_draft_runs_as_a_child():
    spec, parent = await with_parent(status="draft")
    await spec.deliver([await wants_child(spec, parent)])
    assert len(await children(spec)) == 1


async def test_without_an_input_it_is_an_empty_object():
    spec, parent = await with_parent(input_schema={"type": "object"})
    await spec.deliver([await wants_child(spec, parent)])
    [run] = await children(spec)
    assert plain(run.input_data) == {}


async def test_a_large_input_is_checked_whole_and_kept_beside_the_log():
    spec, parent = await with_parent(input_schema={"type": "object", "required": ["text"]})
    reference = await spec.log.put_blob(b'{"text":"%s"}' % (b"x" * 300_000))
    await spec.deliver([await wants_child(spec, parent, data={"$blob": reference, "size": 300_011})])
    [run] = await children(spec)
    assert plain(run.input_data)["$blob"] == reference


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_a_refusal_has_the_childs_own_stream_and_is_said_to_the_parent():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent, "chidl", instance="2")])
    [fact] = await spec.logged(ChildRunRefused)
    assert (fact.parent_run_id, fact.node_id, fact.instance) == (parent.run_id, "n", "2")
    [stored] = await spec.log.read_stream(child_id(parent, instance="2"))
    assert stored.stream_type == "child"
    assert spec.said[-1].subject == f"ns.runs.parent.{parent.run_id}.ChildRunRefused"
    assert decode(stored.type, stored.data) == fact
    [again] = await spec.service.resay([stored])
    assert again == spec.said[-1]


async def test_a_workflow_that_is_not_there_is_named_with_what_was_perhaps_meant():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent, "chidl")])
    [(code, message)] = await refusals(spec)
    assert code == "MISSING_DEPENDENCY"
    assert message.startswith("node 'n' cannot run 'chidl': there is no workflow 'chidl'; did you mean 'child'?")


async def test_a_version_that_is_not_there_is_refused():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent, version=9)])
    [(code, message)] = await refusals(spec)
    assert (code, "there is no version of workflow 'child' '9'" in message) == ("MISSING_DEPENDENCY", True)


async def test_an_archived_workflow_runs_as_no_child():
    spec, parent = await with_parent()
    await spec.archived("child")
    await spec.deliver([await wants_child(spec, parent)])
    [(code, message)] = await refusals(spec)
    assert (code, "it is archived" in message) == ("INVALID_FLOW_STATE", True)


async def test_an_input_against_the_schema_is_refused_with_its_path():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    spec, parent = await with_parent(input_schema=schema)
    await spec.deliver([await wants_child(spec, parent, data={"n": "one"})])
    [(code, message)] = await refusals(spec)
    assert code == "INPUT_INVALID"
    assert "$.input.n" in message


async def test_a_child_that_asks_for_itself_ends_at_the_depth_of_all_chains():
    spec = Spec()
    await spec.workflow("w")
    run = await spec.begin("w")
    for _ in range(40):
        await spec.deliver([await wants_child(spec, run, "w")])
        if len(await children(spec)) == run.depth - 1:
            break
        run = (await children(spec))[-1]
    assert run.depth == limits.DEPTH_MAX
    [(code, message)] = await refusals(spec)
    assert (code, f"cut after {limits.DEPTH_MAX} runs" in message) == ("DEPTH_EXCEEDED", True)


async def test_one_first_cause_leads_to_so_many_children(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deciding, "RUNS_PER_CAUSE_MAX", 3)
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent, instance=str(at)) for at in range(4)])
    assert len(await children(spec)) == 2, "the parent counts"
    assert [code for code, _ in await refusals(spec)] == ["DEPTH_EXCEEDED"] * 2


# --- wanted no more ---------------------------------------------------------------------------------------------------


async def test_a_child_that_is_wanted_no_more_before_it_is_there_never_starts():
    spec, parent = await with_parent()
    asked, unwanted = await wants_child(spec, parent), await wants_it_no_more(spec, parent, "timeout")
    await spec.deliver([unwanted])
    await spec.deliver([asked])
    assert await children(spec) == []
    assert await refusals(spec) == [("CANCELLED", "its parent waits for it no more: timeout")]


async def test_asked_for_and_wanted_no_more_in_one_turn_is_not_started():
    spec, parent = await with_parent()
    await spec.deliver([await wants_child(spec, parent), await wants_it_no_more(spec, parent)])
    assert await children(spec) == []
    assert [code for code, _ in await refusals(spec)] == ["CANCELLED"]


async def test_a_child_that_is_there_is_left_to_execution():
    spec, parent = await with_parent()
    asked = await wants_child(spec, parent)
    await spec.deliver([asked])
    unwanted = await wants_it_no_more(spec, parent)
    await spec.deliver([unwanted])
    spec.restart()
    await spec.deliver([unwanted, asked])
    assert len(await children(spec)) == 1
    assert await refusals(spec) == []


# --- slots and chains -------------------------------------------------------------------------------------------------


async def test_a_child_waits_for_its_slot_and_starts_once_it_is_free():
    spec, parent = await with_parent(settings={"concurrency": {"limit": 1}})
    other = await spec.begin("child")
    await spec.deliver([await wants_child(spec, parent)])
    [run] = await children(spec)
    assert run.waits is not None
    assert run.waits.holders == [other.run_id]
    await spec.ends(other)
    assert [(fact.trigger_id, fact.decision) for fact in await spec.logged(TriggerDecided)] == [
        ("n", "held"),
        ("n", "fired"),
    ]


async def test_a_child_that_would_overlap_is_refused_where_its_workflow_skips():
    spec, parent = await with_parent(settings={"concurrency": {"limit": 1, "on_conflict": "skip"}})
    other = await spec.begin("child")
    await spec.deliver([await wants_child(spec, parent)])
    [(code, message)] = await refusals(spec)
    assert (code, str(other.run_id) in message) == ("CONCURRENT_EXECUTION_CONFLICT", True)
    assert len(await spec.logged(SlotRefused)) == 1


@pytest.mark.parametrize("on_conflict", ["queue", "cancel_running"])
async def test_a_child_that_would_wait_for_its_own_parent_is_refused(on_conflict: str):
    spec = Spec()
    pool = {"concurrency": {"limit": 1, "pool": "gpu", "on_conflict": on_conflict}}
    await spec.workflow("parent", settings=pool)
    await spec.workflow("between")
    await spec.workflow("child", settings=pool)
    parent = await spec.begin("parent")
    await spec.deliver([await wants_child(spec, parent, "between")])
    [between] = await children(spec)
    await spec.deliver([await wants_child(spec, between)])
    [(code, message)] = await refusals(spec)
    assert code == "CONCURRENT_EXECUTION_CONFLICT"
    assert f"held by {parent.run_id}, which waits for this run itself" in message


async def test_the_key_of_a_childs_slot_may_look_at_its_input():
    concurrency = {"limit": 1, "key": "${input.customer}/${event.data.customer}/${run.labels.day}"}
    spec, parent = await with_parent(settings={"concurrency": concurrency})
    await spec.deliver([await wants_child(spec, parent, data={"customer": "acme"})])
    [run] = await children(spec)
    assert run.slot is not None
    assert run.slot.key == "acme/acme/mon"


async def test_a_key_that_cannot_be_found_refuses_the_child():
    spec, parent = await with_parent(settings={"concurrency": {"limit": 1, "key": "${input.customer}"}})
    await spec.deliver([await wants_child(spec, parent, data={})])
    [(code, message)] = await refusals(spec)
    assert (code, "concurrency.key" in message) == ("EXPRESSION_ERROR", True)


async def test_the_end_of_a_child_is_a_cause_as_that_of_any_run():
    spec, parent = await with_parent()
    await spec.workflow("after", on_upstreams("child"))
    await spec.deliver([await wants_child(spec, parent)])
    [run] = await children(spec)
    await spec.ends(run)
    after = (await spec.runs())[-1]
    assert (after.workflow_id, after.depth) == ("after", 3)
    assert after.chain is not None
    assert after.chain.workflow_ids == ["parent", "child"]


async def test_what_others_publish_under_these_names_is_an_event_like_any():
    spec, parent = await with_parent()
    await spec.workflow("w", on_event(event_type="ChildRunRequested"))
    await spec.deliver([inbox("e1", "ChildRunRequested", {"child_run_id": str(parent.run_id)})])
    assert [run.workflow_id for run in await spec.runs()] == ["parent", "w"]
