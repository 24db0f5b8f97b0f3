"""What triggers remember of a workflow: its newest version and where its older ones stand (pure)."""

from functools import lru_cache
from typing import Any, assert_never, cast

import msgspec
from flowforge.definition import (
    Concurrency,
    DependencyTrigger,
    EventTrigger,
    ManualTrigger,
    Trigger,
    Variable,
    WorkflowStatus,
)
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated

from services.triggers.settings import SHARED_COUNT_MAX


class RunSettings(msgspec.Struct, frozen=True, gc=False):
    """The settings that count before a run starts."""

    concurrency: Concurrency | None = None
    queue_timeout_ms: int | None = None


class Definition(msgspec.Struct, frozen=True, gc=False):
    """The parts of a definition that matter here; nodes and edges are skipped."""

    id: str
    status: WorkflowStatus = "active"
    variables: list[Variable] = []
    input_schema: dict[str, Any] | None = None
    settings: RunSettings = RunSettings()
    triggers: list[Trigger] = []


class Version(msgspec.Struct, frozen=True, gc=False):
    """One version of a workflow. `fault` says why it cannot be read, which is a bug or a newer FlowForge's work."""

    workflow_id: str
    number: int
    definition: Definition
    fault: str = ""

    def trigger(self, trigger_id: str) -> Trigger | None:
        """The trigger of that id."""
        return next((trigger for trigger in self.definition.triggers if trigger.id == trigger_id), None)

    @property
    def manual_trigger_id(self) -> str:
        """Under which trigger a run started by hand counts: the first that is enabled, else the one everybody has."""
        manual = (trigger for trigger in self.definition.triggers if isinstance(trigger, ManualTrigger))
        return next((trigger.id for trigger in manual if trigger.enabled), "manual")


class Workflow(msgspec.Struct, frozen=True, gc=False):
    """A workflow as of its last event.

    `trigger_versions`: trigger id → the workflow version in which the trigger became as it is; `shape_versions`: the same
    for triggers that remember, whose name and `enabled` do not count: what they hold outlives those.
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


_decoder = msgspec.json.Decoder(Definition)


def type_of(trigger: Trigger) -> str:
    """The word in its `type`."""
    return cast("str", trigger.__struct_config__.tag)


def version_of(event: WorkflowCreated | WorkflowUpdated) -> Version:
    """The version that the event brought. Never fails: what cannot be read has no triggers and says why."""
    try:
        definition, fault = _decoder.decode(event.definition), ""
    except msgspec.DecodeError as problem:
        definition, fault = Definition(event.workflow_id), str(problem)
    return Version(event.workflow_id, event.workflow_version, definition, fault)


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
    known = {} if before is None else {trigger.id: trigger for trigger in before.newest.definition.triggers}
    versions = {
        trigger.id: before.trigger_versions[trigger.id]
        if before is not None and known.get(trigger.id) == trigger
        else newest.number
        for trigger in newest.definition.triggers
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
