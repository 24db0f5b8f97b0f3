"""One job in a worker, from its handler's call to the outcome: an output, an error, or handed back to the queue."""

import asyncio
import contextvars
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, cast

import msgspec
from nats.errors import Error as NatsError

from flowforge.blobs import Blobs
from flowforge.errors import ErrorCode, FlowForgeError, JobError
from flowforge.job import Job
from flowforge.masking import Masking
from flowforge.raw import NULL
from flowforge.reporting import MESSAGE_CHARS_MAX, Reporting, sendable
from flowforge.reports import OUTPUT_BYTES_MAX, JobRequested, ReportedError

TRACEBACK_CHARS_MAX = 4_000
CODE_CHARS_MAX = 200
DETAILS_BYTES_MAX = 256 * 1024
"""Of an error's details as JSON; the report with them must stay below the largest message."""
BLOB_TRIES_COUNT = 60
BLOB_RETRY_WAIT_S = 0.5
StopReason = Literal["cancelled", "deadline", "stopped"]
HandlerFunction = Callable[[Job], Awaitable[Any] | Any]
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("flowforge.worker")


class Handler(msgspec.Struct, frozen=True):
    """What serves a job type: a coroutine function, or a plain one that is called in a thread."""

    job_type: str
    call: HandlerFunction
    is_async: bool


class HandedBack(msgspec.Struct, frozen=True):
    """The worker ends before the job does: another worker shall have it."""


Outcome = msgspec.Raw | ReportedError | HandedBack


class Running:
    """A job that was delivered to this worker and has not been settled."""

    def __init__(self, request: JobRequested, reply: str, delivery: int, reporting: Reporting) -> None:
        self.request = request
        self.reply = reply
        self.reporting = reporting
        self.job = Job(request, delivery, reporting)
        self.key = (request.job_id, request.attempt)
        self.task: asyncio.Task[None] | None = None
        self.thread: Future[Any] | None = None
        self.began_at = self.sign_at = time.monotonic()
        self.is_resolved = False
        """Whether what payload and input refer to was read; before that no handler is called."""
        self.is_handling = False
        """Whether the handler is being run, so that stopping means cancelling the task."""
        self.is_abandoned = False
        """Whether the outcome was told although the handler has not ended."""
        self.is_told = False
        """Whether its ending report was stored: what is still here then is a handler that does not end."""
        self.is_roomless = False
        """Whether it was stopped while it waited, and takes nothing of what the worker offers."""
        self.deadline_timer: asyncio.TimerHandle | None = None

    def ending_before(self, request: JobRequested) -> asyncio.Task[None] | None:
        """What tells the end of its handler, where that came before somebody asked for it once more: this run does not
        answer for that."""
        has_ended = self.is_resolved and not self.is_handling and request.repeat != self.request.repeat
        return self.task if has_ended and self.task is not None and not self.task.done() else None

    def adopt(self, reply: str, delivery: int) -> None:
        """The queue handed out again what runs here already: this run answers for the new delivery too."""
        self.reply = reply
        self.job.delivery = self.reporting.delivery = max(delivery, self.job.delivery)

    def stop(self, reason: StopReason) -> bool:
        """Ask the handler to end; False if it was asked before."""
        if self.job.stop_reason is not None:
            return False
        self.job.stop_reason = reason
        if self.is_handling and self.task is not None:
            self.task.cancel()
        return True

    def stopped_outcome(self) -> Outcome | None:
        """What is told of a job that was stopped; None if it was not."""
        match self.job.stop_reason:
            case None:
                return None
            case "cancelled":
                return ReportedError(code=ErrorCode.CANCELLED, message="the job was cancelled", retryable=False)
            case "deadline":
                return ReportedError(code=ErrorCode.JOB_TIMEOUT, message="the attempt's time was up")
            case _:
                return HandedBack()


async def perform(running: Running, handler: Handler | None, pool: ThreadPoolExecutor, blobs: Blobs) -> Outcome:
    """Call the handler, and say what came of it. Raises nothing but what is a bug here."""
    if handler is None:
        return ReportedError(message=f"this worker does not serve the job type '{running.request.job_type}'")
    refusal = await _resolve(running, blobs)
    running.is_resolved = True
    if refusal is not None:
        return refusal
    if (stopped := running.stopped_outcome()) is not None:
        return stopped
    try:
        result = await _handle(running, handler, pool)
    except asyncio.CancelledError as fault:
        stopped = running.stopped_outcome()
        if stopped is None and (task := asyncio.current_task()) is not None and task.cancelling():
            raise  # not the job is stopped but the worker that runs it
        return stopped or failure(fault, running.reporting.masking)
    except (Exception, SystemExit) as fault:  # noqa: BLE001 - the handler is not ours: whatever it raises is its outcome
        return running.stopped_outcome() or failure(fault, running.reporting.masking)
    return running.stopped_outcome() or await _output(result, running.reporting.masking, blobs)


