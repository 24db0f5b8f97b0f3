"""Brings one set of read models up to the log, batch by batch: read, decode, fold, write, move the checkpoint.

Rows and checkpoint are one transaction. Killed at any line, the next one starts at the checkpoint and does the same
again; what is in memory is a cache of rows that the tables have.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args
from uuid import UUID

import asyncpg
from flowforge.events import (
    AnyEvent,
    PeopleEvent,
    PromptEvent,
    QuarantineEvent,
    RetryRefused,
    RunRetried,
    RunsArchived,
    RunsRestored,
    SlotEvent,
    SlotRefused,
    TemplateEvent,
    TimerSet,
    WorkflowArchived,
    WorkflowTriggered,
    WorkflowUpdated,
    decode,
)

from infra.eventlog import EventLog, Head, StoredEvent, until
from infra.failpoints import failpoint
from services.projections import store
from services.projections.fold import RUN_ENDED, WITHOUT_ROWS, fold
from services.projections.fold.nodes import NODE_ENDINGS
from services.projections.past import folded
from services.projections.spans import ProjectorSpans
from services.projections.state import Changes, ReadModels
from services.projections.statistics import Statistics, count

PART_COUNT = 500
"""So many events are decoded or folded before what is being written has its turn."""
HELD_ROWS_MAX = 100_000
"""So many rows of nodes may be held back before all are written."""
_LOADING = frozenset(
    kind.__name__
    for kinds in (
        WorkflowUpdated | WorkflowArchived,
        TemplateEvent,
        PromptEvent,
        PeopleEvent,
        SlotEvent,
        QuarantineEvent,
    )
    for kind in get_args(kinds)
) | {RunRetried.__name__, RunsArchived.__name__, RunsRestored.__name__}
"""Types of events that need more in memory than their run."""
Item = TypeVar("Item")


class LogChanged(Exception):
    """The log is not the one these read models were made from: it is another incarnation, or it lost its end."""


class LogBroken(Exception):
    """The log has a gap in its positions, or a run without its first event; nothing may be built on it."""


class Projector:
    """Writes the read models in the schema of `connection`, which nobody else uses meanwhile.

    With `builds` it makes them from nothing for later use: rows of runs that go on are held back, so that most are written
    once, and a batch is folded while the one before it is written. Only after `settle` do the tables have everything.
    """

    def __init__(
        self, log: EventLog, connection: asyncpg.Connection, cached_runs_max: int, *, builds: bool = False
    ) -> None:
        self.position = 0
        self.log = log
        self.spans: ProjectorSpans | None = None
        """Where what is taken is traced."""
        self._connection = connection
        self._table = 0
        self._cached_runs_max = cached_runs_max
        self._models = ReadModels()
        self._builds = builds
        self._has_all_statistics = False
        self._writing: asyncio.Task[None] | None = None

    @property
    def saved_count(self) -> int:
        """How much of what people save it has in memory: workflows, templates, prompts and users."""
        return sum(map(len, self._saved()))

    def _saved(self) -> tuple[dict[str, Any], ...]:
        models = self._models
        return models.workflows, models.templates, models.prompts, models.users

    async def start(self) -> store.Checkpoint:
        """Forget what is in memory and go on from the checkpoint. Raises `LogChanged`."""
        self._models = ReadModels()
        checkpoint = await store.read_checkpoint(self._connection)
        self.position, self._table = checkpoint.position, checkpoint.table
        self._has_all_statistics = checkpoint.position == 0
        check_log(checkpoint, await self.log.head())
        return checkpoint

    async def advance(self, limit: int) -> int:
        """Take up to `limit` events; how many there were. After an exception, `start` again."""
        events = await self.log.read(self.position, limit)
        if events:
            await self.take(events)
        return len(events)

    async def take(self, events: Sequence[StoredEvent]) -> None:
        """Take these events, the next of the log; with `builds` they may still be being written when it returns."""
        if events[0].position != self.position + 1 or events[-1].position != self.position + len(events):
            raise LogBroken(f"after position {self.position} the log has a gap; run `flowforge verify`")
        began_ns = 0 if self.spans is None else time.time_ns()
        decoded: list[AnyEvent] = []
        for part in _parts(events):
            decoded += [decode(event.type, event.data) for event in part]
            await self._let_write()
        await self._load(events, decoded)
        for part in _parts(list(zip(events, decoded, strict=True))):
            self._fold(part)
            await self._let_write()
        await self._write(events[-1].position)
        if self.spans is not None:
            self.spans.taken(events, began_ns)

    async def settle(self) -> None:
        """Have everything in the tables that was taken, and hold nothing back from here on."""
        await self._written()
        self._builds = False
        await self._write(self.position)

    async def stop(self) -> None:
        """Leave off, whatever is still being written."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _let_write(self) -> None:
        if self._writing is not None:
            await asyncio.sleep(0)

    async def _written(self) -> None:
        """Until the connection is free, and the tables have what was given to be written."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _load(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        """Have in memory what these events change and the tables may have."""
        kinds = {event.type for event in events}
        await self._load_runs(events, decoded)
        if not kinds.isdisjoint(_LOADING):
            await self._load_others(events, decoded)

    async def _load_runs(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        runs = self._models.runs
        missing = {event.stream_id for event in events if event.stream_type == "run"} - runs.keys()
        missing -= {event.stream_id for event in events if event.type == "WorkflowTriggered"}
        if missing:
            changing = {
                event.stream_id
                for event, fact in zip(events, decoded, strict=True)
                if event.stream_id in missing and _changes_rows(fact)
            }
            if changing:
                await self._written()
                await store.load(self._connection, self._models, changing, ())

    async def _load_others(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        await self._written()
        connection, models = self._connection, self._models
        workflows = {
            event.workflow_id
            for event in decoded
            if isinstance(event, WorkflowUpdated | WorkflowArchived) and event.workflow_id not in models.workflows
        }
        if workflows:
            await store.load(connection, models, (), workflows)
        for event, fact in zip(events, decoded, strict=True):
            if isinstance(fact, RunRetried) and fact.resumed and event.stream_id in models.runs:
                await store.load_unfinished(connection, models.runs[event.stream_id], fact.resumed)
        await self._load_moved(events, decoded)
        templates = {event.template_id for event in decoded if isinstance(event, TemplateEvent)}
        if templates - models.templates.keys():
            await store.load_templates(connection, models, templates - models.templates.keys())
        prompts = {event.prompt_id for event in decoded if isinstance(event, PromptEvent)}
        if prompts - models.prompts.keys():
            await store.load_prompts(connection, models, prompts - models.prompts.keys())
        people = {event.name for event in decoded if isinstance(event, PeopleEvent)}
        if people - models.users.keys():
            await store.load_users(connection, models, people - models.users.keys())
        slots = {
            event.run_id
            for event in decoded
            if isinstance(event, SlotEvent) and not isinstance(event, SlotRefused | RetryRefused)
        } - models.slots.keys()
        if slots:
            await store.load_slots(connection, models, slots)
        retried = {event.stream_id for event in events if event.stream_type == "quarantine" and event.version > 1}
        if retried:
            await store.load_dead_letters(connection, models, retried)

    async def _load_moved(self, events: Sequence[StoredEvent], decoded: Sequence[AnyEvent]) -> None:
        """The runs that go into archives or come back; of those that come back, what their own events make of them."""
        connection, models = self._connection, self._models
        begun = {event.stream_id for event in events if event.type == WorkflowTriggered.__name__}
        for stored, fact in zip(events, decoded, strict=True):
            if isinstance(fact, RunsArchived | RunsRestored):
                missing = [run_id for run_id in fact.runs if run_id not in models.runs and run_id not in begun]
                await store.load_rows(connection, models, missing)
            if isinstance(fact, RunsRestored):
                for run_id, history in (await self.log.read_streams(fact.runs)).items():
                    for past in folded(until(history, stored.position)):
                        models.histories[stored.position, run_id] = past.runs[run_id]

    def _fold(self, events: Sequence[tuple[StoredEvent, AnyEvent]]) -> None:
        models = self._models
        for stored, event in events:
            try:
                fold(models, stored, event)
            except KeyError as fault:
                raise LogBroken(
                    f"position {stored.position}: {stored.type} of {stored.stream_id} without the event before it"
                ) from fault

    async def _write(self, position: int) -> None:
        models = self._models
        changes, models.changes = models.changes, Changes()
        if not self._has_all_statistics:
            await self._written()
            await store.load_statistics(self._connection, models.statistics, changes.seen)
        counted = count(models.statistics, changes.seen)
        if self._builds and len(models.runs) <= self._cached_runs_max and len(changes.nodes) <= HELD_ROWS_MAX:
            _hold_back(models, changes)
        writings = store.writings(changes, counted)
        await self._written()
        writing = self._perform(writings, self.position, position)
        self.position = position
        self._forget(changes)
        if self._builds:
            self._writing = asyncio.create_task(writing)
        else:
            await writing

    async def _perform(self, writings: Sequence[store.Writing | store.Removal], before: int, after: int) -> None:
        async with self._connection.transaction():
            await store.move_checkpoint(self._connection, self._table, before, after)
            for writing in writings:
                await writing.perform(self._connection)
            failpoint("projections.before_commit")
        failpoint("projections.after_commit")

    def _forget(self, changes: Changes) -> None:
        """Runs and instances that have ended are not expected to change; other runs are kept, as many as are allowed."""
        runs = self._models.runs
        for row in changes.nodes:
            if row.instance and row.status in NODE_ENDINGS and row.run_id in runs:
                runs[row.run_id].nodes.pop((row.node_id, row.instance), None)
        for row in changes.runs:
            if row.status in RUN_ENDED:
                runs.pop(row.run_id, None)
        self._forget_others(changes)
        excess = len(runs) - self._cached_runs_max
        if excess > 0:
            oldest: list[UUID] = [run_id for run_id, _ in zip(runs, range(excess), strict=False)]
            for run_id in oldest:
                del runs[run_id]

    def _forget_others(self, changes: Changes) -> None:
        """What is not of runs: of each kind as much as is allowed is kept, the tables have all."""
        self._models.dead_letters.clear()
        slots = self._models.slots
        for row in changes.slots:
            if row.state == "gone":
                slots.pop(row.run_id, None)
        if len(slots) > self._cached_runs_max:
            slots.clear()
        if self.saved_count > self._cached_runs_max:
            for rows in self._saved():
                rows.clear()
        if len(self._models.statistics) > self._cached_runs_max:
            self._models.statistics = Statistics()
            self._has_all_statistics = False


def _hold_back(models: ReadModels, changes: Changes) -> None:
    """Leave the rows of runs that go on among what is to be written later."""
    runs, later = models.runs, models.changes
    later.runs = [row for row in changes.runs if row.status not in RUN_ENDED]
    changes.runs = [row for row in changes.runs if row.status in RUN_ENDED]
    ended = {row.run_id for row in changes.runs}
    later.nodes = [row for row in changes.nodes if row.run_id in runs and row.run_id not in ended]
    changes.nodes = [row for row in changes.nodes if row.run_id not in runs or row.run_id in ended]


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """So many at a time that others have their turn."""
    for first in range(0, len(items), PART_COUNT):
        yield items[first : first + PART_COUNT]


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
