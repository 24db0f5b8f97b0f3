"""Brings one set of read models up to the log, batch by batch: read, decode, fold, write, move the checkpoint.

Rows and checkpoint are one transaction. Killed at any line, the next one starts at the checkpoint and does the same
again; what is in memory is a cache of rows that the tables have.
"""

import time
from collections.abc import Sequence
from uuid import UUID

import asyncpg
from flowforge.events import (
    AnyEvent,
    PromptEvent,
    RetryRefused,
    RunRetried,
    RunsArchived,
    RunsRestored,
    SlotEvent,
    SlotRefused,
    TemplateEvent,
    TimerSet,
    WorkflowArchived,
    WorkflowUpdated,
    decode,
)

from infra.eventlog import EventLog, Head, StoredEvent
from infra.failpoints import failpoint
from services.projections import store
from services.projections.fold import RUN_ENDED, WITHOUT_ROWS, fold
from services.projections.fold.nodes import NODE_ENDINGS
from services.projections.past import folded, until
from services.projections.spans import ProjectorSpans
from services.projections.state import Changes, ReadModels
from services.projections.statistics import Statistics, count


class LogChanged(Exception):
    """The log is not the one these read models were made from: it is another incarnation, or it lost its end."""


class LogBroken(Exception):
    """The log has a gap in its positions, or a run without its first event; nothing may be built on it."""


