"""What events of FlowForge's own look like to expressions, wherever they are evaluated: their `data` (pure)."""

from typing import Any, Literal

import msgspec
from flowforge.events import (
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPartiallyCompleted,
    ScheduleFired,
    WorkflowTriggered,
)

Ending = RunCompleted | RunFailed | RunCancelled | RunPartiallyCompleted
EndStatus = Literal["completed", "failed", "cancelled", "partial"]
END_STATUS: dict[type[Ending], EndStatus] = {
    RunCompleted: "completed",
    RunFailed: "failed",
    RunCancelled: "cancelled",
    RunPartiallyCompleted: "partial",
}


def ended_data(run: WorkflowTriggered, ending: Ending) -> dict[str, Any]:
    """The end of a run: `{run_id, workflow_id, workflow_version, status, output, error, trigger, labels}`.

    One that ended `partial` has both an output and an error.
    """
    return {
        "run_id": run.run_id,
        "workflow_id": run.workflow_id,
        "workflow_version": run.workflow_version,
        "status": END_STATUS[type(ending)],
        "output": ending.output if isinstance(ending, RunCompleted | RunPartiallyCompleted) else None,
        "error": ending.error if isinstance(ending, RunFailed | RunPartiallyCompleted) else None,
        "trigger": run.trigger,
        "labels": run.labels,
    }


def scheduled_data(fired: ScheduleFired) -> dict[str, Any]:
    """A firing of a schedule: `{scheduled_at, previous_at, next_at}`."""
    return {name: getattr(fired, name) for name in ("scheduled_at", "previous_at", "next_at")}


def plain(data: object) -> Any:
    """As JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(data))
