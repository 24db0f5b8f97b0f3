"""Messages as they arrive at a worker, and the answers that the queue understands."""

from uuid import UUID

import msgspec

from flowforge import envelope
from flowforge.reports import JobRequested

ACK, NAK, TERM, PROGRESS = b"", b"-NAK", b"+TERM", b"+WPI"


def delivery(reply: str) -> int:
    """The delivery count in an acknowledgement subject, of either form (ADR-15 of nats-architecture-and-design)."""
    tokens = reply.split(".")
    return int(tokens[4] if len(tokens) == 9 else tokens[6])


def nak(delay_s: float) -> bytes:
    """Hand it out again, but not before `delay_s`."""
    return b'-NAK {"delay": %d}' % int(delay_s * 1_000_000_000)


class _NamedJob(msgspec.Struct):
    """As much of a job as a report needs."""

    job_id: UUID
    run_id: UUID
    attempt: int = 1
    node_id: str = ""


class _NamedEvent(msgspec.Struct):
    data: _NamedJob


def named_job(body: bytes) -> JobRequested | None:
    """As much as can be read of a job that cannot be read whole; None: not even which it is."""
    try:
        named = msgspec.json.decode(body, type=_NamedEvent).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return JobRequested(
        job_id=named.job_id, run_id=named.run_id, attempt=named.attempt, node_id=named.node_id,
        job_type="", workflow_id="", idempotency_key="",
    )  # fmt: skip


class _CancelledAttempt(msgspec.Struct):
    attempt: int | None = None


def cancelled_attempt(body: bytes) -> int | None:
    """Which attempt a cancel means, if it says so: the attempts of a job share their id."""
    try:
        return msgspec.json.decode(envelope.decode(body).data, type=_CancelledAttempt).attempt
    except (envelope.NotAnEvent, msgspec.DecodeError, UnicodeDecodeError):
        return None
