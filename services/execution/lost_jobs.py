"""Jobs that NATS may have lost: still open in the log, no longer on the queue, and no sign of life from a worker.

Looked for after every start and after NATS was away, once workers have had a lease's time to speak. Those that are known to
have ended, with an output that was lost, are handed out again at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import cast
from uuid import UUID

import msgspec
from flowforge import events as facts
from flowforge.envelope import NotAnEvent, decode
from flowforge.events import NodeQueued
from flowforge.reports import JobRequested
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from infra.bus import Outgoing, Shell
from infra.eventlog import EventLog, StoredEvent, Unavailable
from services.execution.open_runs import OpenRuns
from services.execution.runs import Runs
from services.execution.settings import JOBS_LOOKED_AT_AFTER_S, RUNS_PAGE_COUNT
from services.execution.state import Run, Unit

PAGE_COUNT = 500
ANSWER_WAIT_S = 5.0
_OPEN = ("queued", "running")
_log = logging.getLogger(__name__)


class LostJobs:
    """When to look for them, which jobs have shown a sign of life since, and handing the others out again."""

    def __init__(
        self,
        log: EventLog,
        shell: Shell,
        subjects: Subjects,
        runs: Runs,
        open_runs: OpenRuns,
        job_message: Callable[[Run, NodeQueued, StoredEvent, str], Outgoing],
    ) -> None:
        self._log = log
        self._job_message = job_message
        self._shell = shell
        self._subjects = subjects
        self._runs = runs
        self._open = open_runs
        self._look_at: float | None = None
        self._logged_before: int | None = None
        """Jobs that were logged later were handed to a NATS that had not lost anything since."""
        self._signs_of_life: set[UUID] = set()
        self._ended_unheard: dict[tuple[UUID, int], UUID] = {}
        """The run of each job and attempt."""

    def forget(self) -> None:
        """Start afresh: all that is lost is looked for."""
        self._ended_unheard.clear()
        self.look_soon()

    def look_soon(self) -> None:
        """Workers get time to speak first."""
        self._signs_of_life.clear()
        self._logged_before = None
        self._look_at = time.monotonic() + JOBS_LOOKED_AT_AFTER_S

    def spoke_of(self, job_id: UUID) -> None:
        """A worker has it."""
        if self._look_at is not None:
            self._signs_of_life.add(job_id)

    def hand_out_again(self, run_id: UUID, job_id: UUID, attempt: int) -> None:
        """A worker has ended it, and nobody knows any more with what: at the next look."""
        self._ended_unheard[job_id, attempt] = run_id

    async def look(self) -> None:
        """To be called each second: looks when it is time."""
        if self._ended_unheard and self._shell.client.is_connected:
            try:
                await self._say_ended_again()
            except (TimeoutError, NatsError, Unavailable) as fault:
                _log.warning("cannot hand out jobs again yet: %s", fault)
        if self._look_at is None:
            return
        if self._logged_before is None:
            self._logged_before = (await self._log.head()).position
        if time.monotonic() < self._look_at or not self._shell.client.is_connected:
            return
        try:
            await self._say_again(self._logged_before)
        except (TimeoutError, NatsError, NotFoundError, Unavailable) as fault:
            _log.warning("cannot look for lost jobs yet: %s", fault)
            self.look_soon()
        else:
            self._look_at = None

    async def _say_again(self, logged_before: int) -> None:
        await self._open.find()
        if not self._open:
            return
        queued = await queued_jobs(self._shell.client, self._subjects.jobs_stream)
        run_ids = list(self._open)
        for start in range(0, len(run_ids), RUNS_PAGE_COUNT):
            await self._say_of(run_ids[start : start + RUNS_PAGE_COUNT], queued, logged_before)
            self._runs.evict()

    async def _say_of(self, run_ids: Sequence[UUID], queued: set[tuple[UUID, int]], logged_before: int) -> None:
        await self._runs.read_readable([run_id for run_id in run_ids if self._runs.get(run_id) is None])
        lost: list[Outgoing] = []
        for run_id in run_ids:
            run = self._runs.get(run_id)
            if run is not None and run.is_ended:
                self._open.pop(run_id, None)
            elif run is not None:
                lost += await self._lost(run, queued, logged_before)
        if lost:
            _log.warning("%d jobs were lost with NATS, handing them out again", len(lost))
            await self._shell.say(lost)

    async def _lost(self, run: Run, queued: set[tuple[UUID, int]], logged_before: int) -> list[Outgoing]:
        silent = [
            unit
            for job_id, unit in run.jobs.items()
            if unit.status in _OPEN and job_id not in self._signs_of_life and (job_id, unit.attempt) not in queued
        ]
        return await self._again(run, silent, logged_before) if silent else []

    async def _say_ended_again(self) -> None:
        for (job_id, attempt), run_id in list(self._ended_unheard.items()):
            if self._runs.get(run_id) is None:
                await self._runs.read_readable([run_id])
            run = self._runs.get(run_id)
            unit = None if run is None else run.jobs.get(job_id)
            if run is not None and unit is not None and unit.status in _OPEN and unit.attempt == attempt:
                await self._shell.say(await self._again(run, [unit]))
            del self._ended_unheard[job_id, attempt]

    async def _again(self, run: Run, units: Sequence[Unit], logged_before: int | None = None) -> list[Outgoing]:
        """The jobs of these once more, of those that were queued before."""
        wanted = {(unit.node_id, unit.instance, unit.attempt) for unit in units}
        said: list[Outgoing] = []
        for stored in await self._log.read_stream(run.id):
            if stored.type == "NodeQueued" and (logged_before is None or stored.position <= logged_before):
                event = cast("NodeQueued", facts.decode(stored.type, stored.data))
                if (event.node_id, event.instance, event.attempt) in wanted:
                    said.append(self._job_message(run, event, stored, f"-again-{time.time_ns()}"))
        return said


async def queued_jobs(client: Client, stream: str) -> set[tuple[UUID, int]]:
    """(job, attempt) of every message on the job stream, read without consuming (JetStream direct get, in batches).

    Raises NatsError when the stream cannot be read whole.
    """
    found: set[tuple[UUID, int]] = set()
    sequence = 1
    while page := await _page(client, stream, sequence):  # also after one that is not full: the server counts bytes
        for message in page:
            sequence = int((message.headers or {}).get("Nats-Sequence", sequence)) + 1
            try:
                job = msgspec.json.decode(decode(message.data).data, type=JobRequested)
            except (NotAnEvent, msgspec.DecodeError):
                continue
            found.add((job.job_id, job.attempt))
    return found


async def _page(client: Client, stream: str, sequence: int) -> list[Msg]:
    inbox = client.new_inbox()
    page: list[Msg] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def arrived(message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            page.append(message)
        elif not ended.done():
            if status in ("204", "404"):
                ended.set_result(None)
            else:
                ended.set_exception(NatsError(f"cannot read {stream}: status {status}"))

    subscription = await client.subscribe(inbox, cb=arrived)
    try:
        body = msgspec.json.encode({"seq": sequence, "batch": PAGE_COUNT, "next_by_subj": ">"})
        await client.publish(f"$JS.API.DIRECT.GET.{stream}", body, reply=inbox)
        async with asyncio.timeout(ANSWER_WAIT_S):
            await ended
    except TimeoutError as silence:
        raise NatsError(f"{stream} does not answer") from silence
    finally:
        await subscription.unsubscribe()
    return page
