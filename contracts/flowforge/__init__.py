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
from flowforge.errors import DefinitionInvalid, ErrorCode, FlowForgeError, JobError, Refused, Unreachable
from flowforge.job_types import TriggerConfig

if TYPE_CHECKING:
    from flowforge.client import Client
    from flowforge.job import Job
    from flowforge.worker import Worker

__all__ = [
    "Client",
    "DataTransformNode",
    "DefinitionInvalid",
    "Edge",
    "EndNode",
    "ErrorCode",
    "EventConfig",
    "EventTrigger",
    "FlowForgeError",
    "Job",
    "JobError",
    "JobNode",
    "ManualTrigger",
    "Port",
    "Refused",
    "RetryPolicy",
    "ScriptNode",
    "Settings",
    "StartNode",
    "TriggerConfig",
    "Unreachable",
    "Variable",
    "WebhookConfig",
    "WebhookTrigger",
    "Worker",
    "Workflow",
]

_ON_DEMAND = {"Client": "flowforge.client", "Job": "flowforge.job", "Worker": "flowforge.worker"}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'flowforge' has no attribute '{name}'")
    return getattr(import_module(_ON_DEMAND[name]), name)