class Projector:
    """Writes the read models in the schema of `connection`, which nobody else uses meanwhile."""

    def __init__(self, log: EventLog, connection: asyncpg.Connection, cached_runs_max: int) -> None:
        self.position = 0
        self.log = log
        self.spans: ProjectorSpans | None = None
        """Where what is taken is traced."""
        self._connection = connection
        self._cached_runs_max = cached_runs_max
        self._models = ReadModels()

    async def start(self) -> store.Checkpoint:
        """Forget what is in memory and go on from the checkpoint. Raises `LogChanged`."""
        self._models = ReadModels()
        checkpoint = await store.read_checkpoint(self._connection)
        self.position = checkpoint.position
        check_log(checkpoint, await self.log.head())
        return checkpoint

    async def advance(self, limit: int) -> int:
        """Take up to `limit` events; how many there were. After an exception, `start` again."""
        events = await self.log.read(self.position, limit)
        if events:
            await self.take(events)
        return len(events)

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Take these events, the next of the log."""
        if events[0].position != self.position + 1 or events[-1].position != self.position + len(events):
            raise LogBroken(f"after position {self.position} the log has a gap; run `flowforge verify`")
        began_ns = 0 if self.spans is None else time.time_ns()
        decoded = [decode(event.type, event.data) for event in events]
        await self._load(events, decoded)
        self._fold(events, decoded)
        await self._write(events[-1].position)
        if self.spans is not None:
            self.spans.taken(events, began_ns)

    async def _load(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        runs = self._models.runs
        begun = {event.stream_id for event in events if event.type == "WorkflowTriggered"}
        missing = {
            event.stream_id
            for event, fact in zip(events, decoded, strict=True)
            if event.stream_type == "run" and event.stream_id not in runs and _changes_rows(fact)
        }
        workflows = {
            event.workflow_id
            for event in decoded
            if isinstance(event, WorkflowUpdated | WorkflowArchived) and event.workflow_id not in self._models.workflows
        }
        if missing - begun or workflows:
            await store.load(self._connection, self._models, missing - begun, workflows)
        for event, fact in zip(events, decoded, strict=True):
            if isinstance(fact, RunRetried) and fact.resumed and event.stream_id in runs:
                await store.load_unfinished(self._connection, runs[event.stream_id], fact.resumed)
        await self._load_moved(events, decoded)
        templates = {event.template_id for event in decoded if isinstance(event, TemplateEvent)}
        if templates - self._models.templates.keys():
            await store.load_templates(self._connection, self._models, templates - self._models.templates.keys())
        prompts = {event.prompt_id for event in decoded if isinstance(event, PromptEvent)}
        if prompts - self._models.prompts.keys():
            await store.load_prompts(self._connection, self._models, prompts - self._models.prompts.keys())
        asked = (
            event
            for event in decoded
            if isinstance(event, SlotEvent) and not isinstance(event, SlotRefused | RetryRefused)
        )
        slots = {event.run_id for event in asked} - self._models.slots.keys()
        if slots:
            await store.load_slots(self._connection, self._models, slots)
        retried = {event.stream_id for event in events if event.stream_type == "quarantine" and event.version > 1}
        if retried:
            await store.load_dead_letters(self._connection, self._models, retried)

    async def _load_moved(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        """The runs that go into archives or come back; of those that come back, what their own events make of them."""
        moved = [
            (stored, fact)
            for stored, fact in zip(events, decoded, strict=True)
            if isinstance(fact, RunsArchived | RunsRestored)
        ]
        for stored, fact in moved:
            begun = {event.stream_id for event in events if event.type == "WorkflowTriggered"}
            missing = [run_id for run_id in fact.runs if run_id not in self._models.runs and run_id not in begun]
            await store.load_rows(self._connection, self._models, missing)
            for run_id, history in (
                (await self.log.read_streams(fact.runs)).items() if isinstance(fact, RunsRestored) else ()
            ):
                for past in folded(until(history, stored.position)):
                    self._models.histories[stored.position, run_id] = past.runs[run_id]

    def _fold(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        models = self._models
        for stored, event in zip(events, decoded, strict=True):
            try:
                fold(models, stored, event)
            except KeyError as fault:
                raise LogBroken(
                    f"position {stored.position}: {stored.type} of {stored.stream_id} without the event before it"
                ) from fault

    async def _write(self, position: int) -> None:
        changes, self._models.changes = self._models.changes, Changes()
        await store.load_statistics(self._connection, self._models.statistics, changes.seen)
        counted = count(self._models.statistics, changes.seen)
        async with self._connection.transaction():
            await store.move_checkpoint(self._connection, self.position, position)
            await store.write(self._connection, changes, counted)
            failpoint("projections.before_commit")
        failpoint("projections.after_commit")
        self.position = position
        store.as_written(changes, counted)
        self._forget(changes)

    def _forget(self, changes: Changes) -> None:
        """Runs and instances that have ended are not expected to change; other runs are kept, as many as are allowed."""
        runs = self._models.runs
        for row in changes.nodes:
            if row.instance and row.status in NODE_ENDINGS and row.run_id in runs:
                runs[row.run_id].nodes.pop((row.node_id, row.instance), None)
        for row in changes.runs:
            if row.status in RUN_ENDED:
                runs.pop(row.run_id, None)
        self._models.dead_letters.clear()
        slots = self._models.slots
        for row in changes.slots:
            if row.state == "gone":
                slots.pop(row.run_id, None)
        if len(slots) > self._cached_runs_max:
            slots.clear()
        if len(self._models.statistics) > self._cached_runs_max:
            self._models.statistics = Statistics()
        excess = len(runs) - self._cached_runs_max
        if excess > 0:
            oldest: list[UUID] = [run_id for run_id, _ in zip(runs, range(excess), strict=False)]
            for run_id in oldest:
                del runs[run_id]


def _changes_rows(event: AnyEvent) -> bool:
    """Whether it changes a row of its run."""
    if isinstance(event, TimerSet):
        return event.purpose == "wait"
    return type(event).__name__ not in WITHOUT_ROWS


def check_log(checkpoint: store.Checkpoint, head: Head) -> None:
    """Raise `LogChanged` unless the checkpoint is a place in this log."""
    if head.incarnation != checkpoint.incarnation:
        raise LogChanged(
            f"the event log is another one (incarnation {head.incarnation}, the read models come from "
            f"{checkpoint.incarnation}): it was restored or replaced. Run `flowforge rebuild`."
        )
    if head.position < checkpoint.position:
        raise LogChanged(
            f"the event log ends at {head.position}, the read models stand at {checkpoint.position}: it lost its end. "
            "Run `flowforge rebuild`."
        )
