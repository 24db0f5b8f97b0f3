"""Runs and plans in memory: from the first event, or from the log; blobs of large outputs made safe."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import cast
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.definition import parse_stored
from flowforge.events import ChildRunEnded, ForkedFrom, RunEvent, WorkflowTriggered
from flowforge.identity import named_stream
from flowforge.jobs import ensure_job_consumer
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.bus import Message
from infra.eventlog import EventLog
from services.execution import inputs
from services.execution.causes import cause_events
from services.execution.plan import Plan
from services.execution.prompts import stored_prompt
from services.execution.settings import PLANS_CACHED_MAX, RUNS_CACHED_MAX, RUNS_PAGE_COUNT
from services.execution.state import Run, StoredPrompt, fold, recorded_in, source_of

_log = logging.getLogger(__name__)
_triggered = msgspec.json.Decoder(WorkflowTriggered)
_child_ended = msgspec.json.Decoder(ChildRunEnded)


class Runs:
    """What is in memory of what is in the log; anything in it may be dropped at any time."""

    def __init__(self, log: EventLog, client: Client, subjects: Subjects, on_read: Callable[[Run], None]) -> None:
        self._log = log
        self._on_read = on_read
        self._client = client
        self._subjects = subjects
        self._runs: OrderedDict[UUID, Run] = OrderedDict()
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()
        self._doubted: set[UUID] = set()
        self._consumers: set[tuple[str, str]] = set()

    def get(self, run_id: UUID) -> Run | None:
        return self._runs.get(run_id)

    def drop(self, run_id: UUID) -> None:
        self._runs.pop(run_id, None)

    def doubt(self, run_id: UUID) -> None:
        """What was known of it is not the truth; nor is it new, though its first event may be on its way still."""
        self._runs.pop(run_id, None)
        self._doubted.add(run_id)

    def clear(self) -> None:
        self._runs.clear()
        self._doubted.clear()

    def consumers_may_be_gone(self) -> None:
        """NATS was away: the consumers of jobs are looked at again."""
        self._consumers.clear()
        self._plans.clear()

    def evict(self) -> None:
        """Let the longest unused go."""
        while len(self._runs) > RUNS_CACHED_MAX:
            self._runs.popitem(last=False)

    async def load(self, run_ids: Collection[UUID], messages: Sequence[Message], known: Collection[UUID] = ()) -> None:
        """Have these runs in memory, with what their templates may look at. `known`: runs that have begun already."""
        if any(message.event.type == "RetryRun" for message in messages):
            self._forget_ended(run_ids)
        missing = {run_id for run_id in run_ids if run_id not in self._runs}
        if missing:
            fresh = await self._begin(missing, messages, known)
            await self.read(missing - fresh)
            self._doubted -= missing
        await self._read_parents(run_ids)
        for message in messages:
            if message.event.type == "ChildRunEnded" and b'"$blob"' in message.body:
                self._refer(_child_ended.decode(message.event.data))
        prompts: dict[tuple[str, int | None], StoredPrompt | None] = {}
        for run_id in run_ids:
            if (run := self._runs.get(run_id)) is not None:
                self._runs.move_to_end(run_id)
                await self._load_values(run, prompts)

    def _forget_ended(self, run_ids: Collection[UUID]) -> None:
        """A run that is to go on after its end is read anew: what it was given may have been erased from the log since."""
        for run_id in run_ids:
            if (run := self._runs.get(run_id)) is not None and run.is_ended:
                del self._runs[run_id]

    async def _begin(
        self, missing: Collection[UUID], messages: Sequence[Message], known: Collection[UUID]
    ) -> set[UUID]:
        """Runs that begin with this batch need no reading: their first event is the message. A repeat loses the race."""
        fresh: set[UUID] = set()
        new = {run_id for run_id in missing if run_id not in known and run_id not in self._doubted}
        for message in messages:
            if message.event.type != "WorkflowTriggered" or message.origin != "stream" or message.deliveries > 1:
                continue
            triggered = _triggered.decode(message.event.data)
            if triggered.run_id in new and triggered.run_id not in fresh:
                plan = await self.plan(triggered.workflow_id, triggered.workflow_version)
                run = Run(plan, triggered, message.event.position or 0, message.event.actor)
                run.traceparent = message.event.traceparent
                self._keep(run)
                fresh.add(triggered.run_id)
        return fresh

    async def _read_parents(self, run_ids: Collection[UUID]) -> None:
        """Of children that have not begun: a parent may wait for them no more."""
        runs = [run for run_id in run_ids if (run := self._runs.get(run_id)) is not None and run.status == "pending"]
        parents = {run.triggered.parent_run_id for run in runs} - {None}
        await self.read([parent for parent in parents if parent is not None and parent not in self._runs])

    async def read(self, run_ids: Collection[UUID]) -> None:
        """Runs from their whole history; a run that is in memory already is read anew."""
        if not run_ids:
            return
        for history in (await self._log.read_streams(run_ids)).values():
            if not history or history[0].type != "WorkflowTriggered":
                continue
            events = [
                (cast("RunEvent", facts.decode(stored.type, stored.data)), stored.recorded_at) for stored in history
            ]
            triggered = cast("WorkflowTriggered", events[0][0])
            run = fold(await self.plan(triggered.workflow_id, triggered.workflow_version), events)
            run.actor, run.traceparent = history[0].actor, history[0].traceparent
            run.position, run.last_position = history[0].position, history[-1].position
            run.asked_position = next(each.position for each in history if each.version == run.asked_version)
            if run.is_ended:
                run.archive = (await self._log.archived([run.id])).get(run.id)
            self._keep(run)

    async def read_readable(self, run_ids: Sequence[UUID]) -> None:
        """The same, page by page; one that cannot be read keeps nobody else from going on."""
        for start in range(0, len(run_ids), RUNS_PAGE_COUNT):
            page = run_ids[start : start + RUNS_PAGE_COUNT]
            try:
                await self.read(page)
            except LookupError as fault:
                if len(page) == 1:
                    _log.warning("run %s cannot be read, and is left as it is: %s", page[0], fault)
                for run_id in page if len(page) > 1 else ():
                    await self.read_readable([run_id])

    def _keep(self, run: Run) -> None:
        """Into memory, unless a turn was faster; what it refers to is loaded before it is decided on."""
        known = self._runs.get(run.id)
        if known is not None and known.version >= run.version:
            return
        for value in inputs.kept_values(run):
            if (reference := inputs.blob_hash(value)) is not None:
                run.blobs.setdefault(reference, None)
        self._runs[run.id] = run
        self._on_read(run)

    async def plan(self, workflow_id: str, version: int) -> Plan:
        """A version of a workflow. Raises LookupError for one that is not in the log, or cannot be read."""
        known = self._plans.get((workflow_id, version))
        if known is not None:
            return known
        for stored in await self._log.read_stream(named_stream("workflow", workflow_id)):
            event = facts.decode(stored.type, stored.data)
            if isinstance(event, facts.WorkflowCreated | facts.WorkflowUpdated) and event.workflow_version == version:
                workflow, faults = parse_stored(msgspec.json.decode(event.definition))
                if workflow is None:
                    raise LookupError(f"version {version} of '{workflow_id}' cannot be read: {faults[0].message}")
                plan = Plan(workflow, version)
                self._plans[workflow_id, version] = plan
                while len(self._plans) > PLANS_CACHED_MAX:
                    self._plans.popitem(last=False)
                await self._ensure_consumers(plan)
                return plan
        raise LookupError(f"there is no version {version} of workflow '{workflow_id}'")

    async def _ensure_consumers(self, plan: Plan) -> None:
        """Workers pull from one durable consumer per queue and job type; a new one exists before its first job."""
        for pair in {(node.queue, node.job_type) for node in plan.all_nodes.values() if node.is_job} - self._consumers:
            try:
                await ensure_job_consumer(self._client.jetstream(), self._subjects, *pair)
            except (TimeoutError, NatsError) as fault:
                _log.warning("cannot create the consumer of %s yet, a worker will: %s", pair, fault)
            else:
                self._consumers.add(pair)

    async def _read_source(self, run: Run, fork: ForkedFrom) -> None:
        """Of a fork that has not begun: the run that it begins from, as it stood then."""
        history = await self._log.read_stream(fork.run_id, 0, fork.version)
        if not history or history[-1].version != fork.version:
            return
        events = [(cast("RunEvent", facts.decode(stored.type, stored.data)), stored.recorded_at) for stored in history]
        began = cast("WorkflowTriggered", events[0][0])
        run.source = source = source_of(await self.plan(began.workflow_id, began.workflow_version), events)
        for value in inputs.kept_values(source.run):
            if (reference := inputs.blob_hash(value)) is not None:
                run.blobs.setdefault(reference, None)

    async def _started_for(self, triggered: WorkflowTriggered) -> WorkflowTriggered:
        """Of a fork, what its origin was started as: the events that its templates see are those of the origin."""
        while triggered.fork is not None:
            history = await self._log.read_stream(triggered.fork.run_id, limit=1)
            if not history:
                break
            triggered = cast("WorkflowTriggered", facts.decode(history[0].type, history[0].data))
        return triggered

    async def _read_recorded(self, run: Run, fork: ForkedFrom) -> None:
        """Of a shadow run: what came of everything in the run that it was forked from."""
        history = await self._log.read_stream(fork.run_id, 0, fork.shadow_version)
        run.recorded = recorded_in(cast("RunEvent", facts.decode(stored.type, stored.data)) for stored in history)
        outputs = (ended.output for ended in run.recorded.values() if isinstance(ended, facts.NodeCompleted))
        for reference in map(inputs.blob_hash, outputs):
            if reference is not None:
                run.blobs.setdefault(reference, None)

    async def _load_values(self, run: Run, prompts: dict[tuple[str, int | None], StoredPrompt | None]) -> None:
        """What templates may look at and the events only refer to: the cause, stored prompts, and large outputs. `prompts`:
        those that were read for other runs of the turn."""
        fork = run.triggered.fork
        if fork is not None and run.source is None and run.status == "pending":
            await self._read_source(run, fork)
        if fork is not None and fork.shadow_version is not None and run.recorded is None:
            await self._read_recorded(run, fork)
        if run.plan.uses_event and run.cause_events is None:
            run.cause_events = await cause_events(self._log, await self._started_for(run.triggered))
        for prompt_id, version in run.plan.prompts:
            if version is None or run.prompts.get((prompt_id, version)) is None:  # it may be saved while the run waits
                if (prompt_id, version) not in prompts:
                    prompts[prompt_id, version] = await stored_prompt(self._log, prompt_id, version)
                run.prompts[prompt_id, version] = prompts[prompt_id, version]
        for reference in [reference for reference, value in run.blobs.items() if value is None]:
            data = await self._log.get_blob(reference)
            run.blobs[reference] = None if data is None else msgspec.json.decode(data)

    def _refer(self, ended: ChildRunEnded) -> None:
        """A large output of a child: its parent's templates may look at it, so it is loaded with what they may look at."""
        run, reference = self._runs.get(ended.parent_run_id), inputs.blob_hash(ended.output)
        if run is not None and reference is not None:
            run.blobs.setdefault(reference, None)
