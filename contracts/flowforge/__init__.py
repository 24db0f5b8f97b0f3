"""FlowForge: serve jobs (`Worker`), publish events, start and follow runs (`Client`), write workflows in Python.

What needs NATS or HTTP is imported when it is first asked for: the services import this package too, and start faster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowforge.definition import (
    DataTransformNode,
    Edge,
    EndNode,
    EventConfig,
    EventTrigger,
    JobNode,
    ManualTrigger,
    Port,
    RetryPolicy,
    ScriptNode,
    Settings,
    StartNode,
    Variable,
    WebhookConfig,
    WebhookTrigger,
    Workflow,
)
from flowforge.errors import (
    Conflict,
    DefinitionInvalid,
    ErrorCode,
    FlowForgeError,
    Forbidden,
    Invalid,
    JobError,
    Missing,
    Refused,
    TooLarge,
    TooMany,
    Unauthorized,
    Unreachable,
)
from flowforge.job_types import TriggerConfig

if TYPE_CHECKING:
    from flowforge.building import Step, WorkflowBuilder
    from flowforge.client import Client, SyncClient
    from flowforge.job import Job
    from flowforge.views import Run, SavedWorkflow
    from flowforge.worker import Worker

__all__ = [
    "Client",
    "Conflict",
    "DataTransformNode",
    "DefinitionInvalid",
    "Edge",
    "EndNode",
    "ErrorCode",
    "EventConfig",
    "EventTrigger",
    "FlowForgeError",
    "Forbidden",
    "Invalid",
    "Job",
    "JobError",
    "JobNode",
    "ManualTrigger",
    "Missing",
    "Port",
    "Refused",
    "RetryPolicy",
    "Run",
    "SavedWorkflow",
    "ScriptNode",
    "Settings",
    "StartNode",
    "Step",
    "SyncClient",
    "TooLarge",
    "TooMany",
    "TriggerConfig",
    "Unauthorized",
    "Unreachable",
    "Variable",
    "WebhookConfig",
    "WebhookTrigger",
    "Worker",
    "Workflow",
    "WorkflowBuilder",
]

_ON_DEMAND = {
    "Client": "flowforge.client",
    "Job": "flowforge.job",
    "Run": "flowforge.views",
    "SavedWorkflow": "flowforge.views",
    "Step": "flowforge.building",
    "SyncClient": "flowforge.client",
    "Worker": "flowforge.worker",
    "WorkflowBuilder": "flowforge.building",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'flowforge' has no attribute '{name}'")
    return getattr(import_module(_ON_DEMAND[name]), name)
