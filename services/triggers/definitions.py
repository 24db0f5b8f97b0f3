"""The index of all triggers, kept up with the log, and older versions where a run asks for one."""

import asyncio
import difflib
import gc
import logging
from collections import OrderedDict
from itertools import islice
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import WorkflowArchived, WorkflowCreated, WorkflowEvent, WorkflowUpdated, decode
from flowforge.identity import named_stream
from flowforge.refusals import Refusal, not_found

from infra.eventlog import EventLog, StoredEvent
from services.triggers.index import Checked, Index
from services.triggers.places import Places, places_of
from services.triggers.settings import (
    DEFINITIONS_PAGE_COUNT,
    NEAREST_IDS_MAX,
    NEAREST_LOOKED_AT_MAX,
    PLACES_CACHED_COUNT_MAX,
    VERSIONS_CACHED_COUNT_MAX,
)
from services.triggers.state import version_of

_TYPES = frozenset({WorkflowCreated.__name__, WorkflowUpdated.__name__, WorkflowArchived.__name__})
_log = logging.getLogger(__name__)


class Definitions:
    """What workflows there are. It is doubted once a decision was refused because a definition changed, and the like."""

    def __init__(self, log: EventLog) -> None:
        self.index = Index()
        self._log = log
        self._doubts = 1
        self._doubts_settled = 0
        self._incarnation: UUID | None = None
        self._read_position = 0
        self._older: OrderedDict[tuple[str, int], Checked] = OrderedDict()
        self._places: OrderedDict[tuple[str, int], Places] = OrderedDict()
        self._refreshing = asyncio.Lock()
        self._changed: dict[str, StoredEvent] = {}

    def forget_all(self) -> None:
        """Read everything anew."""
        self.index, self._read_position = Index(), 0
        self.doubt()
        self._older.clear()
        self._places.clear()
        self._changed.clear()

    def take_changed(self) -> list[StoredEvent]:
        """The newest change of each workflow with triggers that remember, now or before; each is told once."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def doubt(self) -> None:
        """A definition may have changed: the index counts again once it has caught up, from now on."""
        self._doubts += 1

    async def refresh(self) -> None:
        """Catch up with the log where that is needed. May raise `Unavailable`."""
        doubts = self._doubts
        if self._doubts_settled >= doubts:
            return
        async with self._refreshing:
            if self._doubts_settled < doubts:
                await self._catch_up()

    async def look(self) -> None:
        """Catch up if a definition has changed since. May raise `Unavailable`."""
        head = await self._log.head()
        if head.definitions_position > self.index.position or head.incarnation != self._incarnation:
            self.doubt()
        await self.refresh()

    async def _catch_up(self) -> None:
        doubts = self._doubts  # one that comes while the log is read is not settled by it
        head = await self._log.head()
        if head.incarnation != self._incarnation:
            self.index, self._read_position, self._incarnation = Index(), 0, head.incarnation
            self._older.clear()
            self._places.clear()
        while True:
            page = await self._log.read(self._read_position, DEFINITIONS_PAGE_COUNT, types=_TYPES, named_only=True)
            for stored in page:
                self._apply(stored)
                self._read_position = stored.position
            if len(page) < DEFINITIONS_PAGE_COUNT:
                break
            # what was read stays, and holds no circles: looking at all of it for garbage would stop events for a second
            gc.freeze()
        # everything up to the head as it was before reading is in
        self.index.position = max(head.position, self._read_position)
        self._doubts_settled = doubts

    def _apply(self, stored: StoredEvent) -> None:
        event = cast("WorkflowEvent", decode(stored.type, stored.data))
        before = self.index.workflows.get(event.workflow_id)
        self.index.apply(event.workflow_id, event, stored.version)
        workflow = self.index.workflows.get(event.workflow_id)
        is_missed = isinstance(event, WorkflowArchived) and self.index.dependents(event.workflow_id)
        if is_missed or any(one is not None and one.shape_versions for one in (before, workflow)):
            self._changed[event.workflow_id] = stored
        fault = "" if workflow is None else workflow.newest.fault
        if fault:
            _log.error("workflow %s cannot be read, its triggers are not in force: %s", event.workflow_id, fault)

    async def load_version(self, workflow_id: str, number: int | None) -> None:
        """Have that version in memory, where it exists and is not the newest. May raise `Unavailable`."""
        workflow = self.index.workflows.get(workflow_id)
        if workflow is None or number is None or number == workflow.newest.number:
            return
        if number not in workflow.stream_versions or (workflow_id, number) in self._older:
            return
        stored = await self._stored(workflow_id, number)
        event = decode(stored.type, stored.data)
        assert isinstance(event, WorkflowCreated | WorkflowUpdated)
        self._older[workflow_id, number] = Checked(version_of(event))
        while len(self._older) > VERSIONS_CACHED_COUNT_MAX:
            self._older.popitem(last=False)

    async def load_places(self, workflow_id: str, number: int | None) -> None:
        """Have the nodes of that version in memory (the newest, where none is named). May raise `Unavailable`."""
        while (key := self._place_key(workflow_id, number)) is not None and key not in self._places:
            stored = await self._stored(*key)
            event = cast("WorkflowCreated | WorkflowUpdated", decode(stored.type, stored.data))
            self._places[key] = places_of(event.definition)
        while len(self._places) > PLACES_CACHED_COUNT_MAX:
            self._places.popitem(last=False)

    def places(self, workflow_id: str, number: int | None) -> Places | None:
        """The nodes of that version; None where they are not in memory."""
        key = self._place_key(workflow_id, number)
        return None if key is None else self._places.get(key)

    def _place_key(self, workflow_id: str, number: int | None) -> tuple[str, int] | None:
        workflow = self.index.workflows.get(workflow_id)
        if workflow is None:
            return None
        number = workflow.newest.number if number is None else number
        return (workflow_id, number) if number in workflow.stream_versions else None

    async def _stored(self, workflow_id: str, number: int) -> StoredEvent:
        """The event that brought that version, which there is."""
        stream_version = self.index.workflows[workflow_id].stream_versions[number]
        [stored] = await self._log.read_stream(named_stream("workflow", workflow_id), stream_version - 1, 1)
        return stored

    def has(self, workflow_id: str, number: int) -> bool:
        """Whether the workflow has that version, in memory or not."""
        workflow = self.index.workflows.get(workflow_id)
        return workflow is not None and number in workflow.stream_versions

    def find(self, workflow_id: str, number: int | None) -> tuple[Checked, str] | Refusal:
        """The version asked for (the newest where none is) and the workflow's status, or that there is none."""
        workflow = self.index.workflows.get(workflow_id)
        if workflow is None:
            return self._unknown(workflow_id)
        if number is None or number == workflow.newest.number:
            return self.index.checked(workflow_id), workflow.status
        older = self._older.get((workflow_id, number))
        if older is None:
            return not_found(f"version of workflow '{workflow_id}'", str(number))
        return older, workflow.status

    def _unknown(self, workflow_id: str) -> Refusal:
        refusal = not_found("workflow", workflow_id)
        looked_at = islice(self.index.workflows, NEAREST_LOOKED_AT_MAX)
        near = difflib.get_close_matches(workflow_id, looked_at, n=NEAREST_IDS_MAX)
        if not near:
            return refusal
        meant = " or ".join(f"'{name}'" for name in near)
        return msgspec.structs.replace(refusal, detail=f"{refusal.detail}; did you mean {meant}?")
