"""What the log knows of a job that ended: the run that it belongs to, and the runs that it has started.

It is read when a decision asks for it (`Wanted`), and forgotten once something is logged: another turn reads it anew.
"""

import asyncio
from collections.abc import Collection
from uuid import UUID

import msgspec

from infra.eventlog import EventLog
from services.triggers.jobs import TOLD_OF_RUNS, Job, Owner, owner_of
from services.triggers.settings import JOB_MOMENT_EVENTS_MAX, READS_AT_ONCE_MAX
from services.triggers.verdict import Wanted

_TIME_ORDERED = 7


class KnownJob(msgspec.Struct):
    """`owner`: of a job that somebody else reports. `started`: by the identity of job and workflow, the run."""

    owner: Owner | None
    started: dict[bytes, UUID]
    asked: frozenset[bytes]


class JobLookup:
    """Of the jobs that the decisions of a turn are about."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._known: dict[bytes, KnownJob] = {}
        self._wanted: dict[bytes, tuple[Job, frozenset[bytes]]] = {}
        self._at_once = asyncio.Semaphore(READS_AT_ONCE_MAX)

    def about(self, job: Job, workflow_ids: Collection[str]) -> KnownJob:
        """Also which of these workflows it has started. Raises Wanted."""
        identities = frozenset(map(job.identity, workflow_ids))
        name = job.identity("")
        known = self._known.get(name)
        if known is None or not identities <= known.asked:
            self._wanted[name] = (job, identities | self._wanted.get(name, (job, frozenset[bytes]()))[1])
            raise Wanted(f"the job {job.job_id} is not looked up")
        return known

    async def load(self) -> None:
        """Have what was asked for. May raise `Unavailable`."""
        wanted, self._wanted = self._wanted, {}
        if not wanted:
            return
        found = await asyncio.gather(*(self._look_up(job, identities) for job, identities in wanted.values()))
        self._known |= dict(zip(wanted, found, strict=True))

    def forget(self) -> None:
        """The log may know more now."""
        self._known.clear()

    async def _look_up(self, job: Job, identities: frozenset[bytes]) -> KnownJob:
        async with self._at_once:
            positions = await self._log.find_identities(identities)
            events = {identity: await self._log.read_position(at) for identity, at in positions.items()}
            started = {identity: event.stream_id for identity, event in events.items() if event is not None}
            return KnownJob(await self._owner(job), started, identities)

    async def _owner(self, job: Job) -> Owner | None:
        job_id = job.uuid
        if job.run_id is not None or job_id is None or job_id.version != _TIME_ORDERED:
            return None
        return owner_of(job_id, await self._log.read_of_moment(job_id, TOLD_OF_RUNS, JOB_MOMENT_EVENTS_MAX))
