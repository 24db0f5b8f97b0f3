"""Runs that go on from a past moment of another: what they are started as, once however often they are asked for."""

from typing import Any
from uuid import UUID

import pytest
from flowforge.events import ForkedFrom, RunRequested, WorkflowTriggered
from triggers_spec import Spec, plain

LATER = "2999-01-01T00:00:00Z"


@pytest.fixture
def spec() -> Spec:
    return Spec()


async def forked(spec: Spec, run: WorkflowTriggered, name: str = "f", **changes: Any) -> WorkflowTriggered:
    answer = await spec.command("ForkRun", command_id=name, actor="ada", run_id=str(run.run_id), **changes)
    assert "ok" in answer, answer
    return next(one for one in await spec.runs() if str(one.run_id) == answer["ok"]["run_id"])


async def test_what_is_not_changed_is_as_it_was(spec: Spec):
    await spec.workflow("w", variables=[{"name": n, "type": "number", "default_value": 1} for n in "ab"])
    run = await spec.begin("w", input_data={"n": 1}, variables={"a": 2}, labels={"x": "y"}, priority=4, timeout_ms=9)
    position = (await spec.log.head()).position
    fork = await forked(spec, run, variables={"b": 3})
    assert fork.fork == ForkedFrom(run_id=run.run_id, version=1, position=position)
    assert (plain(fork.input_data), fork.labels, fork.priority, fork.timeout_ms) == ({"n": 1}, {"x": "y"}, 4, 9)
    assert {name: plain(value) for name, value in fork.variables.items()} == {"a": 2, "b": 3}
    assert (fork.trigger.type, fork.trigger.id, fork.parent_run_id) == ("fork", str(run.run_id), None)
    [*_, asked] = await spec.logged(RunRequested)
    assert asked.fork == fork.fork


async def test_it_keeps_its_version_unless_another_is_named(spec: Spec):
    await spec.workflow("w")
    run = await spec.begin("w")
    await spec.workflow("w", name="other")
    assert (await forked(spec, run)).workflow_version == 1
    assert (await forked(spec, run, "g", is_newest=True)).workflow_version == 2
    assert (await forked(spec, run, "h", version=2)).workflow_version == 2


async def test_the_same_command_again_gets_the_same_answer_from_a_new_owner(spec: Spec):
    await spec.workflow("w")
    run = await spec.begin("w")
    asked = {"command_id": "f", "run_id": str(run.run_id)}
    first = await spec.command("ForkRun", **asked)
    await spec.ends(run)
    await spec.archived("w")
    spec.restart()
    assert await spec.command("ForkRun", **asked) == first
    assert len(await spec.logged(RunRequested)) == 2


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"position": 1}, 422, "was not there yet"),
        ({"position": 10**9}, 422, "beyond the end of this log"),
        ({"at": LATER}, 422, "lies in the future"),
        ({"node_outputs": {"ghost": 1}}, 422, "there is no node 'ghost'"),
        ({"rerun": ["ghost"]}, 422, "there is no node 'ghost'"),
        ({"node_outputs": {"start": "x" * 300_000}}, 413, "at most"),
        ({"version": 9}, 404, "'9'"),
        ({"run_id": str(UUID(int=7))}, 404, "there is no run"),
        ({"run_id": "none"}, 404, "there is no run"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_not_logged(spec: Spec, changes: Any, status: int, told: str):
    await spec.workflow("w", nodes=[{"id": "start", "type": "start"}])
    run = await spec.begin("w")
    head = await spec.log.head()
    answer = await spec.command("ForkRun", **{"command_id": "f", "run_id": str(run.run_id)} | changes)
    assert (answer["refused"]["status"], told in str(answer["refused"])) == (status, True), answer
    assert await spec.log.head() == head


async def test_a_shadow_takes_no_slot_and_a_fork_waits_for_one(spec: Spec):
    await spec.workflow("w", settings={"concurrency": {"limit": 1}})
    run = await spec.begin("w")
    assert (await forked(spec, run)).waits is not None
    shadow = await forked(spec, run, "g", is_shadow=True)
    assert (shadow.waits, shadow.slot, shadow.is_shadow) == (None, None, True)
