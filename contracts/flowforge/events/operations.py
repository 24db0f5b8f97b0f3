"""What people do to runs: in the run's stream, written by execution; the event's actor is who."""

from typing import Literal
from uuid import UUID

from flowforge.events.event import Event, Instance


class RunPaused(Event, kw_only=True, frozen=True):
    """Nothing new starts. Somebody asked for it, or the run stands before the breakpoints `before`."""

    reason: str = ""
    before: list[str] = []
    command_id: str = ""


class RunResumed(Event, kw_only=True, frozen=True):
    """The run goes on. `steps`: how many nodes may start before it halts again (a step), none: until the next breakpoint."""

    steps: int | None = None
    command_id: str = ""


class RunRetryRequested(Event, kw_only=True, frozen=True):
    """Somebody wants an ended run to go on: `cleared` are the nodes to be decided anew, with everything below them.

    Where the workflow has a `concurrency`, the run is `pending` until triggers admit it once more.
    """

    cleared: list[str]
    resumed: list[str] = []
    command_id: str = ""
    reason: str = ""


class RunRetried(Event, kw_only=True, frozen=True):
    """The run goes on as asked for: the cleared nodes are idle again, the others keep what they gave. Of the `resumed` maps,
    which are running again, the completed instances keep theirs, and the others are idle."""

    cleared: list[str]
    resumed: list[str] = []


class RunRetryRefused(Event, kw_only=True, frozen=True):
    """There is no slot for the run that was to go on, and none to wait for: it is as it was before: `status`."""

    status: str
    code: str
    message: str


class NodeDecidedByHand(Event, kw_only=True, frozen=True):
    """Somebody completed, failed or skipped the node; its ending follows. `job_id` is told to its worker."""

    node_id: str
    instance: Instance = ""
    action: Literal["complete", "fail", "skip"]
    attempt: int = 1
    job_id: UUID | None = None
    comment: str = ""
    command_id: str = ""


class RunChanged(Event, kw_only=True, frozen=True):
    """Somebody changed its priority, labels or breakpoints; what is None stays."""

    priority: int | None = None
    labels: dict[str, str] | None = None
    breakpoints: list[str] | None = None
    command_id: str = ""
