"""Jobs that nobody takes: queued for some seconds, while no worker asks for work of their type.

NATS knows who asks: a consumer with jobs pending, none handed out and nobody waiting is left alone, unless that is so for
a moment only. Nothing is looked at while no job is under way.
"""

import logging
from collections.abc import Callable, Iterator
from uuid import UUID

import msgspec
from flowforge.envelope import now
from flowforge.subjects import Subjects, job_consumer
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.execution.open_runs import OpenRuns
from services.execution.runs import Runs
from services.execution.settings import RUNS_PAGE_COUNT, WORKER_AWAITED_AFTER_S
from services.execution.spent_jobs import consumers
from services.execution.state import Run

_log = logging.getLogger(__name__)


class WorkerMissing(msgspec.Struct):
    """To one run: nobody serves the type of a job that it has queued."""

    run_id: UUID
    queue: str
    job_type: str


class AwaitedWorkers:
    """Which job types have nobody to serve them, and which runs were told so."""

    def __init__(
        self, client: Client, subjects: Subjects, runs: Runs, put: Callable[[msgspec.Struct, str], None]
    ) -> None:
        self._client = client
        self._stream = subjects.jobs_stream
        self._runs = runs
        self._put = put
        self.forget()

    def forget(self) -> None:
        """Start afresh: another owner may have been here."""
        self._left_alone: set[str] = set()
        self._told_of: set[str] = set()
        self._looked_at: dict[UUID, int] = {}
        self._unread: list[UUID] | None = None

    async def look(self, open_runs: OpenRuns) -> None:
        """To be called each second."""
        if not self._client.is_connected or not self._has_jobs(open_runs):
            return
        before, self._left_alone = self._left_alone, set()
        try:
            found = await consumers(self._client, self._stream)
        except (TimeoutError, NatsError) as fault:
            _log.warning("cannot look for jobs that nobody takes: %s", fault)
            return
        self._left_alone = {
            info.name for info in found if info.num_pending and not info.num_ack_pending and not info.num_waiting
        }
        left_alone = self._left_alone & before
        if left_alone - self._told_of:  # runs that were looked at may have jobs of a type that was not left alone then
            self._looked_at.clear()
        self._told_of = left_alone
        if left_alone:
            await self._read_some()
            self._looked_at = self._tell(left_alone, open_runs)

    def _has_jobs(self, open_runs: OpenRuns) -> bool:
        """Whether a run that is in memory has jobs under way, or one that was open before is not in memory yet."""
        if self._unread is None:
            self._unread = list(open_runs)
        if self._unread:
            self._unread = [run_id for run_id in self._unread if run_id in open_runs and self._runs.get(run_id) is None]
        return bool(self._unread) or any(run.active_jobs for run in self._in_memory(open_runs))

    async def _read_some(self) -> None:
        if self._unread:
            page = self._unread[:RUNS_PAGE_COUNT]
            await self._runs.read_readable([run_id for run_id in page if self._runs.get(run_id) is None])
            del self._unread[:RUNS_PAGE_COUNT]

    def _tell(self, left_alone: set[str], open_runs: OpenRuns) -> dict[UUID, int]:
        """Tell runs of jobs that have waited for long enough; the runs that need not be looked at until they change."""
        looked_at: dict[UUID, int] = {}
        for run in self._in_memory(open_runs):
            if not run.active_jobs:
                continue
            if self._looked_at.get(run.id) == run.version or not self._tell_run(run, left_alone):
                looked_at[run.id] = run.version
        return looked_at

    def _tell_run(self, run: Run, left_alone: set[str]) -> bool:
        """Whether it has jobs that may still be waited for."""
        at, is_young, missing = now(), False, set[tuple[str, str]]()
        for unit in run.jobs.values():
            if unit.status != "queued" or unit.awaited == unit.attempt or unit.since is None:
                continue
            queue, job_type = unit.plan.queue, unit.plan.job_type
            if job_consumer(queue, job_type) not in left_alone:
                continue
            if (at - unit.since).total_seconds() < WORKER_AWAITED_AFTER_S:
                is_young = True
            else:
                missing.add((queue, job_type))
        for queue, job_type in missing:
            self._put(WorkerMissing(run.id, queue, job_type), f"{run.id}-{queue}-{job_type}")
        return is_young

    def _in_memory(self, open_runs: OpenRuns) -> Iterator[Run]:
        return (run for run_id in open_runs if (run := self._runs.get(run_id)) is not None)
