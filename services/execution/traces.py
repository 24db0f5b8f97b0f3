"""The spans of runs: one for the run, below it one per attempt of a node that took time, and one per step that was logged.

    run <workflow>          from its first event to its end; links to each event that it was started for
      node <id>             an attempt, from its queueing (or waiting) to its end; a worker's span is below it
      execution <message>   a step: decided and logged; a link to what brought it about. Not of reports of workers: between
                            the end of a job's span and that of its node there is nothing else

Ids derive from the run, so that every process, and one that takes a run up later, knows the same without asking. A run
whose trace is not recorded hands its `traceparent` on as it was given.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import msgspec
from flowforge.events import (
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeStarted,
    NodeWaiting,
    RunCancelled,
    RunCompleted,
    RunEvent,
    RunFailed,
    RunPartiallyCompleted,
    RunRetryRequested,
)
from flowforge.reports import REPORT_TYPES

from infra.bus import Message
from infra.causes import END_STATUS, Ending
from infra.eventlog import EventLog, StoredEvent, Unavailable
from infra.telemetry import Kind, TraceContext, Tracing, derived_span
from infra.telemetry.tracing import Attribute, new_span
from services.execution.settings import ATTEMPTS_TRACED_MAX, EVENT_TYPES_TRACED_MAX, RUNS_TRACED_MAX
from services.execution.state import Run

_ENDINGS = (RunCompleted, RunFailed, RunCancelled, RunPartiallyCompleted)
_NODE_ENDINGS = (NodeCompleted, NodeFailed, NodeCancelled, NodeRetried)
_STATUS = {NodeCompleted: "completed", NodeFailed: "failed", NodeCancelled: "cancelled", NodeRetried: "failed"}
Attempt = tuple[UUID, str, str, int]
_log = logging.getLogger(__name__)


class _Begun(msgspec.Struct, gc=False):
    at_ns: int
    job_type: str = ""
    worker: str = ""


class RunTraces:
    """Without `tracing`, what runs were given is handed on, and nothing else is done."""

    def __init__(self, log: EventLog, tracing: Tracing | None = None) -> None:
        self._log = log
        self._tracing = tracing
        self._known: OrderedDict[tuple[UUID, int], TraceContext | None] = OrderedDict()
        self._begun: OrderedDict[Attempt, _Begun] = OrderedDict()
        self._ending: set[asyncio.Task[None]] = set()

    def traceparent(self, run: Run) -> str | None:
        """What the events of the run are logged with: its own span, where one is recorded."""
        own = self._own(run)
        return run.traceparent if own is None else own.traceparent

    def of_attempt(self, run: Run, queued: NodeQueued) -> str | None:
        """The span of an attempt, below which its worker's is to be; None where none is recorded."""
        own = self._own(run)
        if own is None:
            return None
        return own.child(derived_span(run.id, queued.node_id, queued.instance, queued.attempt)).traceparent

    def logged(self, run: Run, cause: Message, events: Sequence[RunEvent], stored: Sequence[StoredEvent]) -> None:
        """A step of the run is in the log."""
        own = self._own(run)
        if own is None or self._tracing is None:
            return
        if cause.event.type not in REPORT_TYPES:
            self._step(self._tracing, own, cause, stored)
        for event, one in zip(events, stored, strict=True):
            self._noted(self._tracing, run, own, event, one)

    def _step(self, tracing: Tracing, own: TraceContext, cause: Message, stored: Sequence[StoredEvent]) -> None:
        link = tracing.followed(cause.event.traceparent)
        tracing.record(
            f"execution {cause.event.type}", own.child(new_span()), own,
            began_ns=_ns(stored[0].recorded_at), links=[link] if link is not None and link != own else (),
            attributes={
                "flowforge.position": stored[0].position,
                "flowforge.events": " ".join(one.type for one in stored[:EVENT_TYPES_TRACED_MAX]),
            },
        )  # fmt: skip

    def forget(self) -> None:
        """Another owner may have been here."""
        self._begun.clear()
        self._known.clear()

    def _own(self, run: Run) -> TraceContext | None:
        if self._tracing is None or run.traceparent is None:
            return None
        key = (run.id, run.asked_version)
        if key not in self._known:
            given = self._tracing.followed(run.traceparent)
            self._known[key] = None if given is None else given.child(derived_span(*key))
            if len(self._known) > RUNS_TRACED_MAX:
                self._known.popitem(last=False)
        return self._known[key]

    # --- attempts ----------------------------------------------------------------------------------------------------

    def _noted(self, tracing: Tracing, run: Run, own: TraceContext, event: RunEvent, stored: StoredEvent) -> None:
        if isinstance(event, NodeQueued | NodeWaiting):
            job_type = event.job_type if isinstance(event, NodeQueued) else ""
            key = (run.id, event.node_id, event.instance, event.attempt)
            begun = self._begins(key, stored)
            begun.job_type = job_type or begun.job_type
        elif isinstance(event, NodeStarted):
            begun = self._begun.get((run.id, event.node_id, event.instance, event.attempt))
            if begun is not None:
                begun.worker = event.worker
        elif isinstance(event, RunRetryRequested):
            self._begins((run.id, "", "", run.asked_version), stored)
        elif isinstance(event, _NODE_ENDINGS):
            self._node_ended(tracing, run, own, event, stored)
        elif isinstance(event, _ENDINGS):
            self._run_ended(tracing, run, own, event, stored)

    def _begins(self, key: Attempt, stored: StoredEvent) -> _Begun:
        begun = self._begun.setdefault(key, _Begun(_ns(stored.recorded_at)))
        if len(self._begun) > ATTEMPTS_TRACED_MAX:
            self._begun.popitem(last=False)
        return begun

    def _node_ended(
        self,
        tracing: Tracing,
        run: Run,
        own: TraceContext,
        event: NodeCompleted | NodeFailed | NodeCancelled | NodeRetried,
        stored: StoredEvent,
    ) -> None:
        attempt = event.attempt - 1 if isinstance(event, NodeRetried) else event.attempt
        begun = self._begun.pop((run.id, event.node_id, event.instance, attempt), None)
        if begun is None:  # it took no time, or its beginning was before this process
            return
        error = event.error if isinstance(event, NodeFailed | NodeRetried) else None
        attributes: dict[str, Attribute] = {
            "flowforge.run.id": str(run.id),
            "flowforge.node.id": event.node_id,
            "flowforge.node.attempt": attempt,
            "flowforge.node.status": _STATUS[type(event)],
        }
        named = {"instance": event.instance, "job_type": begun.job_type, "worker": begun.worker}
        attributes |= {f"flowforge.node.{name}": value for name, value in named.items() if value}
        tracing.record(
            f"node {event.node_id}", own.child(derived_span(run.id, event.node_id, event.instance, attempt)), own,
            began_ns=begun.at_ns, ended_ns=_ns(stored.recorded_at), attributes=attributes,
            kind=Kind.PRODUCER if begun.job_type else Kind.INTERNAL,
            error=None if error is None else str(error.code),
        )  # fmt: skip

    # --- the run -----------------------------------------------------------------------------------------------------

    def _run_ended(self, tracing: Tracing, run: Run, own: TraceContext, event: Ending, stored: StoredEvent) -> None:
        if not run.triggered.earlier:
            self._record(tracing, run, own, event, stored, ())
            return
        task = asyncio.create_task(self._record_joined(tracing, run, own, event, stored))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _record_joined(
        self, tracing: Tracing, run: Run, own: TraceContext, event: Ending, stored: StoredEvent
    ) -> None:
        """The events that it was started for may be of other traces: the log knows."""
        links: list[TraceContext] = []
        try:
            for cause in (*run.triggered.earlier, run.triggered.cause):
                history = await self._log.read_stream(cause.stream_id)
                found = next((one for one in history if one.event_id == cause.event_id), None)
                link = None if found is None else tracing.followed(found.traceparent)
                if link is not None:
                    links.append(link)
        except Unavailable as fault:
            _log.warning("the span of run %s has no links, the log does not answer: %s", run.id, fault)
        self._record(tracing, run, own, event, stored, links)

    def _record(
        self,
        tracing: Tracing,
        run: Run,
        own: TraceContext,
        event: Ending,
        stored: StoredEvent,
        links: Sequence[TraceContext],
    ) -> None:
        again = self._begun.pop((run.id, "", "", run.asked_version), None)
        self._known.pop((run.id, run.asked_version), None)
        tracing.record(
            f"run {run.plan.workflow_id}", own, tracing.followed(run.traceparent), links=links,
            began_ns=_caused_ns(run.id) if again is None else again.at_ns, ended_ns=_ns(stored.recorded_at),
            attributes={**_of_run(run), "flowforge.run.status": END_STATUS[type(event)]},
            error=str(event.error.code) if isinstance(event, RunFailed) else None,
        )  # fmt: skip


def _of_run(run: Run) -> Mapping[str, Attribute]:
    triggered = run.triggered
    return MappingProxyType(
        {
            "flowforge.run.id": str(run.id),
            "flowforge.workflow.id": run.plan.workflow_id,
            "flowforge.workflow.version": triggered.workflow_version,
            "flowforge.trigger.type": triggered.trigger.type,
            "flowforge.trigger.id": triggered.trigger.id,
            "flowforge.cause.type": triggered.cause.type,
            "flowforge.cause.id": triggered.cause.id,
        }
    )


def _caused_ns(run_id: UUID) -> int:
    """When the run's cause was recorded, as its id has it to the millisecond."""
    return (run_id.int >> 80) * 1_000_000


def _ns(at: datetime) -> int:
    """Nanoseconds since 1970."""
    return int(at.timestamp() * 1_000_000) * 1_000
