"""What nodes wait for, and what came of it: in the run's stream, written by execution."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.errors import RunError
from flowforge.events.event import Event, Instance
from flowforge.raw import ABSENT, NULL


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="for"):
    """What a node waits for. At `due_at` a timer ends what waits for time, and what has waited too long."""

    due_at: datetime | None = None


class TimerWait(Wait, tag="timer", kw_only=True, frozen=True):
    """For an instant."""


class EventWait(Wait, tag="event", kw_only=True, frozen=True):
    """For an event that is received after this one was logged. `filter` is CEL."""

    event_type: str
    source: str = "*"
    filter: str | None = None


class ApprovalWait(Wait, tag="approval", kw_only=True, frozen=True):
    """For a person. `approvers`: names of users; none is anybody who may approve."""

    approval_id: str
    message: str = ""
    approvers: list[str] = []


class CallbackWait(Wait, tag="callback", kw_only=True, frozen=True):
    """For a request to the callback address that the call was given."""


class ChildWait(Wait, tag="child", kw_only=True, frozen=True):
    """For the end of another run."""

    child_run_id: UUID
    workflow_id: str


class PoolWait(Wait, tag="pool", kw_only=True, frozen=True):
    """For a place under a limit: a pool of the workflows, or one of the system (`queue:<name>`, `user:<name>`, `jobs`)."""

    pool: str
    limit: int


class BreakerWait(Wait, tag="breaker", kw_only=True, frozen=True):
    """For a circuit breaker to close, or to let this attempt through as a trial."""

    breaker: str


AnyWait = TimerWait | EventWait | ApprovalWait | CallbackWait | ChildWait | PoolWait | BreakerWait


class NodeWaiting(Event, kw_only=True, frozen=True):
    """The node (or instance) waits, and holds no worker."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    wait: AnyWait
    input: msgspec.Raw = ABSENT
    input_from: str | None = None


class EventMatched(Event, kw_only=True, frozen=True):
    """The event that a node waited for came while the run was paused: the node completes with it when the run goes on."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    event: msgspec.Raw


class ApprovalDecided(Event, kw_only=True, frozen=True):
    """Somebody decided (the event's actor is who), or the time was over (no actor)."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    approval_id: str
    decision: Literal["approve", "reject"]
    comment: str = ""
    command_id: str = ""


class CallbackReceived(Event, kw_only=True, frozen=True):
    """The callback address of a waiting call was posted to; another time is refused."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    data: msgspec.Raw = NULL
    command_id: str = ""


class ChildRunRequested(Event, kw_only=True, frozen=True):
    """A node asks for a run of another workflow; triggers answer with that run, or with `ChildRunRefused`."""

    node_id: str
    instance: Instance = ""
    attempt: int = 1
    child_run_id: UUID
    workflow_id: str
    version: int | None = None
    input: msgspec.Raw = NULL


class ChildCancelRequested(Event, kw_only=True, frozen=True):
    """Nobody waits for the child any more: it is to be cancelled."""

    node_id: str
    instance: Instance = ""
    child_run_id: UUID
    reason: str = ""


class ChildRunEnded(Event, kw_only=True, frozen=True):
    """In the child's stream, behind its ending: what its parent has waited for."""

    parent_run_id: UUID
    node_id: str
    instance: Instance = ""
    status: Literal["completed", "failed", "cancelled", "partial"]
    output: msgspec.Raw = NULL
    error: RunError | None = None


class ChildRunRefused(Event, kw_only=True, frozen=True):
    """In a stream of its own (type `child`, the child run's id), by triggers: the child will not start."""

    parent_run_id: UUID
    parent_workflow_id: str = ""
    node_id: str
    instance: Instance = ""
    child_run_id: UUID
    code: str
    message: str
