"""Jobs that ended, told by a run or reported by an external system, before the triggers that they concern."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import JobEnded, WorkflowTriggered, decode

from infra.bus import Message
from infra.eventlog import EventLog
from services.triggers.cause import ReceivedCause, run_id
from services.triggers.decide import Decided, Deciding
from services.triggers.definitions import Definitions
from services.triggers.index import Rule
from services.triggers.job_lookup import JobLookup, KnownJob
from services.triggers.jobs import Job, JobCause, ended, reported
from services.triggers.reading import JOB_TYPE, is_of_runs
from services.triggers.recalling import Recalled, loaded, whole


class _Told(msgspec.Struct, frozen=True):
    """A job that its run told of, with a trigger that waits for such."""

    job: Job
    run: WorkflowTriggered
    recorded_at: datetime


class JobOccasions:
    """Decides about them. What the log knows of a job is looked up when a decision wants it."""

    def __init__(
        self, log: EventLog, definitions: Definitions, recalled: Recalled, namespace: str, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._definitions = definitions
        self._recalled = recalled
        self._namespace = namespace
        self._clock = clock
        self._lookup = JobLookup(log)
        self._told: dict[UUID, _Told | None] = {}
        """None: nobody waits for it."""

    async def load(self, messages: Sequence[Message]) -> None:
        """Have the jobs that runs told of and that a trigger waits for, and what decisions wanted. May raise `Unavailable`.

        Where none waits nothing is logged, so nobody else tells that the definitions are old.
        """
        told = [message for message in messages if message.event.type == JOB_TYPE and is_of_runs(message)]
        if told:
            await self._definitions.look()
            found = zip(told, await asyncio.gather(*map(self._tell, told)), strict=True)
            self._told = {UUID(message.event.id): one for message, one in found}
        await self._lookup.load()

    async def _tell(self, message: Message) -> _Told | None:
        event, of_run = message.event, UUID(message.event.source.rpartition("/")[2])
        fact = cast("JobEnded", decode(event.type, event.data))
        if not self._definitions.index.watchers(fact.experiment_id, fact.job_type):
            return None
        run, output = await asyncio.gather(self._recalled.run(of_run), whole(self._log, fact.output))
        return _Told(ended(fact, of_run, output, self._namespace), run, event.time or self._clock())

    def decide(self, event_id: UUID, deciding: Deciding) -> Decided | None:
        """What follows from a job that its run told of; None: nothing. Raises Wanted."""
        told = loaded(self._told, event_id)
        if told is None:
            return None
        rules, known = self._before(told.job)
        cause = JobCause.of_run(told.job, event_id, told.recorded_at, told.run, known.started)
        for rule in rules:
            if not _has_fired(rule, cause, known):
                deciding.consider(rule, cause)
        return deciding.decided(cause)

    def reported(self, received: ReceivedCause, fired: set[bytes]) -> tuple[JobCause, list[Rule]] | None:
        """The job that an external event reports, and the triggers before which it comes; None: none. Raises Wanted.

        `fired`: what is decided together with it.
        """
        job = reported(received.fact.type, received.fact.source, received.data)
        if job is None or not self._definitions.index.watchers(job.experiment_id, job.job_type):
            return None
        rules, known = self._before(job)
        return JobCause.of_report(job, received, known.owner, known.started, fired), rules

    def _before(self, job: Job) -> tuple[list[Rule], KnownJob]:
        rules = self._definitions.index.watchers(job.experiment_id, job.job_type)
        return rules, self._lookup.about(job, [rule.key[0] for rule in rules])

    def settled(self) -> None:
        """Something was logged, or refused: what the log knows is to be looked up anew."""
        self._lookup.forget()


def _has_fired(rule: Rule, cause: JobCause, known: KnownJob) -> bool:
    """Whether the run that the job has started of this workflow is the one of this very cause, which came again."""
    workflow_id, trigger_id = rule.key
    started = known.started.get(cause.job.identity(workflow_id))
    return started == run_id(cause.recorded_at, workflow_id, trigger_id, cause.stream_id)
