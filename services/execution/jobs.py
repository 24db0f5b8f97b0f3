"""What workers hear: jobs on their queue, and the word to stop."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from flowforge.definition import PromptNode, ScriptNode, SqlNode, WebhookNode
from flowforge.envelope import CloudEvent, encode
from flowforge.events import NodeCancelled, NodeDecidedByHand, NodeFailed, NodeQueued, NodeRetried
from flowforge.raw import NULL
from flowforge.reports import JobRequested, JobResources
from flowforge.subjects import Subjects

from infra.bus import Outgoing
from infra.eventlog import StoredEvent
from infra.secrets.tokens import CallbackFor, CallbackTokens
from services.execution.state import Run

_encode = msgspec.json.Encoder().encode


class Callbacks(msgspec.Struct, frozen=True):
    """Where answers to calls are to be sent: below `url`, by a token for each call. Without `tokens` nowhere."""

    url: str
    tokens: CallbackTokens | None

    def address(self, call: CallbackFor) -> str:
        """The address for one attempt; empty where none can be made."""
        return "" if self.tokens is None else f"{self.url}/api/callbacks/{self.tokens.token(call)}"


NO_CALLBACKS = Callbacks("", None)


def job_message(
    run: Run,
    queued: NodeQueued,
    stored: StoredEvent,
    subjects: Subjects,
    callbacks: Callbacks = NO_CALLBACKS,
    again: str = "",
    traceparent: str | None = None,
) -> Outgoing:
    """The job of a queued attempt. `again` makes a repeat distinct, when the first copy is known to be lost, or what came of
    it.

    `traceparent`: of the attempt's own span, where one is recorded; else its event's.
    """
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
        resources=_resources(run, queued),
        callback_url=_callback_url(run, queued, callbacks),
        repeat=again,
    )
    body = encode(
        CloudEvent(
            id=str(stored.event_id),
            source=f"/{subjects.namespace}/run/{run.id}",
            type="JobRequested",
            time=stored.recorded_at,
            data=msgspec.Raw(_encode(job)),
            correlationid=None if stored.correlation_id is None else str(stored.correlation_id),
            traceparent=traceparent or stored.traceparent,
            position=stored.position,
        )
    )
    return Outgoing(subjects.job(queued.queue, queued.job_type), body, f"{queued.job_id}-{queued.attempt}{again}")


def stop_message(
    run: Run, event: NodeCancelled | NodeFailed | NodeRetried | NodeDecidedByHand, job_id: UUID, subjects: Subjects
) -> Outgoing:
    """Tell the worker, if one has it, that nobody waits for this attempt (or one before it) any more."""
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


def _callback_url(run: Run, queued: NodeQueued, callbacks: Callbacks) -> str:
    node = run.plan.all_nodes[queued.node_id].node
    if not isinstance(node, WebhookNode) or not node.wait_for_callback:
        return ""
    return callbacks.address(CallbackFor(run.id, queued.node_id, queued.instance, queued.attempt))


def _resources(run: Run, queued: NodeQueued) -> JobResources | None:
    wanted = run.plan.all_nodes[queued.node_id].node.resources
    return None if wanted is None else JobResources(slots=wanted.slots, memory_mb=wanted.memory_mb)


def _payload(run: Run, queued: NodeQueued) -> msgspec.Raw:
    node = run.plan.all_nodes[queued.node_id].node
    rendered = queued.payload if bytes(queued.payload) != bytes(NULL) else msgspec.Raw(b"{}")
    match node:
        case ScriptNode():
            limits = {"max_memory_mb": node.max_memory_mb, "max_file_mb": node.max_file_mb}
            fixed: dict[str, Any] = {
                "language": node.language,
                "source": node.source,
                "env": rendered,
                "isolation": node.isolation,
                "image": node.image,
                **limits,
            }
            return _object(fixed, {})
        case WebhookNode():
            fixed = {
                "method": node.method,
                "wait_for_callback": node.wait_for_callback,
                "expect_status": node.expect_status,
            }
        case SqlNode():
            fixed = {"connection": node.connection, "query": node.query, "max_rows": node.max_rows}
        case PromptNode():
            fixed = {
                "provider_model": node.provider_model,
                "prompt_id": node.prompt_id,
                "prompt_version": node.prompt_version,
                "response_schema": node.response_schema,
            }
        case _:
            return rendered
    return _object(fixed, msgspec.json.decode(rendered))


def _object(fixed: dict[str, Any], rendered: dict[str, Any]) -> msgspec.Raw:
    """What the definition says once and for all, without what it leaves out, and what was computed for this attempt."""
    return msgspec.Raw(_encode({name: value for name, value in fixed.items() if value is not None} | rendered))
