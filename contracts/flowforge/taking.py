"""Taking jobs of several types from the queue, as room allows, whatever happens to their consumers."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from flowforge.jobs import ConsumerMismatch, StandingPull, ensure_job_consumer
from flowforge.subjects import Subjects, job_consumer

RETRY_WAIT_S = 0.25
RETRY_WAIT_MAX_S = 2.0
JETSTREAM_TIMEOUT_S = 5
_log = logging.getLogger("flowforge.worker")


class Intake:
    """The jobs of one type."""

    def __init__(self, job_type: str, pull: StandingPull) -> None:
        self.job_type = job_type
        self.pull = pull
        self.lost = asyncio.Event()
        self.is_bound = False


class Taking:
    """One standing pull per job type, which share `places_count` places; `open_count` says how many are free.

    `ready` is called whenever every job type is taken. `look` is to be called about each second, `refill` whenever a
    place was freed, `reconnected` when the connection is a new one.
    """

    def __init__(
        self,
        client: Client,
        subjects: Subjects,
        queue: str,
        *,
        places_count: int,
        open_count: Callable[[], int],
        deliver: Callable[[Msg], None],
        ready: Callable[[], None],
    ) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=JETSTREAM_TIMEOUT_S)
        self._subjects = subjects
        self._queue = queue
        self._places_count = places_count
        self._open_count = open_count
        self._deliver = deliver
        self._ready = ready
        self._intakes: list[Intake] = []
        self._binding: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    async def start(self, job_types: Iterable[str]) -> list[asyncio.Task[None]]:
        """Begin to take; the tasks run until `stop`."""
        for job_type in job_types:
            intake = self._intake(job_type)
            self._intakes.append(intake)
            await intake.pull.start()
        self._binding = [self._spawn(self._take(intake)) for intake in self._intakes]
        return self._binding

    async def stop(self) -> None:
        """Take no more; what is on its way is still delivered before this returns."""
        self._is_stopped = True
        for task in self._binding:
            task.cancel()
        await asyncio.gather(*(intake.pull.stop() for intake in self._intakes))

    def look(self) -> None:
        for intake in self._intakes:
            intake.pull.look()

    def reconnected(self) -> None:
        for intake in self._intakes:
            intake.pull.forget()
            intake.lost.set()

    def refill(self) -> None:
        """Ask for as many jobs as there is room for: idle job types keep a small share open, busy ones get the rest.

        A job type with nothing asked for always gets one, so that none waits for the others; with more job types than
        places a job may then be delivered before there is a place for it.
        """
        places_count, open_count = self._places_count, self._open_count()
        bound = [intake for intake in self._intakes if intake.is_bound]
        if self._is_stopped or not bound or open_count <= 0:
            return
        room = open_count - sum(intake.pull.outstanding_count for intake in bound)
        share = places_count if len(bound) == 1 else max(1, places_count // (2 * len(bound)))
        for intake in bound:
            outstanding_count = intake.pull.outstanding_count
            if outstanding_count > share // 2:
                continue
            count = room if intake.pull.is_busy else min(room, share - outstanding_count)
            count = max(count, 0 if outstanding_count else 1)
            if count:
                room -= count
                self._spawn(self._sent(intake, intake.pull.ask(count)))

    def _intake(self, job_type: str) -> Intake:
        pull = StandingPull(
            self._client,
            self._subjects.jobs_stream,
            job_consumer(self._queue, job_type),
            deliver=self._deliver,
            low=self.refill,
            lost=lambda reason: self._lost(intake, reason),
        )
        intake = Intake(job_type, pull)
        return intake

    def _lost(self, intake: Intake, reason: str) -> None:
        _log.warning("jobs of type %s do not come: %s; asking anew", intake.job_type, reason)
        intake.lost.set()

    async def _take(self, intake: Intake) -> None:
        """Bind to the consumer, again whenever it is lost."""
        wait_s = RETRY_WAIT_S
        while True:
            intake.lost.clear()
            began_at = time.monotonic()
            intake.is_bound = await self._bind(intake)
            if self._is_stopped:  # `asyncio.wait_for`, in nats-py, forgets a cancel that comes with the answer
                return
            if intake.is_bound:
                if all(each.is_bound for each in self._intakes):
                    self._ready()
                self.refill()
                await intake.lost.wait()
            if time.monotonic() - began_at > RETRY_WAIT_MAX_S:
                wait_s = RETRY_WAIT_S
                continue
            await asyncio.sleep(wait_s)
            wait_s = min(RETRY_WAIT_MAX_S, wait_s * 2)

    async def _bind(self, intake: Intake) -> bool:
        try:
            await ensure_job_consumer(self._jetstream, self._subjects, self._queue, intake.job_type)
        except (NatsError, ConsumerMismatch) as fault:
            _log.warning("no consumer for jobs of type %s yet: %s", intake.job_type, fault or repr(fault))
            return False
        intake.pull.forget()
        return True

    async def _sent(self, intake: Intake, asking: Coroutine[None, None, None]) -> None:
        try:
            await asking
        except NatsError as fault:
            self._lost(intake, repr(fault))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
