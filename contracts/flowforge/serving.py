"""A worker at work: one connection, one standing pull per job type, the jobs that run, and their signs of life.

A job goes `delivered → begun → performed → reported → acknowledged`. It is acknowledged once its ending report is
stored; until then it is kept alive at the queue every JOB_HEARTBEAT_S. What runs here and is handed out to us again
(the server restarted, its store was lost) is adopted, not run twice.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from flowforge import arriving, envelope
from flowforge.blobs import Blobs, from_server
from flowforge.errors import ErrorCode
from flowforge.linking import Link
from flowforge.performing import HandedBack, Handler, Outcome, Running, perform
from flowforge.publisher import Publisher
from flowforge.reporting import Reporting
from flowforge.reports import JobRequested, ReportedError
from flowforge.room import Offer, Room, need_of
from flowforge.subjects import JOB_DELIVERIES_MAX, JOB_HEARTBEAT_S, Subjects
from flowforge.taking import Taking
from flowforge.tracing import JobSpan, JobTracer, about, about_job

STARTED_AFTER_S = 0.02
"""A job that ends sooner sends no JobStarted; its ending report carries the time."""
CANCEL_GRACE_S = 10.0
"""A handler that does not end after it was told to is left behind, and its job is reported."""
STOPPED_HANDLERS_S = 5.0
LAST_REPORTS_S = 5.0
LAST_FLUSH_S = 2
TICK_S = min(1.0, JOB_HEARTBEAT_S / 3)
NAK_DELAY_S = 1.0
PASSED_ON_S = (1.0, 10.0)
"""How long a job that is too large for this worker stays away, the first time and the next."""
REMEMBERED_COUNT = 10_000
JETSTREAM_TIMEOUT_S = 5
_decode = msgspec.json.Decoder(JobRequested).decode
_log = logging.getLogger("flowforge.worker")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker serves."""

    queue: str
    offer: Offer
    name: str
    nats_url: str | None
    namespace: str
    stop_grace_s: float
    passed: Callable[[str], None]
    """Called at `before_report` and `after_report`; what it raises hands the job back."""
    tracer: JobTracer | None = None


