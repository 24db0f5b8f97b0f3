"""Histories of runs for tests: what triggers and execution would have logged."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from flowforge.errors import RunError
from flowforge.events import (
    Cause,
    Event,
    EventReceived,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeSkipped,
    NodeStarted,
    RunCompleted,
    RunFailed,
    RunStarted,
    TriggerRef,
    WorkflowCreated,
    WorkflowTriggered,
    encode,
)
from flowforge.identity import derived_uuid, event_id, named_stream

from infra.eventlog import Append, EventLog, NewEvent, StreamAppend

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def new(*events: Event) -> list[NewEvent]:
    return [NewEvent(type(event).__name__, encode(event)) for event in events]


class Clock:
    """One millisecond later each time."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


def definition(workflow_id: str = "chain", nodes: tuple[str, ...] = ("a", "b", "c")) -> dict[str, object]:
    edges = [{"source_node_id": one, "target_node_id": two} for one, two in pairwise(nodes)]
    return {
        "id": workflow_id,
        "name": workflow_id.title(),
        "description": "",
        "experiment_id": None,
        "tags": ["test"],
        "status": "active",
        "variables": [{"name": "region", "default_value": "eu"}],
        "nodes": [{"id": node, "type": "job", "job_type": "work"} for node in nodes],
        "edges": edges,
        "triggers": [
            {"id": "on-order", "name": "", "enabled": True, "type": "event", "config": {"event_type": "order"}}
        ],
    }


def created(workflow_id: str = "chain", at: datetime = START, nodes: tuple[str, ...] = ("a", "b", "c")) -> Append:
    event = WorkflowCreated(workflow_id=workflow_id, workflow_version=1, definition=raw(definition(workflow_id, nodes)))
    stream = StreamAppend("workflow", named_stream("workflow", workflow_id), 0, new(event))
    return Append([stream], recorded_at=at, actor="ada", changes_definitions=True)


def received(number: int, at: datetime) -> tuple[Append, Cause]:
    """An event from outside, and the cause that it is."""
    event = EventReceived(id=f"order-{number}", source="/shop", type="order", data=raw({"number": number}))
    stream_id = derived_uuid(at, "cause", "/shop", event.id)
    cause = Cause(event_id=event_id(stream_id, 1, at), type="order", id=event.id, source="/shop", stream_id=stream_id)
    return Append([StreamAppend("cause", stream_id, 0, new(event))], recorded_at=at), cause


def triggered(cause: Cause, at: datetime, workflow_id: str = "chain", **fields: object) -> WorkflowTriggered:
    return WorkflowTriggered(
        run_id=derived_uuid(at, "run", workflow_id, cause.id),
        workflow_id=workflow_id,
        workflow_version=1,
        trigger=TriggerRef("event", "on-order"),
        trigger_version=1,
        cause=cause,
        **{"input_data": raw({"order": cause.id}), **fields},  # type: ignore[arg-type]
    )


def job_id(run_id: UUID, node_id: str) -> UUID:
    return derived_uuid(START, "job", run_id, node_id)


def node_events(run_id: UUID, node_id: str, input_from: str) -> list[Event]:
    return [
        NodeQueued(
            node_id=node_id, job_id=job_id(run_id, node_id), job_type="work", queue="default", input_from=input_from
        ),
        NodeStarted(node_id=node_id, worker="w1"),
        NodeCompleted(node_id=node_id, output=raw({"by": node_id})),
    ]


def chain_events(run_id: UUID, nodes: tuple[str, ...] = ("a", "b", "c")) -> list[Event]:
    """All events of a run after its first."""
    events: list[Event] = [RunStarted(total_nodes=len(nodes))]
    before = ""
    for node in nodes:
        events += node_events(run_id, node, before)
        before = node
    return [*events, RunCompleted(output=raw({"by": before}))]


def failing_events(run_id: UUID) -> list[Event]:
    error = RunError(code="NODE_EXECUTION_FAILED", message="no", affected_nodes=["b"])
    return [
        RunStarted(total_nodes=3),
        *node_events(run_id, "a", ""),
        *node_events(run_id, "b", "a")[:2],
        NodeFailed(node_id="b", error=error),
        NodeSkipped(node_id="c", reason="upstream_failed"),
        RunFailed(error=error),
    ]


async def append_chain_run(log: EventLog, clock: Clock, number: int, *, fails: bool = False, **fields: Any) -> UUID:
    """Log an event from outside and the whole run it started; the run's id."""
    group, cause = received(number, clock())
    first = triggered(cause, clock(), **fields)
    rest = failing_events(first.run_id) if fails else chain_events(first.run_id)
    await log.append([group])
    for version, event in enumerate((first, *rest)):
        stream = StreamAppend("run", first.run_id, version, new(event))
        await log.append([Append([stream], recorded_at=clock(), causation_id=cause.event_id)])
    return first.run_id


async def append_chain_runs(log: EventLog, clock: Clock, numbers: range) -> list[UUID]:
    """The same for many runs, in few appends, the events of the runs mixed as they are under load."""
    causes = [received(number, clock()) for number in numbers]
    await log.append([group for group, _ in causes])
    firsts = [triggered(cause, clock()) for _, cause in causes]
    streams = [(first.run_id, new(first, *chain_events(first.run_id))) for first in firsts]
    done = 0
    for step in (2, 2, 3, 3, 2):
        at = clock()
        await log.append(
            [
                Append([StreamAppend("run", run, done, events[done : done + step])], recorded_at=at)
                for run, events in streams
            ]
        )
        done += step
    assert all(done == len(events) for _, events in streams)
    return [first.run_id for first in firsts]
