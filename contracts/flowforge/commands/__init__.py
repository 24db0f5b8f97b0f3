"""Orders, in the imperative: what the gateway asks the services to do. `Command.command_id` makes a repeat harmless.

A room per subject; who carries what out is told by `COMMANDS`.
"""

from flowforge.command import Command
from flowforge.commands.definitions import (
    UNPACKED_BYTES_MAX,
    AddTrigger,
    ArchiveWorkflow,
    ChangeTrigger,
    ChangeTriggers,
    CreateWorkflow,
    DeleteTemplate,
    InstantiateTemplate,
    ListTemplates,
    RemoveTrigger,
    RollbackWorkflow,
    SaveTemplate,
    SetTriggerConfigs,
    TriggerChange,
    UpdateWorkflow,
    ValidateWorkflow,
    definition_of,
    packed,
)
from flowforge.commands.looking import FindDeadLetter, FindRuns, RetryDeadLetter
from flowforge.commands.runs import (
    CancelRun,
    ChangeRun,
    DecideApproval,
    DecideNode,
    PauseRun,
    ReceiveCallback,
    ResumeRun,
    RetryRun,
)
from flowforge.commands.starting import (
    BackfillSchedule,
    CheckUpstreams,
    CountRejections,
    ExplainDecision,
    ForkRun,
    ReceiveEvents,
    ReceiveWebhook,
    RehearseTrigger,
    RequestRun,
    TryTrigger,
)
from flowforge.commands.stored import DeletePrompt, DeleteSecret, SavePrompt, SetSecret
from flowforge.people import PEOPLE_COMMANDS
from flowforge.subscribing import SUBSCRIPTION_COMMANDS

__all__ = [
    "AddTrigger", "ArchiveWorkflow", "BackfillSchedule", "COMMANDS", "CancelRun", "ChangeRun", "ChangeTrigger",
    "ChangeTriggers", "CheckUpstreams", "Command", "CountRejections", "CreateWorkflow", "DecideApproval", "DecideNode",
    "DeletePrompt", "DeleteSecret", "DeleteTemplate", "ExplainDecision", "FindDeadLetter", "FindRuns", "ForkRun",
    "InstantiateTemplate", "ListTemplates", "PauseRun", "ReceiveCallback", "ReceiveEvents", "ReceiveWebhook",
    "RehearseTrigger", "RemoveTrigger", "RequestRun", "ResumeRun", "RetryDeadLetter", "RetryRun", "RollbackWorkflow",
    "SavePrompt", "SaveTemplate", "SetSecret", "SetTriggerConfigs", "TriggerChange", "TryTrigger", "UNPACKED_BYTES_MAX",
    "UpdateWorkflow", "ValidateWorkflow", "definition_of", "packed",
]  # fmt: skip

COMMANDS: dict[str, tuple[str, type[Command]]] = {
    kind.__name__: (service, kind)
    for service, kinds in {
        "catalog": (
            CreateWorkflow,
            UpdateWorkflow,
            RollbackWorkflow,
            ArchiveWorkflow,
            AddTrigger,
            ChangeTrigger,
            RemoveTrigger,
            SetTriggerConfigs,
            ChangeTriggers,
            ValidateWorkflow,
            SaveTemplate,
            DeleteTemplate,
            InstantiateTemplate,
            ListTemplates,
            SetSecret,
            DeleteSecret,
            SavePrompt,
            DeletePrompt,
            *PEOPLE_COMMANDS,
        ),
        "triggers": (
            RequestRun,
            ForkRun,
            ReceiveEvents,
            ReceiveWebhook,
            CountRejections,
            TryTrigger,
            ExplainDecision,
            RehearseTrigger,
            CheckUpstreams,
        ),
        "scheduler": (BackfillSchedule,),
        "execution": (
            CancelRun,
            PauseRun,
            ResumeRun,
            RetryRun,
            DecideNode,
            ChangeRun,
            DecideApproval,
            ReceiveCallback,
        ),
        "projections": (FindDeadLetter, FindRuns),
        "subscriptions": SUBSCRIPTION_COMMANDS,
    }.items()
    for kind in kinds
}
"""Command name → the service that carries it out, and its struct. `RetryDeadLetter` names its service itself."""
