"""What workers hear: jobs on their queue, and the word to stop."""

from datetime import timedelta
from typing import Any

import msgspec
from flowforge.definition import ScriptNode
from flowforge.envelope import CloudEvent, encode
from flowforge.events import NodeCancelled, NodeFailed, NodeQueued, NodeRetried
from flowforge.raw import NULL
from flowforge.reports import JobRequested
from flowforge.subjects import Subjects

from infra.bus import Outgoing
from infra.eventlog import StoredEvent
from services.execution.state import Run

_encode = msgspec.json.Encoder().encode


def job_message(run: Run, queued: NodeQueued, stored: StoredEvent, subjects: Subjects, again: str = "") -> Outgoing:
    """The job of a queued attempt. `again` makes a repeat distinct, when the first copy is known to be lost."""
    assert queued.job_id is not None
    deadline = stored.recorded_at + timedelta(milliseconds=queued.deadline_ms) if queued.deadline_ms else None
    job = JobRequested(
        job_id=queued.job_id,
        job_type=queued.job_type,
        workflow_id=run.plan.workflow_id,
        run_id=run.id,
        node_id=queued.node_id,
        instance=queued.instance,
        attempt=queued.attempt,
        idempotency_key=str(queued.job_id),
        payload=_payload(run, queued),
        input=run.input_of(run.unit(queued.node_id, queued.instance)),
        deadline=deadline,
    )
    body = encode(
        CloudEvent(
            id=str(stored.event_id),
            source=f"/{subjects.namespace}/run/{run.id}",
            type="JobRequested",
            time=stored.recorded_at,
            data=msgspec.Raw(_encode(job)),
            correlationid=None if stored.correlation_id is None else str(stored.correlation_id),
            traceparent=stored.traceparent,
            position=stored.position,
        )
    )
    return Outgoing(subjects.job(queued.queue, queued.job_type), body, f"{queued.job_id}-{queued.attempt}{again}")


def stop_message(run: Run, event: NodeCancelled | NodeFailed | NodeRetried, subjects: Subjects) -> Outgoing:
    """Tell the worker, if one has it, that nobody waits for this attempt (or one before it) any more."""
    job_id = run.job_id(event.node_id, event.instance)
    attempt = event.attempt - 1 if isinstance(event, NodeRetried) else event.attempt
    body = encode(
        CloudEvent(
            id=f"{job_id}-{attempt}",
            source=f"/{subjects.namespace}/run/{run.id}",
            type="CancelJob",
            data=msgspec.Raw(_encode({"attempt": attempt})),
        )
    )
    return Outgoing(subjects.cancel(job_id), body, is_kept=False)


def _payload(run: Run, queued: NodeQueued) -> msgspec.Raw:
    node = run.plan.nodes[queued.node_id].node
    if not isinstance(node, ScriptNode):
        return queued.payload if bytes(queued.payload) != b"null" else msgspec.Raw(b"{}")
    script: dict[str, Any] = {"language": node.language, "source": node.source, "env": queued.payload}
    if bytes(queued.payload) == bytes(NULL):
        script["env"] = {}
    return msgspec.Raw(_encode(script))
