"""What a job handler is given: one attempt of one job, its payload and input, and ways to tell how it goes."""

from collections.abc import Awaitable, Generator
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec

from flowforge.events import JobUsage
from flowforge.reporting import Reporting
from flowforge.reports import JobRequested

_decode = msgspec.json.Decoder().decode


class Told(Awaitable[None]):
    """Already done; may be awaited or not, so that handlers in threads call what async ones await."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_TOLD = Told()


class Job:
    """One delivery of one attempt.

    `idempotency_key` is the same for every attempt and delivery of this job: send it along to systems that can tell a
    repeat by it. `delivery` counts how often the queue handed this attempt out; above 1, an earlier worker vanished.
    """

    def __init__(self, request: JobRequested, delivery: int, reporting: Reporting) -> None:
        self.delivery = delivery
        self.stop_reason: str | None = None
        """Why the job is being stopped: `cancelled`, `deadline`, `stopped` (the worker ends), or None."""
        self._request = request
        self._reporting = reporting

    @property
    def job_id(self) -> UUID:
        return self._request.job_id

    @property
    def job_type(self) -> str:
        return self._request.job_type

    @property
    def workflow_id(self) -> str:
        return self._request.workflow_id

    @property
    def run_id(self) -> UUID:
        return self._request.run_id

    @property
    def node_id(self) -> str:
        return self._request.node_id

    @property
    def instance(self) -> str:
        """Which instance of a node inside a map; empty for a node without `for_each`."""
        return self._request.instance

    @property
    def attempt(self) -> int:
        """1 for the first try; a retry policy gives further ones."""
        return self._request.attempt

    @property
    def idempotency_key(self) -> str:
        return self._request.idempotency_key

    @property
    def deadline(self) -> datetime | None:
        """When this attempt times out (aware, UTC); the handler is cancelled then."""
        return self._request.deadline

    @cached_property
    def payload(self) -> Any:
        """The node's `payload`, its templates resolved; JSON data."""
        return _decode(self._request.payload)

    @cached_property
    def input(self) -> Any:
        """The node's input; JSON data."""
        return _decode(self._request.input)

    @property
    def raw_payload(self) -> bytes:
        """The payload as JSON text, for decoders of one's own."""
        return bytes(self._request.payload)

    @property
    def raw_input(self) -> bytes:
        """The input as JSON text, for decoders of one's own."""
        return bytes(self._request.input)

    @property
    def callback_url(self) -> str:
        """Where the answer of a `webhook` that waits for one is to be sent; empty for other jobs."""
        return self._request.callback_url

    @property
    def traceparent(self) -> str | None:
        """The trace that the job belongs to, as W3C Trace Context writes it; to be sent along to other systems."""
        return self._reporting.traceparent

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants this job to end. Async handlers are cancelled besides; those in threads must look."""
        return self.stop_reason is not None

    def progress(self, done: float, message: str = "") -> Told:
        """Tell how far the job is, 0 to 1. Awaiting is allowed and not needed; told at most five times a second."""
        self._reporting.progress(done, message)
        return _TOLD

    def log(self, text: str) -> None:
        """Add lines to the job's log, kept with the run. Costs little; lines are told together, in order."""
        self._reporting.log(text)

    def hide(self, *values: str) -> None:
        """From now on `***` stands for these values in all that is told of the job: lines, progress, error, output.

        Their usual disguises (base64, percent-encoding, JSON's escapes) are hidden too; see `flowforge.masking`.
        """
        self._reporting.masking.hide(*values)

    def hidden(self, text: str) -> str:
        """The text as it may be told."""
        return self._reporting.masking.text(text)

    @property
    def is_log_full(self) -> bool:
        """Whether the attempt has logged as much as is kept; further lines are dropped."""
        return self._reporting.is_log_full

    def isolated(self, layers: list[str]) -> None:
        """What keeps the job's work apart from the machine; told with its start and its end."""
        self._reporting.isolation = layers

    def used(self, usage: JobUsage) -> None:
        """What the job's work took; told with its end, good or bad."""
        self._reporting.usage = usage

    def __repr__(self) -> str:
        return f"<Job {self.job_type} {self.job_id} attempt {self.attempt} delivery {self.delivery}>"
