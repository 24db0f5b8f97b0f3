"""What runs say to triggers, as execution would log it: a child asked for or wanted no more, a retry."""

import json
from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import (
    ChildCancelRequested,
    ChildRunRequested,
    RunEvent,
    RunRetryRequested,
    WorkflowTriggered,
)
from flowforge.events import encode as encode_event
from flowforge.identity import part_uuid
from triggers_spec import Spec, own

from infra.bus import Message
from infra.eventlog import Append, Appended, NewEvent, StreamAppend


async def said(spec: Spec, run: WorkflowTriggered, fact: RunEvent, actor: str | None = None) -> Message:
    """One more event of the run, as it is heard."""
    version = len(await spec.log.read_stream(run.run_id))
    stream = StreamAppend("run", run.run_id, version, [NewEvent(type(fact).__name__, encode_event(fact))])
    [answer] = await spec.log.append([Append([stream], spec.now, actor=actor)])
    assert isinstance(answer, Appended)
    stored = (await spec.log.read_stream(run.run_id))[-1]
    return own(stored, f"ns.runs.{run.workflow_id}.{run.run_id}.{stored.type}")


def child_id(run: WorkflowTriggered, node_id: str = "n", instance: str = "") -> UUID:
    return part_uuid(run.run_id, "child", node_id, instance)


async def wants_child(
    spec: Spec,
    run: WorkflowTriggered,
    workflow_id: str = "child",
    data: Any = None,
    *,
    node_id: str = "n",
    instance: str = "",
    version: int | None = None,
) -> Message:
    """A node of the run asks for a child."""
    fact = ChildRunRequested(
        node_id=node_id,
        instance=instance,
        child_run_id=child_id(run, node_id, instance),
        workflow_id=workflow_id,
        version=version,
        input=msgspec.Raw(json.dumps(data).encode()),
    )
    return await said(spec, run, fact)


async def wants_it_no_more(spec: Spec, run: WorkflowTriggered, reason: str = "enough") -> Message:
    """Nobody waits for the child of node `n` any more."""
    fact = ChildCancelRequested(node_id="n", child_run_id=child_id(run), reason=reason)
    return await said(spec, run, fact)


async def is_retried(spec: Spec, run: WorkflowTriggered, actor: str | None = "ada") -> Message:
    """Somebody wants the run, which ended, to go on."""
    return await said(spec, run, RunRetryRequested(cleared=["n"]), actor)
