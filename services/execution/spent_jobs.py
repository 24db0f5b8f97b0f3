"""Jobs that were handed out as often as they may be, while no worker of their type is left to ask for more.

nats-server tells that a job is spent when somebody pulls from its consumer (`getNextMsg` in its consumer.go), and
with all workers of a type gone nobody does: the attempt would stay open for as long. A pull for fewer bytes than any
job has makes it look and takes nothing; the counts of deliveries stay as they were.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import cast

import msgspec
from flowforge.envelope import CloudEvent, NotAnEvent
from flowforge.reports import JobFailed, JobRequested, ReportedError
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from infra.bus import Message, Shell
from infra.bus.settling import LATER_S, ask_again_later
from infra.bus.stranded import free_all
from services.execution.settings import SPENT_JOBS_LOOKED_FOR_EVERY_S

CONSUMERS_PAGE_COUNT = 256
ANSWER_WAIT_S = 2.0
ADVISORY = "io.nats.jetstream.advisory.v1.max_deliver"
_TAKES_NOTHING = msgspec.json.encode({"batch": 1, "no_wait": True, "max_bytes": 1})
_SOURCE, _LOST = "/nats", "lost-"
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_job = msgspec.json.Decoder(JobRequested)


class Advisory(msgspec.Struct):
    """JetStream delivered a job as often as it may, and nobody acknowledged it."""

    type: str
    id: str
    stream: str
    consumer: str
    stream_seq: int
    deliveries: int


def decode_advisory(body: bytes) -> CloudEvent:
    """A server advisory in the envelope that the shell knows."""
    try:
        advisory = msgspec.json.decode(body, type=Advisory)
    except msgspec.DecodeError as fault:
        raise NotAnEvent(f"no advisory: {fault}") from fault
    return CloudEvent(id=advisory.id, source=_SOURCE, type=advisory.type, data=msgspec.Raw(body))


def spent_sequence(message: Message) -> int:
    """Of an advisory: where on the job stream its job stands."""
    return int(msgspec.json.decode(message.event.data)["stream_seq"])


class SpentJobs:
    """Has each spent job reported as lost, once, and takes it off the queue."""

    def __init__(self, shell: Shell, subjects: Subjects) -> None:
        self._shell = shell
        self._subjects = subjects
        self._reported: list[int] = []
        """Those whose run had its say: the log has it, and nobody needs the job on the queue any more."""
        self._passed: dict[str, int] = {}
        self._looked_at = 0.0

    async def hand_over(self, message: Message) -> None:
        """JetStream gave a job up: let it be reported as lost, under the advisory's own acknowledgement."""
        if message.is_settled:
            return
        sequence, client = spent_sequence(message), self._shell.client
        try:
            found = await client.jetstream().get_msg(self._subjects.jobs_stream, seq=sequence)
        except NotFoundError:
            return
        except (TimeoutError, NatsError) as fault:
            _log.warning("job message %d is spent, and cannot be read yet: %s", sequence, fault or type(fault).__name__)
            await ask_again_later(client, [message], LATER_S)
            message.is_settled = True
            return
        job = _job.decode(msgspec.json.decode(cast("bytes", found.data), type=CloudEvent).data)
        error = ReportedError(
            code="WORKER_LOST", message="three workers took the job and none of them reported its end"
        )
        lost = JobFailed(attempt=job.attempt, delivery=2**31, error=error)
        subject = self._subjects.report(job.run_id, job.job_id, "JobFailed")
        event = CloudEvent(id=f"{_LOST}{sequence}", source=_SOURCE, type="JobFailed", data=msgspec.Raw(_encode(lost)))
        self._shell.intake.put(Message(subject, message.body, event, message.origin, message.reply_to))
        message.is_settled = True

    def answered(self, messages: Sequence[Message]) -> None:
        """What runs had to say to these is in the log, if there was anything."""
        for message in messages:
            if message.event.id.startswith(_LOST) and message.event.source == _SOURCE:
                self._reported.append(int(message.event.id.removeprefix(_LOST)))

    async def look(self) -> None:
        """To be called each second while runs are open: has nats-server look when it is time."""
        now_s, client = time.monotonic(), self._shell.client
        if not client.is_connected or now_s < self._looked_at + SPENT_JOBS_LOOKED_FOR_EVERY_S:
            return
        self._looked_at = now_s
        try:
            await look_for_spent_jobs(client, self._subjects.jobs_stream)
            await free_all(client.jetstream(timeout=2), self._subjects.jobs_stream, self._passed)
        except (TimeoutError, NatsError) as fault:
            _log.warning("cannot look for spent jobs now: %s", fault)

    async def drop(self) -> None:
        """Take what was reported off the queue."""
        client = self._shell.client
        while self._reported and client.is_connected:
            sequence = self._reported.pop()
            try:
                await client.jetstream().delete_msg(self._subjects.jobs_stream, sequence)
            except (TimeoutError, NatsError) as fault:
                _log.warning("job message %d stays on the queue, never to be delivered: %s", sequence, fault)


async def look_for_spent_jobs(client: Client, stream: str) -> None:
    """Have nats-server look at every consumer with jobs handed out and nobody waiting; raises NatsError, TimeoutError."""
    for name in await _left_alone(client, stream):
        with contextlib.suppress(TimeoutError, NatsError):  # gone meanwhile, or somebody waits again: nothing to do
            await client.request(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", _TAKES_NOTHING, timeout=ANSWER_WAIT_S)


async def _left_alone(client: Client, stream: str) -> list[str]:
    return [info.name for info in await consumers(client, stream) if info.num_ack_pending and not info.num_waiting]


async def consumers(client: Client, stream: str) -> list[ConsumerInfo]:
    """How the consumers of all job types stand. Raises NatsError, TimeoutError."""
    jetstream, found, offset = client.jetstream(), list[ConsumerInfo](), 0
    while True:
        page: list[ConsumerInfo] = await jetstream.consumers_info(stream, offset)
        found += page
        offset += len(page)
        if len(page) < CONSUMERS_PAGE_COUNT:
            return found
