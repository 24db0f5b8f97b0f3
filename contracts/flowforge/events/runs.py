"""The life of a run: stream type `run`; version 1 by triggers, the rest by execution."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.errors import RunError
from flowforge.events.event import Event, Instance
from flowforge.events.slots import SlotPlace, SlotWait
from flowforge.events.triggering import Cause, Chain, ForkedFrom, TriggerRef
from flowforge.raw import NULL


class WorkflowTriggered(Event, kw_only=True, frozen=True):
    """A trigger fired: the first event of a run, and the recorded decision `fired`. `depth` counts causes before it.

    `earlier` are the causes that it consumed besides its own, which came last.
    With `waits` the run is there and may not start: the decision is `held`, and another one follows in the slot's stream.
    `slot`: of a workflow with `concurrency`, the slots of which the run has one (`waits` names them, where it waits).
    A child's parent waits for it at `parent_node_id`. With `from_node` only that node and what lies below it runs.
    The run halts before each of its `breakpoints`. With `fork` it begins where another run stood at a moment.
    """

    run_id: UUID
    workflow_id: str
    workflow_version: int
    trigger: TriggerRef
    trigger_version: int
    cause: Cause
    consumed: list[UUID] = []
    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    labels: dict[str, str] = {}
    priority: int = 0
    depth: int = 1
    timeout_ms: int | None = None
    parent_run_id: UUID | None = None
    chain: Chain | None = None
    earlier: list[Cause] = []
    waits: SlotWait | None = None
    parent_node_id: str = ""
    parent_instance: Instance = ""
    from_node: str | None = None
    breakpoints: list[str] = []
    slot: SlotPlace | None = None
    fork: ForkedFrom | None = None

    @property
    def is_shadow(self) -> bool:
        """Whether what its nodes would do outside is taken from history: it is nobody's cause, and takes no slot."""
        return self.fork is not None and self.fork.shadow_version is not None


class RunQueued(Event, kw_only=True, frozen=True):
    """Execution took note of a run that waits for a slot, as triggers decided."""

    reason: Literal["concurrency"] = "concurrency"
    waits: SlotWait


class RunStarted(Event, kw_only=True, frozen=True):
    """Execution took the run up."""

    total_nodes: int


TimerPurpose = Literal["retry", "node_timeout", "run_timeout", "queue_timeout", "wait", "sla", "go_on"]
"""`wait` is whatever a `NodeWaiting` has as `due_at`; `go_on`: there was more to do than one step of the run may hold."""


class TimerSet(Event, kw_only=True, frozen=True):
    """Something is due at `due_at`; the scheduler fires it."""

    timer_id: UUID
    due_at: datetime
    purpose: TimerPurpose
    node_id: str = ""
    instance: Instance = ""
    attempt: int = 0


class RunCancelRequested(Event, kw_only=True, frozen=True):
    """Somebody asked to end the run; running jobs are told, cleanup nodes still run."""

    reason: str = ""
    command_id: str = ""


class RunFailing(Event, kw_only=True, frozen=True):
    """The first failure that counts under fail_fast (or the run's timeout): nothing new starts but what exists for failure."""

    error: RunError


class RunCompleted(Event, kw_only=True, frozen=True):
    """The run ended well."""

    output: msgspec.Raw = NULL


class RunFailed(Event, kw_only=True, frozen=True):
    """The run ended, and it failed."""

    error: RunError


class RunCancelled(Event, kw_only=True, frozen=True):
    """The run ended because somebody asked for it."""

    reason: str = ""


class RunPartiallyCompleted(Event, kw_only=True, frozen=True):
    """The run ended; nodes failed, and its `recovery` settings let the others count (status `partial`)."""

    output: msgspec.Raw = NULL
    error: RunError


class RunSlaMissed(Event, kw_only=True, frozen=True):
    """The run takes longer than its workflow's `sla_ms`; it goes on."""

    sla_ms: int
    under_way: list[str] = []


class RecoveryTaken(Event, kw_only=True, frozen=True):
    """A `recovery` setting decided what became of a failure."""

    action: Literal["continue", "retry", "skip_branch", "partial"]
    node_id: str = ""
    instance: Instance = ""
    detail: str = ""
