"""What runs ask for beside triggers, and what follows when one failed: children, a slot once more, handlers of failures."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from flowforge.events import (
    Cause,
    ChildCancelRequested,
    ChildRunRequested,
    RunFailed,
    RunStarted,
    WorkflowTriggered,
    decode,
)
from flowforge.refusals import Refusal

from infra.bus import Message
from infra.eventlog import EventLog, StoredEvent
from services.triggers.children import Child, ChildCause, decide_child, decide_unwanted
from services.triggers.concurrency import asking_again, limits
from services.triggers.decide import Decided, Deciding
from services.triggers.definitions import Definitions
from services.triggers.failures import FailedRun, failed_input
from services.triggers.index import Checked
from services.triggers.reading import CHILD_TYPE, CHILD_TYPES, RETRY_TYPE, UNWANTED_TYPE, is_of_runs, run_of
from services.triggers.recalling import Recalled, loaded, whole
from services.triggers.settings import DEPTH_MAX, EVENTS_BEFORE_START_MAX
from services.triggers.verdict import Wanted

FAILED_TYPE = RunFailed.__name__
_CONCERNED = CHILD_TYPES | {RETRY_TYPE, FAILED_TYPE}


class RunOccasions:
    """Decides about them. What is loaded counts for the messages of one `load`."""

    def __init__(
        self, log: EventLog, definitions: Definitions, recalled: Recalled, namespace: str, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._definitions = definitions
        self._recalled = recalled
        self._namespace = namespace
        self._clock = clock
        self._begun: dict[UUID, tuple[WorkflowTriggered, StoredEvent]] = {}
        self._children: dict[UUID, Child] = {}
        self._failed: dict[UUID, FailedRun | None] = {}

    # --- load -------------------------------------------------------------------------------------------------------

    async def load(self, messages: Sequence[Message]) -> None:
        """Have the runs that speak, the versions that count, and what is given to a child or a handler. May raise
        `Unavailable`."""
        concerned = [message for message in messages if message.event.type in _CONCERNED and is_of_runs(message)]
        self._begun, self._children, self._failed = {}, {}, {}
        if concerned:
            run_ids = list({run_of(message) for message in concerned})
            self._begun = dict(zip(run_ids, await asyncio.gather(*map(self._recalled.begun, run_ids)), strict=True))
            await asyncio.gather(*map(self._load_for, concerned))

    async def _load_for(self, message: Message) -> None:
        run, first = self._begun[run_of(message)]
        event_id = UUID(message.event.id)
        match message.event.type:
            case kind if kind == CHILD_TYPE:
                self._children[event_id] = await self._asked(message, run, first)
            case kind if kind == RETRY_TYPE:
                await self._definitions.load_version(run.workflow_id, run.workflow_version)
            case kind if kind == FAILED_TYPE:
                await self._definitions.load_version(run.workflow_id, run.workflow_version)
                self._failed[event_id] = await self._failure(message, run, first)
            case _:
                pass

    async def _asked(self, message: Message, parent: WorkflowTriggered, first: StoredEvent) -> Child:
        asked = cast("ChildRunRequested", decode(message.event.type, message.event.data))
        await self._definitions.load_version(asked.workflow_id, asked.version)
        found = self._definitions.find(asked.workflow_id, asked.version)
        is_limited = not isinstance(found, Refusal) and found[0].version.definition.settings.concurrency is not None
        kin = await self._kin(parent) if is_limited else []
        input_data = await whole(self._log, asked.input)
        cause = ChildCause(cause_of(message), parent, input_data, message.event.time or self._clock())
        self._recalled.expect_chain(cause)
        return Child(asked, parent, cause, first.actor, kin)

    async def _kin(self, parent: WorkflowTriggered) -> list[UUID]:
        """The parent, its parent, and so on."""
        found = [parent.run_id]
        while parent.parent_run_id is not None and parent.parent_node_id and len(found) <= DEPTH_MAX:
            parent = await self._recalled.run(parent.parent_run_id)
            found.append(parent.run_id)
        return found

    async def _failure(self, message: Message, run: WorkflowTriggered, first: StoredEvent) -> FailedRun | None:
        """None: nothing is to be started for it."""
        if run.is_shadow:
            return None
        found = self._definitions.find(run.workflow_id, run.workflow_version)
        handler = None if isinstance(found, Refusal) else found[0].version.definition.settings.on_failure
        if handler is None:
            return None
        event, event_id = message.event, UUID(message.event.id)
        ended = await self._recalled.ending(run, event.type, event.data, event_id, event.time or self._clock())
        early = await self._log.read_stream(run.run_id, 1, EVENTS_BEFORE_START_MAX)
        started_at = next((one.recorded_at for one in early if one.type == RunStarted.__name__), None)
        fact = cast("RunFailed", decode(event.type, event.data))
        data = failed_input(
            run, fact, await whole(self._log, run.input_data), first.recorded_at, started_at, ended.recorded_at
        )
        return FailedRun(ended, handler.workflow_id, data)

    # --- decide -----------------------------------------------------------------------------------------------------

    def child(self, deciding: Deciding, messages: Sequence[Message]) -> Decided:
        """A child that is asked for, or wanted no more; of both in one turn, the later word counts. Raises Wanted."""
        unwanted = next((message for message in messages if message.event.type == UNWANTED_TYPE), None)
        if unwanted is not None:
            fact = cast("ChildCancelRequested", decode(unwanted.event.type, unwanted.event.data))
            return decide_unwanted(fact, self._run(unwanted), cause_of(unwanted))
        child = loaded(self._children, UUID(messages[0].event.id))
        return decide_child(deciding, self._found(child.asked.workflow_id, child.asked.version), child)

    def retry(self, deciding: Deciding, message: Message) -> Decided | None:
        """What a run is answered that is to go on; None: it needs no slot, and has gone on by itself. Raises Wanted."""
        run = self._run(message)
        found = self._found(run.workflow_id, run.workflow_version)
        asking = None if isinstance(found, Refusal) else asking_again(found[0].version, run, version_in(message))
        if asking is None:
            return None
        deciding.retried(asking, limits(self._definitions.index.workflows))
        cause = cause_of(message)
        return Decided(cause.stream_id, cause, slotted=list(deciding.slotted.values()), actor=message.event.actor)

    def failed(self, message: Message) -> FailedRun | None:
        """The run that ended, where it failed and its workflow names a handler. Raises Wanted."""
        return loaded(self._failed, UUID(message.event.id)) if message.event.type == FAILED_TYPE else None

    def _run(self, message: Message) -> WorkflowTriggered:
        """Raises Wanted."""
        return loaded(self._begun, run_of(message))[0]

    def _found(self, workflow_id: str, number: int | None) -> tuple[Checked, str] | Refusal:
        """Raises Wanted."""
        found = self._definitions.find(workflow_id, number)
        if isinstance(found, Refusal) and number is not None and self._definitions.has(workflow_id, number):
            raise Wanted(f"version {number} of '{workflow_id}' is not in memory any more")
        return found


def cause_of(message: Message) -> Cause:
    """An event of our own, named."""
    event = message.event
    return Cause(event_id=UUID(event.id), type=event.type, id=event.id, source=event.source, stream_id=run_of(message))


def version_in(message: Message) -> int:
    """Where in its stream an event of our own stands."""
    version = message.event.streamversion
    assert version is not None, "logged events say so"
    return version
