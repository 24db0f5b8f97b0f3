"""What triggers remember of a workflow: its newest version and where its older ones stand (pure)."""

from functools import lru_cache
from typing import Any, assert_never, cast

import msgspec
from flowforge.definition import EventTrigger, ManualTrigger, Trigger, Variable, WorkflowStatus
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated
from flowforge.raw import ABSENT

from services.triggers.settings import DEFINITIONS_CACHED_COUNT_MAX, SHARED_COUNT_MAX


class Definition(msgspec.Struct, frozen=True, gc=False):
    """The parts of a definition that matter here; nodes and edges are skipped, triggers read when asked for."""

    id: str
    status: WorkflowStatus = "active"
    variables: list[Variable] = []
    input_schema: dict[str, Any] | None = None
    raw_triggers: list[msgspec.Raw] = msgspec.field(default_factory=list[msgspec.Raw], name="triggers")

    @property
    def triggers(self) -> list[Trigger]:
        """All of them, read anew each time."""
        return [_trigger.decode(raw) for raw in self.raw_triggers]

    def trigger(self, trigger_id: str) -> Trigger | None:
        """The trigger of that id; only this one is read whole."""
        for raw in self.raw_triggers:
            if _named.decode(raw).id == trigger_id:
                return _trigger.decode(raw)
        return None


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

    def trigger(self, trigger_id: str) -> Trigger | None:
        """The trigger of that id."""
        return self.definition.trigger(trigger_id)

    @property
    def manual_trigger_id(self) -> str:
        """Under which trigger a run started by hand counts: the first that is enabled, else the one everybody has."""
        manual = (trigger for trigger in self.definition.triggers if isinstance(trigger, ManualTrigger))
        return next((trigger.id for trigger in manual if trigger.enabled), "manual")


class Workflow(msgspec.Struct, frozen=True, gc=False):
    """A workflow as of its last event.

    `trigger_versions`: trigger id → the workflow version in which the trigger got its present shape.
    `stream_versions`: workflow version → version of the event in the workflow's stream.
    """

    newest: Version
    status: WorkflowStatus
    trigger_versions: dict[str, int]
    stream_versions: dict[int, int]

    @property
    def workflow_id(self) -> str:
        return self.newest.workflow_id

    @property
    def event_triggers(self) -> list[EventTrigger]:
        return [trigger for trigger in triggers_of(self.newest) if isinstance(trigger, EventTrigger)]


class _Kept(msgspec.Struct, omit_defaults=True, gc=False):
    """What is kept of a document, as it was written."""

    id: str
    status: msgspec.Raw = ABSENT
    variables: msgspec.Raw = ABSENT
    input_schema: msgspec.Raw = ABSENT
    triggers: msgspec.Raw = ABSENT


class _Whole(Definition, frozen=True, gc=False):
    """All of it, to see that it can be read."""

    raw_triggers: list[Trigger] = msgspec.field(default_factory=list[Trigger], name="triggers")  # type: ignore[assignment]


class _Named(msgspec.Struct, gc=False):
    id: str


_kept = msgspec.json.Decoder(_Kept)
_decoder = msgspec.json.Decoder(Definition)
_whole = msgspec.json.Decoder(_Whole)
_trigger: msgspec.json.Decoder[Trigger] = msgspec.json.Decoder(Trigger)
_named = msgspec.json.Decoder(_Named)
_encode = msgspec.json.encode


@lru_cache(maxsize=DEFINITIONS_CACHED_COUNT_MAX)
def _definition_of(text: bytes) -> Definition:
    return _decoder.decode(text)


def triggers_of(version: Version) -> list[Trigger]:
    """All triggers of a version; those asked for last are at hand."""
    return _triggers_of(version.text)


@lru_cache(maxsize=2)
def _triggers_of(text: bytes) -> list[Trigger]:
    """A change compares the triggers before and after, and files each list once more."""
    return cast("list[Trigger]", _whole.decode(text).raw_triggers)


def type_of(trigger: Trigger) -> str:
    """The word in its `type`."""
    return cast("str", trigger.__struct_config__.tag)


def version_of(event: WorkflowCreated | WorkflowUpdated) -> Version:
    """The version that the event brought. Never fails: what cannot be read has no triggers and says why."""
    try:
        text = _encode(_kept.decode(event.definition))
        _triggers_of(text)
    except msgspec.DecodeError as problem:
        return empty_version(event.workflow_id, event.workflow_version, str(problem))
    return Version(event.workflow_id, event.workflow_version, text)


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
            )
        case WorkflowArchived():
            return None if workflow is None else msgspec.structs.replace(workflow, status="archived")
        case _:
            assert_never(event)


def _trigger_versions(before: Workflow | None, newest: Version) -> dict[str, int]:
    known = {} if before is None else {trigger.id: trigger for trigger in triggers_of(before.newest)}
    versions = {
        trigger.id: before.trigger_versions[trigger.id]
        if before is not None and known.get(trigger.id) == trigger
        else newest.number
        for trigger in triggers_of(newest)
    }
    return _shared(tuple(versions.items()))


@lru_cache(maxsize=SHARED_COUNT_MAX)
def _shared(items: tuple[tuple[Any, int], ...]) -> dict[Any, int]:
    """Most workflows have few versions and triggers of the same names: one dictionary for all of them, never changed."""
    return dict(items)
