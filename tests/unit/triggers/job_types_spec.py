"""Jobs that end, and workflows that wait for such, before the trigger service."""

from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import JobEnded, NodeQueued, WorkflowTriggered
from flowforge.identity import part_uuid
from triggers_spec import Spec, inbox, own

from infra.bus import Message

JOB = "0190a0a0-1111-4222-8333-444444444444"


def on_job(job_type: str = "TRAIN", **options: Any) -> dict[str, Any]:
    """Fields of a workflow in the experiment `churn` that such jobs start."""
    config = {"trigger_type": job_type, "is_enabled": True, **options}
    return {"experiment_id": "churn", "trigger_configs": [config]}


def data(**changes: Any) -> dict[str, Any]:
    fields = {"job_id": JOB, "job_type": "TRAIN", "experiment_id": "churn", "status": "COMPLETE", "output": {"f1": 0.9}}
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def report(event_id: str = "e1", source: str = "/trainer", **changes: Any) -> Message:
    return inbox(event_id, "JobCompleted", data(**changes), source=source)


async def given(**workflows: dict[str, Any]) -> Spec:
    spec = Spec()
    for name, fields in workflows.items():
        await spec.workflow(name, **fields)
    return spec


async def begun(spec: Spec, workflow_id: str, node_id: str = "fit", **changes: Any) -> tuple[WorkflowTriggered, UUID]:
    """A run by hand, with a job handed out."""
    run = await spec.begin(workflow_id)
    return run, await handed_out(spec, run, node_id, **changes)


async def handed_out(spec: Spec, run: WorkflowTriggered, node_id: str = "fit", job_type: str = "TRAIN") -> UUID:
    job_id = part_uuid(run.run_id, "job", node_id, "")
    await spec.append("run", run.run_id, NodeQueued(node_id=node_id, job_id=job_id, job_type=job_type))
    return job_id


async def told(spec: Spec, run: WorkflowTriggered, **changes: Any) -> Message:
    """What execution says of the job's end."""
    node_id = changes.pop("node_id", "fit")
    fields: dict[str, Any] = {
        "node_id": node_id,
        "job_name": "Fit the model",
        "job_id": part_uuid(run.run_id, "job", node_id, ""),
        "job_type": "TRAIN",
        "workflow_id": run.workflow_id,
        "experiment_id": "churn",
        "status": "COMPLETE",
        "output": msgspec.Raw(b'{"f1":0.8}'),
    }
    stored = await spec.append("run", run.run_id, JobEnded(**{**fields, **changes}))
    return own(stored, f"ns.runs.{run.workflow_id}.{run.run_id}.JobEnded")


async def started(spec: Spec) -> list[str]:
    """The workflows that jobs have started, in order."""
    return [run.workflow_id for run in await spec.runs() if run.trigger.type not in ("manual", "event")]
