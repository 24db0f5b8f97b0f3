"""FlowForge: serve jobs (`Worker`), publish events, start and follow runs (`Client`), write workflows in Python.

What needs NATS or HTTP is imported when it is first asked for: the services import this package too, and start faster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowforge.definition import (
    ApprovalNode,
    Body,
    Branch,
    ChildNode,
    Concurrency,
    ConditionNode,
    DataTransformNode,
    DelayNode,
    DependencyConfig,
    DependencyTrigger,
    Edge,
    EndNode,
    EventConfig,
    EventTrigger,
    FireLimit,
    JobNode,
    LoopNode,
    ManualTrigger,
    MergeNode,
    ParallelNode,
    Port,
    PromptNode,
    Recovery,
    RetryPolicy,
    ScheduleConfig,
    ScheduleTrigger,
    ScriptNode,
    Settings,
    SqlNode,
    StartNode,
    Upstream,
    Variable,
    WaitEventNode,
    WebhookConfig,
    WebhookNode,
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
    "ApprovalNode",
    "Body",
    "Branch",
    "ChildNode",
    "Client",
    "Concurrency",
    "ConditionNode",
    "Conflict",
    "DataTransformNode",
    "DefinitionInvalid",
    "DelayNode",
    "DependencyConfig",
    "DependencyTrigger",
    "Edge",
    "EndNode",
    "ErrorCode",
    "EventConfig",
    "EventTrigger",
    "FireLimit",
    "FlowForgeError",
    "Forbidden",
    "Invalid",
    "Job",
    "JobError",
    "JobNode",
    "LoopNode",
    "ManualTrigger",
    "MergeNode",
    "Missing",
    "ParallelNode",
    "Port",
    "PromptNode",
    "Recovery",
    "Refused",
    "RetryPolicy",
    "Run",
    "SavedWorkflow",
    "ScheduleConfig",
    "ScheduleTrigger",
    "ScriptNode",
    "Settings",
    "SqlNode",
    "StartNode",
    "Step",
    "SyncClient",
    "TooLarge",
    "TooMany",
    "TriggerConfig",
    "Unauthorized",
    "Unreachable",
    "Upstream",
    "Variable",
    "WaitEventNode",
    "WebhookConfig",
    "WebhookNode",
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