class Serving:
    """One run of a worker, from connecting to the last acknowledgement."""

    def __init__(self, options: Options, handlers: Mapping[str, Handler], ready: Callable[[], None]) -> None:
        self._options = options
        self._handlers = handlers
        self._ready = ready
        self._subjects = Subjects(options.namespace)
        self._link = Link(options.nats_url, options.name, self._reconnected)
        self._client = self._link.client
        self._pool = ThreadPoolExecutor(options.offer.jobs_max, thread_name_prefix="flowforge-job")
        self._running: dict[tuple[UUID, int], Running] = {}
        self._room: Room[Running] = Room(options.offer)
        self._told_lacks: set[str] = set()
        self._begun: deque[Running] = deque()
        self._ended: OrderedDict[tuple[UUID, int, str], None] = OrderedDict()
        self._cancelled: OrderedDict[UUID, int] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._is_sweeping = False

    @property
    def stuck_threads_count(self) -> int:
        """Handlers in threads that did not end when they were told to."""
        return sum(running.thread is not None and running.thread.running() for running in self._running.values())

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then end in order. Raises `Unreachable` when NATS closes the door for good."""
        self._loop = asyncio.get_running_loop()
        if not await self._link.open(stop):
            return
        self._publisher = Publisher(self._client)
        self._jetstream = self._client.jetstream(timeout=JETSTREAM_TIMEOUT_S)
        self._blobs = Blobs(self._jetstream, self._subjects.blobs_bucket, from_server)
        await self._publisher.start()
        await self._client.subscribe(self._subjects.cancel("*"), cb=self._heard_cancel)
        self._taking = Taking(
            self._client,
            self._subjects,
            self._options.queue,
            places_count=min(self._options.offer.jobs_max, self._options.offer.slots),
            open_count=lambda: self._room.open_count,
            deliver=self._delivered,
            ready=self._ready,
        )
        background, grace_s = [self._loop.create_task(self._tick())], 0.0
        try:
            background += await self._taking.start(self._handlers)
            await self._until_end(stop, background)
            if self._link.closed.is_set():
                raise self._link.ended()
            grace_s = self._options.stop_grace_s
        finally:  # whatever it ends by, nothing goes on
            await self._end(background, grace_s)

    async def _until_end(self, stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
        """Wait for the order to stop, for NATS to turn us away, or for a bug in what runs beside."""
        endings = [self._loop.create_task(stop.wait()), self._loop.create_task(self._link.closed.wait())]
        try:
            await asyncio.wait([*endings, *background], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ending in endings:
                ending.cancel()
        for task in background:
            if task.done():
                task.result()

    async def _reconnected(self) -> None:
        self._ended.clear()  # their reports may be lost with the server: what is handed out again is done again
        await self._publisher.reconnected()
        for running in [each for each in self._running.values() if not each.is_told]:
            await self._settle(running.reply, arriving.PROGRESS)
            if running.reporting.is_started_told:
                await running.reporting.started()
        self._taking.reconnected()

    # --- jobs that arrive -------------------------------------------------------------------------------------------

    def _delivered(self, message: Msg) -> None:
        delivery = arriving.delivery(message.reply)
        try:
            cause = envelope.decode(message.data)
            request = _decode(cause.data)
        except (envelope.NotAnEvent, msgspec.DecodeError, UnicodeDecodeError) as fault:
            self._spawn(self._refuse(message, delivery, str(fault)))
            return
        key = (request.job_id, request.attempt)
        if (*key, request.repeat) in self._ended:
            self._spawn(self._settle(message.reply, arriving.ACK))
            return
        if (known := self._running.get(key)) is not None:
            if (ending := known.ending_before(request)) is not None:
                self._spawn(self._delivered_after(ending, message))
            else:
                self._adopt(known, message.reply, delivery)
            return
        reporting = self._reporting(request, cause, delivery)
        running = Running(request, message.reply, delivery, reporting)
        if self._is_stopping:
            self._spawn(self._settle(message.reply, arriving.NAK))
            return
        if (lacks := self._options.offer.lacks(need_of(running))) is not None:
            self._spawn(self._pass_on(running, lacks))
            return
        self._running[key] = running
        self._heed(running)
        if running.job.cancelled:
            self._begin_roomless(running)
        elif self._room.enter(running):
            self._begin(running)

    async def _delivered_after(self, ending: asyncio.Task[None], message: Msg) -> None:
        await asyncio.wait([ending])
        self._delivered(message)

    def _adopt(self, known: Running, reply: str, delivery: int) -> None:
        """It runs here already; or it was told to end, does not, and its report is lost with the server."""
        known.adopt(reply, delivery)
        if known.is_told and (outcome := known.stopped_outcome()) is not None:
            self._spawn(self._finish(known, outcome))

    def _reporting(self, request: JobRequested, cause: envelope.CloudEvent, delivery: int) -> Reporting:
        subject = self._subjects.report(request.run_id, request.job_id, "")
        return Reporting(self._publisher, subject, request, cause, delivery=delivery, worker=self._options.name)

    async def _refuse(self, message: Msg, delivery: int, reason: str) -> None:
        """A message that is no job will never be one: tell its run, if it names one, and take it off the queue."""
        _log.error("message on %s is no job: %s", message.subject, reason)
        if (request := arriving.named_job(message.data)) is not None:
            cause = envelope.CloudEvent(id="", source="", type="")
            reporting = self._reporting(request, cause, delivery)
            told = f"the job could not be read: {reason}"
            await (await reporting.failed(ReportedError(code=ErrorCode.INPUT_INVALID, message=told, retryable=False)))
        await self._settle(message.reply, arriving.TERM)

    async def _pass_on(self, running: Running, lacks: str) -> None:
        """Another worker may offer more. The last time that the queue hands it out, its run is told instead."""
        if lacks not in self._told_lacks:
            self._told_lacks.add(lacks)
            _log.warning("%r is handed back: %s by this worker", running.job, lacks)
        if running.job.delivery < JOB_DELIVERIES_MAX:
            await self._settle(running.reply, arriving.nak(PASSED_ON_S[running.job.delivery - 1]))
            return
        told = (
            f"no worker was found that has room for the job: {lacks} by {self._options.name}. "
            "Start a worker that offers more, give such nodes a queue of their own, or ask for less in `resources`"
        )
        await (await running.reporting.failed(ReportedError(message=told)))
        await self._settle(running.reply, arriving.ACK)

    # --- running jobs -----------------------------------------------------------------------------------------------

    def _heed(self, running: Running) -> None:
        """What is known of a job when it comes: its deadline, which does not wait until it begins, or a cancel."""
        if running.request.deadline is not None:
            left_s = (running.request.deadline - datetime.now(UTC)).total_seconds()
            running.deadline_timer = self._loop.call_later(max(0.0, left_s), self._stop_job, running, "deadline")
            if left_s <= 0:
                running.stop("deadline")
        if self._cancelled.get(running.request.job_id, 0) >= running.request.attempt:
            running.stop("cancelled")

    def _begin(self, running: Running) -> None:
        running.began_at = time.monotonic()
        running.reporting.started_at = datetime.now(UTC)
        running.task = self._loop.create_task(self._run(running))
        self._begun.append(running)
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(STARTED_AFTER_S, self._sweep)

    def _sweep(self) -> None:
        """Tell the start of jobs that have not ended STARTED_AFTER_S later."""
        begun, now = self._begun, time.monotonic()
        due = now - STARTED_AFTER_S
        for _ in range(len(begun)):
            if begun[0].began_at > due:
                break
            running = begun.popleft()
            if not running.is_resolved and running.key in self._running:
                running.began_at = now  # what it takes is still being read: look again
                begun.append(running)
            elif running.is_handling and running.key in self._running:
                self._spawn(running.reporting.started())
        self._is_sweeping = bool(begun)
        if begun:
            self._loop.call_later(begun[0].began_at - due, self._sweep)

    async def _run(self, running: Running) -> None:
        handler = self._handlers.get(running.request.job_type)
        span, code = self._span(running), None
        about.set(about_job(running.job))
        try:
            outcome = await perform(running, handler, self._pool, self._blobs)
            code = outcome.code if isinstance(outcome, ReportedError) else None
            if not running.is_abandoned:
                await self._finish(running, outcome)
        except Exception:  # noqa: BLE001 - a bug here must not end the worker; the job goes to another
            _log.exception("%r could not be brought to its end; handing it back", running.job)
            await self._settle(running.reply, arriving.nak(NAK_DELAY_S))
        finally:
            if span is not None:
                span.ended(code)
            self._release(running)

    def _span(self, running: Running) -> JobSpan | None:
        span = None if self._options.tracer is None else self._options.tracer(running.job)
        if span is not None:
            running.reporting.traceparent = span.traceparent
        return span

    async def _finish(self, running: Running, outcome: Outcome) -> None:
        """Report, wait until the report is stored, acknowledge."""
        if isinstance(outcome, HandedBack):
            await running.reporting.tell_rest()
            await self._settle(running.reply, arriving.NAK)
            return
        self._options.passed("before_report")
        if isinstance(outcome, ReportedError):
            stored = await running.reporting.failed(outcome)
        else:
            stored = await running.reporting.completed(outcome)
        await stored
        running.is_told = True
        _remember(self._ended, (*running.key, running.request.repeat), None)
        self._options.passed("after_report")
        await self._settle(running.reply, arriving.ACK)

    def _release(self, running: Running) -> None:
        if running.deadline_timer is not None:
            running.deadline_timer.cancel()
        if running.thread is not None and not running.thread.done():
            running.thread.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._free, running))
        else:
            self._free(running)

    def _free(self, running: Running) -> None:
        self._running.pop(running.key, None)
        if not running.is_roomless:
            self._begin_all(self._room.leave(running))
        self._taking.refill()

    def _begin_roomless(self, running: Running) -> None:
        """It was stopped before it began: its handler is not called."""
        running.is_roomless = True
        self._begin(running)

    def _begin_all(self, admitted: list[Running]) -> None:
        for running in admitted:
            self._begin(running)

    # --- stopping jobs ----------------------------------------------------------------------------------------------

    async def _heard_cancel(self, message: Msg) -> None:
        """Stop the attempts up to the one named; where none is named, those that are here now."""
        try:
            job_id = UUID(message.subject.rpartition(".")[2])
        except ValueError:
            return  # no job of ours
        attempt = arriving.cancelled_attempt(message.data)
        if attempt is not None:
            _remember(self._cancelled, job_id, max(attempt, self._cancelled.get(job_id, 0)))
        for running in list(self._running.values()):
            if running.request.job_id == job_id and (attempt is None or running.request.attempt <= attempt):
                self._stop_job(running, "cancelled")

    def _stop_job(self, running: Running, reason: Any) -> None:
        if not running.stop(reason):
            return
        if running.task is not None:
            self._loop.call_later(CANCEL_GRACE_S, self._abandon, running)
        elif (admitted := self._room.withdraw(running)) is not None:
            self._begin_roomless(running)
            self._begin_all(admitted)

    def _abandon(self, running: Running) -> None:
        """The handler did not end: tell the outcome all the same. Its place stays taken as long as it runs."""
        outcome = running.stopped_outcome()
        if running.is_handling and not running.is_abandoned and outcome is not None:
            _log.warning("%r does not end although it was told to", running.job)
            running.is_abandoned = True
            self._spawn(self._finish(running, outcome))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._publisher.tick()
            self._taking.look()
            due = time.monotonic() - JOB_HEARTBEAT_S + TICK_S / 2
            for running in list(self._running.values()):
                if running.sign_at <= due and not running.is_abandoned and not running.is_told:
                    running.sign_at = time.monotonic()
                    await self._settle(running.reply, arriving.PROGRESS)

    # --- ending -----------------------------------------------------------------------------------------------------

    async def _end(self, background: list[asyncio.Task[None]], grace_s: float) -> None:
        """Take no more, let what runs end, hand back the rest, tell everything, close."""
        self._is_stopping = True
        await self._taking.stop()
        for waiting in self._room.empty():
            self._running.pop(waiting.key, None)
            await self._settle(waiting.reply, arriving.NAK)
        await self._ended_jobs(grace_s)
        for running in list(self._running.values()):
            running.stop("stopped")
        await self._ended_jobs(STOPPED_HANDLERS_S)
        for running in list(self._running.values()):
            await self._settle(running.reply, arriving.NAK)
        if not await self._publisher.flushed(0 if self._client.is_closed else LAST_REPORTS_S):
            _log.warning("%d reports were not stored", len(self._publisher))
        background[0].cancel()
        if self._client.is_connected:
            with contextlib.suppress(NatsError):
                await self._client.flush(LAST_FLUSH_S)
        await self._client.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ended_jobs(self, timeout_s: float) -> None:
        tasks = [running.task for running in self._running.values() if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    async def _settle(self, reply: str, answer: bytes) -> None:
        """Answer the queue; lost while the connection is down, and then the job is handed out again."""
        with contextlib.suppress(NatsError):
            await self._client.publish(reply, answer)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _remember(known: OrderedDict[Any, Any], key: object, value: object) -> None:
    known[key] = value
    if len(known) > REMEMBERED_COUNT:
        known.popitem(last=False)
