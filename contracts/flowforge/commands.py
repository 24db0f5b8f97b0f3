"""Orders, in the imperative: what the gateway asks the services to do. `Command.command_id` makes a repeat harmless."""

import base64
import zlib
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from flowforge.events import NULL, ForkedFrom
from flowforge.raw import ABSENT

UNPACKED_BYTES_MAX = 16 * 1024 * 1024


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything asked for. `command_id` is the same however often it is sent; `actor` is who asks."""

    command_id: str
    actor: str = ""


class CreateWorkflow(Command, kw_only=True, frozen=True):
    """To catalog. Answers `{id, version, position, warnings}`.

    A definition that is too large for the bus travels compressed: see `packed`.
    """

    definition: msgspec.Raw = NULL
    definition_packed: str = ""


class UpdateWorkflow(Command, kw_only=True, frozen=True):
    """To catalog: a new version; `expected_version` is what If-Match named."""

    workflow_id: str
    definition: msgspec.Raw = NULL
    definition_packed: str = ""
    expected_version: int | None = None


class RollbackWorkflow(Command, kw_only=True, frozen=True):
    """To catalog: a new version that repeats an old one."""

    workflow_id: str
    version: int
    expected_version: int | None = None


class ArchiveWorkflow(Command, kw_only=True, frozen=True):
    """To catalog."""

    workflow_id: str
    expected_version: int | None = None


class ValidateWorkflow(Command, kw_only=True, frozen=True):
    """To catalog: answers the report of interface.md 1.5, stores nothing."""

    definition: msgspec.Raw = NULL
    definition_packed: str = ""


class AddTrigger(Command, kw_only=True, frozen=True):
    """To catalog: a new version of the workflow with one trigger more. Answers as a save."""

    workflow_id: str
    trigger: msgspec.Raw
    expected_version: int | None = None


class ChangeTrigger(Command, kw_only=True, frozen=True):
    """To catalog: a new version with one trigger changed by a JSON merge patch (RFC 7396); its id stays."""

    workflow_id: str
    trigger_id: str
    patch: msgspec.Raw
    expected_version: int | None = None


class RemoveTrigger(Command, kw_only=True, frozen=True):
    """To catalog: a new version without the trigger."""

    workflow_id: str
    trigger_id: str
    expected_version: int | None = None


class SetTriggerConfigs(Command, kw_only=True, frozen=True):
    """To catalog: a new version with these job-type triggers, all six of them. Answers as a save, and `trigger_configs`."""

    workflow_id: str
    configs: msgspec.Raw = NULL
    expected_version: int | None = None


class TriggerChange(msgspec.Struct, frozen=True):
    """One trigger and the JSON merge patch for it."""

    workflow_id: str
    trigger_id: str
    patch: msgspec.Raw


class ChangeTriggers(Command, kw_only=True, frozen=True):
    """To catalog: all these changes, or none; one new version per workflow that changes.

    Answers `{items: [{id, version, position, warnings}], position}`, one item per workflow.
    """

    items: list[TriggerChange]


class SaveTemplate(Command, kw_only=True, frozen=True):
    """To catalog: a template of one's own, made of `definition`, or of a version (default the newest) of a workflow.

    With `is_new` its id must be free, without it must be taken. Answers `{id, version, position, warnings}`.
    """

    template_id: str
    is_new: bool = True
    name: str = ""
    description: str = ""
    category: str = ""
    definition: msgspec.Raw = NULL
    definition_packed: str = ""
    workflow_id: str | None = None
    workflow_version: int | None = None


class DeleteTemplate(Command, kw_only=True, frozen=True):
    """To catalog. Answers `{id, position}`."""

    template_id: str


class InstantiateTemplate(Command, kw_only=True, frozen=True):
    """To catalog: a new workflow made of a template. Answers as a save.

    `variables` are other defaults for the template's; `secrets` those of its webhook triggers, by trigger id. What is
    left out of the others is the template's.
    """

    template_id: str
    workflow_id: str
    name: str = ""
    description: str | None = None
    experiment_id: str | None = None
    tags: list[str] | None = None
    status: str | None = None
    variables: dict[str, msgspec.Raw] = {}
    secrets: dict[str, str] = {}


class ListTemplates(Command, kw_only=True, frozen=True):
    """To catalog: the ready-made templates, or the one of that id. Answers `{items}`, each with its definition."""

    template_id: str | None = None


class SetSecret(Command, kw_only=True, frozen=True):
    """To catalog: the secret that was kept, sealed, under `ref` is the one of this name from now on.

    Answers `{name, version, position}`; the value it has already is no new version. The value itself is in no command.
    """

    name: str
    ref: str


class DeleteSecret(Command, kw_only=True, frozen=True):
    """To catalog: there is no secret of this name any more. Answers as `SetSecret`."""

    name: str


class SavePrompt(Command, kw_only=True, frozen=True):
    """To catalog: a new version of a stored prompt, the first of a new id. Answers `{id, version, position, warnings}`.

    Without `may_be_new` its id must be taken; `expected_version` is what If-Match named. Without a name it has its id's.
    """

    prompt_id: str
    may_be_new: bool = True
    name: str = ""
    description: str = ""
    prompt: msgspec.Raw = NULL
    system: msgspec.Raw = NULL
    expected_version: int | None = None


class DeletePrompt(Command, kw_only=True, frozen=True):
    """To catalog. Answers `{id, position}`."""

    prompt_id: str


class RequestRun(Command, kw_only=True, frozen=True):
    """To triggers: execute, or with `trigger_id` fire that trigger by hand. Answers `{run_id, position}`.

    `override_running`: start beyond the limit of the workflow's `concurrency`. `from_node`: only that node and what lies
    below it runs, with `input_data` as its input. The run halts before each of `breakpoints`.
    """

    workflow_id: str
    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    version: int | None = None
    labels: dict[str, str] = {}
    priority: int = 0
    timeout_ms: int | None = None
    trigger_id: str | None = None
    override_running: bool = False
    from_node: str | None = None
    breakpoints: list[str] = []
    fork: ForkedFrom | None = None


class ForkRun(Command, kw_only=True, frozen=True):
    """To triggers: a new run from a past moment of another, `position` or `at`, or as that stands now. Answers
    `{run_id, position}`.

    What is left out is as it was: `input_data`, `version` (`is_newest`: the newest one), `labels`, `priority`,
    `breakpoints`; `variables` lie over those of the run. `node_outputs` are the outputs of nodes that are not to run, `rerun`
    are nodes that are to run anew. `is_shadow`: nothing is done outside; what came of it in the other run is taken instead.
    """

    run_id: str
    position: int | None = None
    at: datetime | None = None
    input_data: msgspec.Raw = ABSENT
    variables: dict[str, msgspec.Raw] = {}
    node_outputs: dict[str, msgspec.Raw] = {}
    rerun: list[str] = []
    version: int | None = None
    is_newest: bool = False
    labels: dict[str, str] | None = None
    priority: int | None = None
    breakpoints: list[str] | None = None
    override_running: bool = False
    is_shadow: bool = False


class TryTrigger(Command, kw_only=True, frozen=True):
    """To triggers: what this trigger would answer to this CloudEvent; stores nothing.

    Answers `{decision, reason, detail, input?}`. With `workflow_id` the workflow's status, variables and schema count.
    """

    trigger: msgspec.Raw
    event: msgspec.Raw
    workflow_id: str | None = None


class ExplainDecision(Command, kw_only=True, frozen=True):
    """To triggers: what a trigger answered to the event logged at `position`, evaluated anew; stores nothing.

    Answers `{decision: {trigger_version, decision, reason, detail} | null}`; null where the event does not concern it.
    """

    workflow_id: str
    trigger_id: str
    position: int


class RehearseTrigger(Command, kw_only=True, frozen=True):
    """To triggers: what this trigger would have answered to the events received in [since, until); stores nothing.

    Answers `{evaluated, would_fire, did_fire, items, next_position}`, at most `limit` items, newest first, below the
    position `before`.
    """

    trigger: msgspec.Raw
    workflow_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    before: int | None = None


class CheckUpstreams(Command, kw_only=True, frozen=True):
    """To triggers: what is to be said of a workflow's dependency triggers, or of these `upstreams`, and who depends on it.

    Answers `{warnings, dependents}`; stores nothing.
    """

    workflow_id: str
    upstreams: list[str] | None = None


class ReceiveEvents(Command, kw_only=True, frozen=True):
    """To triggers: CloudEvents that came by HTTP. Answers `{items, position}`.

    An item is `{id, source, event_id, position, duplicate, differs}`. What `differs` is a duplicate that says something
    else than the event that was logged first, which counts.
    """

    events: list[msgspec.Raw]


class ReceiveWebhook(Command, kw_only=True, frozen=True):
    """To triggers: a delivery whose signature was verified. Answers as for one event.

    `delivery_id` is its sender's name for it: the same one again is answered as the first and changes nothing.
    """

    workflow_id: str
    trigger_id: str
    delivery_id: str
    data: msgspec.Raw = NULL
    subject: str | None = None


class CountRejections(Command, kw_only=True, frozen=True):
    """To triggers: deliveries to one trigger that were turned away since the last count, by reason."""

    workflow_id: str
    trigger_id: str
    reasons: dict[str, int]


class BackfillSchedule(Command, kw_only=True, frozen=True):
    """To scheduler: fire the nominal times of a schedule in [since, until) that have not fired; `repeat` the others too.

    With `dry_run` nothing is logged. Answers what the times are, and how many of them fire: see README, "On a schedule".
    """

    workflow_id: str
    trigger_id: str
    since: datetime
    until: datetime | None = None
    repeat: bool = False
    dry_run: bool = False


class CancelRun(Command, kw_only=True, frozen=True):
    """To execution. Answers `{run_id, position}`."""

    run_id: str
    reason: str = ""


class PauseRun(Command, kw_only=True, frozen=True):
    """To execution: nothing new starts. Answers as `CancelRun`, so do the following."""

    run_id: str
    reason: str = ""


class ResumeRun(Command, kw_only=True, frozen=True):
    """To execution: a paused run goes on; with `steps`, until so many nodes have started."""

    run_id: str
    steps: int | None = None


class RetryRun(Command, kw_only=True, frozen=True):
    """To execution: an ended run goes on from its failed, cancelled and stopped nodes, or from `node_ids`."""

    run_id: str
    node_ids: list[str] = []
    reason: str = ""


class DecideNode(Command, kw_only=True, frozen=True):
    """To execution: complete (with `output`), fail (with `message`) or skip a node, or one instance of it, by hand."""

    run_id: str
    node_id: str
    action: Literal["complete", "fail", "skip"]
    instance: str = ""
    output: msgspec.Raw = NULL
    message: str = ""
    comment: str = ""


class ChangeRun(Command, kw_only=True, frozen=True):
    """To execution: another priority, labels or breakpoints; what is None stays."""

    run_id: str
    priority: int | None = None
    labels: dict[str, str] | None = None
    breakpoints: list[str] | None = None


class DecideApproval(Command, kw_only=True, frozen=True):
    """To execution: a person's decision. `role` and `actor` are who decides; only approvers (and admins) may.

    `approval_id` is `<run>:<node>:<attempt>`, or `<run>:<node>:<instance>:<attempt>`.
    """

    approval_id: str
    decision: Literal["approve", "reject"]
    comment: str = ""
    role: str = ""


class ReceiveCallback(Command, kw_only=True, frozen=True):
    """To execution: what was posted to the callback address of a waiting call; its token was verified."""

    run_id: str
    node_id: str
    instance: str = ""
    attempt: int
    data: msgspec.Raw = NULL


class RetryDeadLetter(Command, kw_only=True, frozen=True):
    """To the service that put the message aside: handle it once more. Answers `{id, service, position}`.

    `stream_id` is the stream of the dead letter. Refused until a message that was retried has failed again.
    """

    dead_letter_id: str
    service: str
    stream_id: UUID


class FindDeadLetter(Command, kw_only=True, frozen=True):
    """To projections: where a dead letter stands. Answers `{stream_id, service, status}`."""

    dead_letter_id: UUID


class FindRuns(Command, kw_only=True, frozen=True):
    """To projections: the newest runs that are like this, at most `limit`. Answers `{run_ids, unknown, has_more}`.

    A filter that is None asks for nothing; `labels` must all be there. `unknown` are those of `run_ids` that no run has.
    """

    workflow_id: str | None = None
    statuses: list[str] | None = None
    trigger_type: str | None = None
    labels: dict[str, str] = {}
    since: datetime | None = None
    until: datetime | None = None
    run_ids: list[UUID] | None = None
    limit: int


def packed(definition: bytes) -> str:
    """A definition compressed (zlib, base64), for `definition_packed`."""
    return base64.b64encode(zlib.compress(definition)).decode()


def definition_of(command: CreateWorkflow | UpdateWorkflow | ValidateWorkflow | SaveTemplate) -> msgspec.Raw:
    """The definition that a command carries, however it does. Raises ValueError for one that cannot be unpacked."""
    if not command.definition_packed:
        return command.definition
    unpacking = zlib.decompressobj()
    try:
        definition = unpacking.decompress(base64.b64decode(command.definition_packed), UNPACKED_BYTES_MAX)
    except zlib.error as fault:
        raise ValueError(f"the definition cannot be unpacked: {fault}") from fault
    if not unpacking.eof:
        raise ValueError(f"the definition is no whole one, or larger than {UNPACKED_BYTES_MAX} bytes")
    return msgspec.Raw(definition)


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
    }.items()
    for kind in kinds
}
"""Command name → the service that carries it out, and its struct. `RetryDeadLetter` names its service itself."""
