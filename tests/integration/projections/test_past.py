"""Time travel tells what was read then: at every position of random histories, folded anew, what the live tables told."""

from random import Random
from typing import Any

import pytest
from flowforge.events import WorkflowCreated, WorkflowTriggered
from flowforge.identity import named_stream
from histories import START, new, raw
from httpx import AsyncClient

from infra.eventlog import Append, EventLog, StreamAppend
from tests.unit.execution.random_histories import Chances, RandomHistory
from tests.unit.execution.random_workflows import FLAGS, random_workflow

NOT_OF_THEN = {"as_of", "estimate", "estimated_time_remaining_ms", "waiting_for"}
"""Of now only: what others need, and how long it usually takes."""


def random_history(seed: int) -> tuple[dict[str, Any], RandomHistory]:
    """A run to its end, with failures, pauses and repeats, and perhaps a retry of it."""
    rng = Random(seed)
    definition = random_workflow(rng, 8)
    flags = {flag: rng.random() < 0.5 for flag in FLAGS}
    history = RandomHistory(definition, seed, Chances(failure=0.3, pause=0.1), flags, None)
    history.start()
    history.go_on()
    if history.retry():
        history.go_on()
    return definition, history


@pytest.mark.parametrize("seed", [4, 6, 25])
async def test_the_state_at_every_position_is_what_was_read_then(client: AsyncClient, log: EventLog, seed: int):
    definition, history = random_history(seed)
    saved = WorkflowCreated(workflow_id="wf", workflow_version=1, definition=raw(definition))
    workflow = StreamAppend("workflow", named_stream("workflow", "wf"), 0, new(saved))
    await log.append([Append([workflow], recorded_at=START, changes_definitions=True)])
    first = history.events[0][0]
    assert isinstance(first, WorkflowTriggered)
    path = f"/api/runs/{first.run_id}"
    seen: dict[int, Any] = {}
    for version, (event, at) in enumerate(history.events):
        stream = StreamAppend("run", first.run_id, version, new(event))
        await log.append([Append([stream], recorded_at=at)])
        position = (await log.head()).position
        answer = await client.get(path, params={"after": position})
        assert answer.status_code == 200, answer.text
        seen[position] = answer.json()
    assert len(seen) > 20, "the history is too short to tell anything"
    for position, then in seen.items():
        state = (await client.get(f"{path}/state", params={"at": position})).json()
        assert state["as_of"]["position"] == position
        for of_now in NOT_OF_THEN:
            state.pop(of_now, None)
            then.pop(of_now, None)
        assert state == then, f"seed {seed}, position {position}"