async def _handle(running: Running, handler: Handler, pool: ThreadPoolExecutor) -> Any:
    running.is_handling = True
    try:
        if handler.is_async:
            return await cast("Awaitable[Any]", handler.call(running.job))
        context = contextvars.copy_context()
        running.thread = pool.submit(context.run, handler.call, running.job)
        return await asyncio.wrap_future(running.thread)
    except asyncio.CancelledError:
        if running.stopped_outcome() is not None and (task := asyncio.current_task()) is not None:
            task.uncancel()
        raise
    finally:
        running.is_handling = False


async def _resolve(running: Running, blobs: Blobs) -> ReportedError | None:
    """Put what payload and input refer to in its place."""
    request = running.request
    if b'"$blob"' not in bytes(request.payload) and b'"$blob"' not in bytes(request.input):
        return None
    try:
        request.payload = await _tried(lambda: blobs.inline(request.payload))
        request.input = await _tried(lambda: blobs.inline(request.input))
    except FlowForgeError as fault:  # it is nowhere, or where the server is cannot be read
        return ReportedError(message=str(fault))
    except NatsError as fault:
        return ReportedError(message=f"the input could not be read: {fault!r}")
    return None


async def _output(result: Any, masking: Masking, blobs: Blobs) -> Outcome:
    try:
        data = _encode(result)
        if isinstance(result, msgspec.Raw):  # passed on as it is, by whoever says that it is JSON
            msgspec.json.decode(data)
        data = bytes(masking.json(msgspec.Raw(data)))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.DecodeError) as fault:
        told = f"the output is not JSON: {fault}"[:MESSAGE_CHARS_MAX]
        return ReportedError(code=ErrorCode.OUTPUT_INVALID, message=told, retryable=False)
    if len(data) > OUTPUT_BYTES_MAX:
        told = f"the output has {len(data)} bytes, at most {OUTPUT_BYTES_MAX} are allowed"
        return ReportedError(code=ErrorCode.PAYLOAD_TOO_LARGE, message=told, retryable=False)
    try:
        return await _tried(lambda: blobs.outline(data))
    except NatsError as fault:
        return ReportedError(message=f"the output of {len(data)} bytes could not be stored: {fault!r}")


async def _tried(work: Callable[[], Awaitable[msgspec.Raw]]) -> msgspec.Raw:
    """The object store's answer, asked again while NATS does not give one. Raises the last error of nats-py."""
    for _ in range(BLOB_TRIES_COUNT - 1):
        try:
            return await work()
        except NatsError as fault:
            _log.warning("the object store does not answer, trying again: %r", fault)
            await asyncio.sleep(BLOB_RETRY_WAIT_S)
    return await work()


def failure(fault: BaseException, masking: Masking) -> ReportedError:
    """The error that a handler's exception is told as; one that was not raised as a `JobError` with its traceback."""
    text = masking.text(sendable(str(fault)))
    if isinstance(fault, JobError):
        told = ReportedError(code=sendable(fault.code)[:CODE_CHARS_MAX], message=text[:MESSAGE_CHARS_MAX])
        told.retryable, told.details = fault.retryable, _details(fault.details)
        return told
    trace = sendable("".join(traceback.format_exception(_from_handler(fault))))
    told = f"{type(fault).__name__}: {text}" if text else type(fault).__name__
    details = _details({"error_class": type(fault).__name__, "traceback": masking.text(trace)[-TRACEBACK_CHARS_MAX:]})
    return ReportedError(message=told[:MESSAGE_CHARS_MAX], details=details)


def _details(given: dict[str, Any] | None) -> msgspec.Raw:
    """As JSON; what is none is told by its name, what is too large by its size."""
    if given is None:
        return NULL
    try:
        data = _encode(given)
    except (TypeError, ValueError, OverflowError, RecursionError):
        data = _encode({"unreadable": f"{type(given).__name__} that is not JSON"})
    if len(data) > DETAILS_BYTES_MAX:
        data = _encode({"too_large": f"{len(data)} bytes of details, at most {DETAILS_BYTES_MAX} are kept"})
    return msgspec.Raw(data)


def _from_handler(fault: BaseException) -> BaseException:
    """The same, its traceback without the steps that lead to the handler: those are ours and tell nobody anything."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return fault.with_traceback(trace) if trace is not None else fault
