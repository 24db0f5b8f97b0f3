"""What a worker tells about one job: reports as CloudEvents on the stream REPORTS, each under an id of its own.

The message id is `{job_id}-{attempt}-{delivery}-{kind}` with a counter where a kind is told more than once, so that a
report sent twice is stored once and a report of another delivery is another report.
"""

import asyncio
import threading
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import msgspec

from flowforge.envelope import CloudEvent, encode
from flowforge.events import JobUsage
from flowforge.masking import Masking
from flowforge.publisher import Publisher
from flowforge.reports import (
    JobCompleted,
    JobFailed,
    JobLogged,
    JobProgressed,
    JobRequested,
    JobStarted,
    Report,
    ReportedError,
)

LOG_FLUSH_S = 0.2
LOG_LINES_PER_FLUSH = 100
LOG_LINE_CHARS_MAX = 8_192
LOG_REPORT_CHARS_MAX = 100_000
"""A character takes up to six bytes in JSON; a report must stay below the largest message."""
LOG_CHARS_MAX = 8 * 1024 * 1024
"""Of one attempt; what is beyond is counted and not kept."""
PROGRESS_INTERVAL_S = 0.2
MESSAGE_CHARS_MAX = 4_000
_encode = msgspec.json.Encoder().encode


class Reporting:
    """The reports of one delivered job, on `subject` with the kind added.

    `log` and `progress` may be called from any thread.
    """

    def __init__(
        self,
        publisher: Publisher,
        subject: str,
        job: JobRequested,
        cause: CloudEvent,
        *,
        delivery: int,
        worker: str,
    ) -> None:
        self.delivery = delivery
        self.started_at = datetime.now(UTC)
        self.is_started_told = False
        self.isolation: list[str] = []
        self.usage: JobUsage | None = None
        self.masking = Masking()
        """What must not be told of this job."""
        self.traceparent = cause.traceparent
        """The trace that the job belongs to."""
        self._publisher = publisher
        self._subject = subject
        self._job = job
        self._cause = cause
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_count = 0
        self._progress_count = 0
        self._progress: JobProgressed | None = None
        self._progress_told_at = 0.0
        self._progress_stored: asyncio.Future[None] | None = None
        self._is_progress_announced = False
        self._log = _LogLines()

    async def started(self) -> None:
        """Tell that the job runs; again after a reconnect, as a sign of life."""
        self.is_started_told = True
        self._started_count += 1
        suffix = "started" if self._started_count == 1 else f"started-{self._started_count}"
        await self._tell(JobStarted(at=self.started_at, isolation=self.isolation, **self._who()), suffix)

    async def completed(self, output: msgspec.Raw) -> asyncio.Future[None]:
        """Tell the good end; the future is done once it is stored. What the output must not show is masked already."""
        await self.tell_rest()
        report = JobCompleted(output=output, **self._how(), **self._who())
        return await self._tell(report, "completed")

    async def failed(self, error: ReportedError) -> asyncio.Future[None]:
        """Tell the bad end; the future is done once it is stored."""
        await self.tell_rest()
        error.message, error.details = self.masking.text(error.message), self.masking.json(error.details)
        return await self._tell(JobFailed(error=error, **self._how(), **self._who()), "failed")

    def progress(self, done: float, message: str) -> None:
        """Tell how far it is, at most five times a second and once what was told before is stored; the latest wins."""
        done = min(1.0, max(0.0, done))
        told = sendable(self.masking.text(message))[:MESSAGE_CHARS_MAX]
        self._progress = JobProgressed(progress=done, message=told, **self._who())
        if not self._is_progress_announced:
            self._is_progress_announced = True
            self._loop.call_soon_threadsafe(self._progress_soon)

    def log(self, text: str) -> None:
        """Keep the lines of `text`; they are told together, in order, within LOG_FLUSH_S."""
        for line in sendable(self.masking.text(text)).removesuffix("\n").split("\n"):
            if self._log.add(line):
                self._loop.call_soon_threadsafe(self._log_soon)

    @property
    def is_log_full(self) -> bool:
        """Whether further lines are dropped."""
        return self._log.is_full

    async def tell_rest(self) -> None:
        """Tell what is kept back: the last progress and the last lines."""
        if self._progress is not None:
            await self._tell_progress()
        await self._tell_lines()

    def _progress_soon(self) -> None:
        if self._progress_stored is not None and not self._progress_stored.done():
            self._progress_stored.add_done_callback(lambda _: self._progress_soon())
            return
        wait_s = self._progress_told_at + PROGRESS_INTERVAL_S - time.monotonic()
        if wait_s <= 0:
            self._spawn(self._tell_progress())
        else:
            self._loop.call_later(wait_s, lambda: self._spawn(self._tell_progress()))

    def _log_soon(self) -> None:
        if self._log.is_due():
            self._spawn(self._tell_lines())
        else:
            self._loop.call_later(LOG_FLUSH_S, lambda: self._spawn(self._tell_lines()))

    async def _tell_progress(self) -> None:
        self._is_progress_announced = False  # first: what is told from here on is announced anew
        report, self._progress = self._progress, None
        if report is None:
            return
        self._progress_told_at = time.monotonic()
        self._progress_count += 1
        self._progress_stored = await self._tell(report, f"progressed-{self._progress_count}")

    async def _tell_lines(self) -> None:
        for first_line, lines in self._log.take():
            await self._tell(JobLogged(lines=lines, first_line=first_line, **self._who()), f"logged-{first_line}")

    def _spawn(self, telling: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(telling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _who(self) -> dict[str, Any]:
        return {
            "attempt": self._job.attempt,
            "delivery": self.delivery,
            "node_id": self._job.node_id,
            "instance": self._job.instance,
            "worker": self._worker,
        }

    def _how(self) -> dict[str, Any]:
        """What a report of the end says of the whole attempt."""
        return {"started_at": self._unsaid_start(), "isolation": self.isolation, "usage": self.usage}

    def _unsaid_start(self) -> datetime | None:
        return None if self.is_started_told else self.started_at

    async def _tell(self, report: Report, suffix: str) -> asyncio.Future[None]:
        kind = type(report).__name__
        cause = self._cause
        job = self._job
        message_id = f"{job.job_id}-{job.attempt}-{self.delivery}{job.repeat}-{suffix}"
        body = encode(
            CloudEvent(
                id=message_id,
                source=f"/workers/{self._worker}",
                type=kind,
                data=msgspec.Raw(_encode(report)),
                correlationid=cause.correlationid,
                causationid=cause.id or None,
                traceparent=self.traceparent,
            )
        )
        return await self._publisher.publish(self._subject + kind, body, message_id)


def sendable(text: str) -> str:
    """The text as JSON can carry it: lone surrogates (names of files that are not UTF-8 have them) become `?`."""
    return text.encode(errors="replace").decode()


class _LogLines:
    """Lines that wait to be told, cut where they are too long, and counted where they are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._told_count = 0
        self._chars_count = 0
        self._is_announced = False
        self._is_full = False

    def add(self, line: str) -> bool:
        """Keep a line; True when somebody should come for what is kept, soon or (`is_due`) now."""
        line = line.removesuffix("\r").replace("\x00", "\ufffd")  # Postgres keeps no NUL in text
        if len(line) > LOG_LINE_CHARS_MAX:
            line = f"{line[:LOG_LINE_CHARS_MAX]}… [{len(line) - LOG_LINE_CHARS_MAX} more characters]"
        with self._lock:
            if self._is_full:
                return False
            self._chars_count += len(line) + 1
            if self._chars_count > LOG_CHARS_MAX:
                self._is_full = True
                line = f"[log truncated: an attempt keeps at most {LOG_CHARS_MAX} characters]"
            self._waiting.append(line)
            announce = not self._is_announced or len(self._waiting) == LOG_LINES_PER_FLUSH
            self._is_announced = True
            return announce

    @property
    def is_full(self) -> bool:
        """Whether further lines are dropped."""
        return self._is_full

    def is_due(self) -> bool:
        return len(self._waiting) >= LOG_LINES_PER_FLUSH

    def take(self) -> list[tuple[int, list[str]]]:
        """What waits, in parts small enough for one report each: (number of the first line, lines)."""
        with self._lock:
            lines, self._waiting, self._is_announced = self._waiting, [], False
            first_line = self._told_count
            self._told_count += len(lines)
        parts: list[tuple[int, list[str]]] = []
        while lines:
            count, chars = 0, 0
            while count < min(len(lines), LOG_LINES_PER_FLUSH) and chars <= LOG_REPORT_CHARS_MAX - LOG_LINE_CHARS_MAX:
                chars += len(lines[count])
                count += 1
            parts.append((first_line, lines[:count]))
            first_line, lines = first_line + count, lines[count:]
        return parts
