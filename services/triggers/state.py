"""What triggers remember of a workflow: its newest version and where its older ones stand (pure)."""

import re
from functools import lru_cache
from typing import Any, assert_never, cast

import msgspec
from flowforge.definition import (
    Concurrency,
    DependencyTrigger,
    EventTrigger,
    ManualTrigger,
    OnFailure,
    Trigger,
    TriggerFields,
    Variable,
    WebhookTrigger,
    WorkflowStatus,
)
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated
from flowforge.job_types import TRIGGER_IDS, TriggerConfig, TriggerType, normalised
from flowforge.raw import ABSENT, NULL

from services.triggers.settings import DEFINITIONS_CACHED_COUNT_MAX, SHARED_COUNT_MAX


class RunSettings(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The settings that count before a run starts, and after it has failed."""

    concurrency: Concurrency | None = None
    queue_timeout_ms: int | None = None
    on_failure: OnFailure | None = None


_NO_SETTINGS = RunSettings()


class JobTrigger(TriggerFields, tag="job_type", kw_only=True, frozen=True):
    """One of the six that every workflow has."""

    config: TriggerConfig


AnyTrigger = Trigger | JobTrigger


class Definition:
    """The parts of a definition that matter here, decoded from a version's text; triggers when first asked for."""

    __slots__ = (
        "_raw_triggers", "_triggers", "experiment_id", "id", "input_schema", "job_triggers", "settings", "status",
        "variables",
    )  # fmt: skip

    def __init__(self, text: bytes) -> None:
        """Raises msgspec.DecodeError."""
        decoded = _decoded.decode(text)
        self.id = decoded.id
        self.status: WorkflowStatus = decoded.status
        self.variables = decoded.variables
        self.input_schema = decoded.input_schema
        self.settings = decoded.settings
        self.experiment_id = decoded.experiment_id
        configs = () if decoded.trigger_configs is None else normalised(decoded.trigger_configs)
        self.job_triggers = [JobTrigger(id=one.trigger_id, config=one) for one in configs if one.is_enabled]
        self._raw_triggers = decoded.triggers
        self._triggers: list[Trigger] | None = None

    @property
    def triggers(self) -> list[Trigger]:
        """All of them. Raises msgspec.DecodeError the first time, which is at once where a version is made."""
        if self._triggers is None:
            self._triggers = _triggers.decode(self._raw_triggers)
        return self._triggers

    def trigger(self, trigger_id: str) -> AnyTrigger | None:
        """The trigger of that id; only this one is decoded where the others were not needed yet.

        Job-type triggers are always there, if only disabled.
        """
        own = self._own(trigger_id)
        return self._of_job_type(trigger_id) if own is None and trigger_id in TRIGGER_IDS else own

    def _own(self, trigger_id: str) -> Trigger | None:
        if self._triggers is not None:
            return next((trigger for trigger in self._triggers if trigger.id == trigger_id), None)
        for raw in _raws.decode(self._raw_triggers):
            if _named.decode(raw).id == trigger_id:
                return _trigger.decode(raw)
        return None

    def _of_job_type(self, trigger_id: str) -> JobTrigger:
        enabled = next((trigger for trigger in self.job_triggers if trigger.id == trigger_id), None)
        if enabled is not None:
            return enabled
        config = TriggerConfig(trigger_type=cast("TriggerType", TRIGGER_IDS[trigger_id]))
        return JobTrigger(id=trigger_id, enabled=False, config=config)


class Version(msgspec.Struct, frozen=True, gc=False):
    """One version of a workflow. `fault` says why it cannot be read, which is a bug or a newer FlowForge's work.

    `text`: its `Definition` as JSON. A million workflows are kept so, and only those that something happens to are
    decoded.
    """

    workflow_id: str
    number: int
    text: bytes
    fault: str = ""

    @property
    def definition(self) -> Definition:
        return _definition_of(self.text)

    @property
    def triggers(self) -> list[AnyTrigger]:
        """All that may start the workflow."""
        return [*self.definition.triggers, *self.definition.job_triggers]

    def trigger(self, trigger_id: str) -> AnyTrigger | None:
        """The trigger of that id."""
        return self.definition.trigger(trigger_id)

    @property
    def manual_trigger_id(self) -> str:
        """Under which trigger a run started by hand counts: the first that is enabled, else the one everybody has."""
        manual = (trigger for trigger in self.definition.triggers if isinstance(trigger, ManualTrigger))
        return next((trigger.id for trigger in manual if trigger.enabled), "manual")


class Workflow(msgspec.Struct, frozen=True, gc=False):
    """A workflow as of its last event.

    `trigger_versions`: trigger id → the workflow version in which the trigger became as it is; `shape_versions`: the same
    for triggers that remember, whose name, `enabled` and secrets do not count: what they hold outlives those.
    `stream_versions`: workflow version → version of the event in the workflow's stream.
    """

    newest: Version
    status: WorkflowStatus
    trigger_versions: dict[str, int]
    stream_versions: dict[int, int]
    shape_versions: dict[str, int] = {}

    @property
    def workflow_id(self) -> str:
        return self.newest.workflow_id

    @property
    def event_triggers(self) -> list[EventTrigger]:
        return [trigger for trigger in self.newest.definition.triggers if isinstance(trigger, EventTrigger)]

    @property
    def dependency_triggers(self) -> list[DependencyTrigger]:
        return [trigger for trigger in self.newest.definition.triggers if isinstance(trigger, DependencyTrigger)]


class _Kept(msgspec.Struct, omit_defaults=True, gc=False):
    """What is kept of a document, as it was written; of job-type triggers nothing where none is enabled."""

    id: str
    status: msgspec.Raw = ABSENT
    experiment_id: msgspec.Raw = ABSENT
    trigger_configs: msgspec.Raw = ABSENT
    variables: msgspec.Raw = ABSENT
    input_schema: msgspec.Raw = ABSENT
    settings: RunSettings = _NO_SETTINGS
    triggers: msgspec.Raw = ABSENT


class _Decoded(msgspec.Struct, gc=False):
    id: str
    status: WorkflowStatus = "active"
    experiment_id: str | None = None
    trigger_configs: Any = None
    variables: list[Variable] = []
    input_schema: dict[str, Any] | None = None
    settings: RunSettings = _NO_SETTINGS
    triggers: msgspec.Raw = msgspec.Raw(b"[]")


class _Named(msgspec.Struct, gc=False):
    id: str


_ENABLED = re.compile(rb'"is_enabled"\s*:\s*true')
_kept = msgspec.json.Decoder(_Kept)
_decoded = msgspec.json.Decoder(_Decoded)
_triggers: msgspec.json.Decoder[list[Trigger]] = msgspec.json.Decoder(list[Trigger])
_trigger: msgspec.json.Decoder[Trigger] = msgspec.json.Decoder(Trigger)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_named = msgspec.json.Decoder(_Named)
_encode = msgspec.json.encode


@lru_cache(maxsize=DEFINITIONS_CACHED_COUNT_MAX)
def _definition_of(text: bytes) -> Definition:
    return Definition(text)


def type_of(trigger: AnyTrigger) -> str:
    """The word in its `type`; of a job-type trigger the type of job."""
    if isinstance(trigger, JobTrigger):
        return trigger.config.trigger_type
    return cast("str", trigger.__struct_config__.tag)


def version_of(event: WorkflowCreated | WorkflowUpdated) -> Version:
    """The version that the event brought. Never fails: what cannot be read has no triggers and says why."""
    workflow_id, number = event.workflow_id, event.workflow_version
    at = "$"
    try:
        kept = _kept.decode(event.definition)
        if _ENABLED.search(kept.trigger_configs) is None:
            kept.trigger_configs = ABSENT
        if kept.experiment_id == NULL:
            kept.experiment_id = ABSENT
        version = Version(workflow_id, number, _encode(kept))
        definition, at = version.definition, "$.triggers"
        definition.triggers  # noqa: B018 - decoded, as they must be sometime
    except msgspec.DecodeError as problem:
        return empty_version(workflow_id, number, str(problem).replace("`$", f"`{at}", 1))
    return version


def empty_version(workflow_id: str, number: int, fault: str = "") -> Version:
    """One without triggers."""
    return Version(workflow_id, number, _encode(_Kept(workflow_id)), fault)


def evolve(workflow: Workflow | None, event: WorkflowEvent, stream_version: int) -> Workflow | None:
    """The workflow after one more event of its stream."""
    match event:
        case WorkflowCreated() | WorkflowUpdated():
            newest = version_of(event)
            older = {} if workflow is None else workflow.stream_versions
            return Workflow(
                newest=newest,
                status=newest.definition.status,
                trigger_versions=_trigger_versions(workflow, newest),
                stream_versions=_shared(tuple({**older, newest.number: stream_version}.items())),
                shape_versions=_shape_versions(workflow, newest),
            )
        case WorkflowArchived():
            return None if workflow is None else msgspec.structs.replace(workflow, status="archived")
        case _:
            assert_never(event)


def _trigger_versions(before: Workflow | None, newest: Version) -> dict[str, int]:
    known = {} if before is None else {trigger.id: trigger for trigger in before.newest.triggers}
    versions = {
        trigger.id: before.trigger_versions[trigger.id]
        if before is not None and known.get(trigger.id) == trigger
        else newest.number
        for trigger in newest.triggers
    }
    return _shared(tuple(versions.items()))


def _shape_versions(before: Workflow | None, newest: Version) -> dict[str, int]:
    remembering = [trigger for trigger in newest.definition.triggers if remembers(trigger)]
    if not remembering:
        return _NONE
    known = {} if before is None else {trigger.id: trigger for trigger in before.newest.definition.triggers}
    versions: dict[str, int] = {}
    for trigger in remembering:
        older = known.get(trigger.id)
        is_same = before is not None and older is not None and _shape(older) == _shape(trigger)
        versions[trigger.id] = before.shape_versions[trigger.id] if is_same and before is not None else newest.number
    return _shared(tuple(versions.items()))


def _shape(trigger: Trigger) -> Trigger:
    if isinstance(trigger, WebhookTrigger):
        config = msgspec.structs.replace(trigger.config, secret_refs=[])
        trigger = msgspec.structs.replace(trigger, config=config)
    return msgspec.structs.replace(trigger, enabled=True, name="")


def remembers(trigger: Trigger) -> bool:
    """Whether the answer to one cause depends on others, or on time."""
    if trigger.delay_ms is not None or trigger.debounce_ms is not None or trigger.limit is not None:
        return True
    match trigger:
        case EventTrigger():
            return trigger.config.batch is not None or trigger.config.absent_for_ms is not None
        case DependencyTrigger():
            return trigger.config.logic == "all"
        case _:
            return False


_NONE: dict[str, int] = {}


@lru_cache(maxsize=SHARED_COUNT_MAX)
def _shared(items: tuple[tuple[Any, int], ...]) -> dict[Any, int]:
    """Most workflows have few versions and triggers of the same names: one dictionary for all of them, never changed."""
    return dict(items)
