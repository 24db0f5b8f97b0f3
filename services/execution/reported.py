"""Large outputs that workers report: from the object store of NATS into the log's database, before anything refers to them.

A killed nats-server may lose what it has acknowledged. A report on an output that is gone is as good as none: its job is
handed out again, and fails once that has happened to it as often as the queue hands out a job.
"""

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
from flowforge.blobs import BlobMissing, Blobs
from flowforge.reports import JobCompleted
from flowforge.subjects import JOB_DELIVERIES_MAX, Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.bus import Message
from infra.bus.settling import LATER_S, ask_again_later
from infra.eventlog import EventLog, Unavailable
from services.execution import inputs
from services.execution.runs import Runs
from services.execution.settings import LOST_OUTPUTS_KNOWN_MAX

_log = logging.getLogger(__name__)
_completed = msgspec.json.Decoder(JobCompleted)
HandOutAgain = Callable[[UUID, UUID, int], None]
"""The job of a run, and its attempt."""


class ReportedOutputs:
    """Makes them safe; knows which reports are as good as none, for the output is gone."""

    def __init__(
        self, log: EventLog, client: Client, subjects: Subjects, runs: Runs, hand_out_again: HandOutAgain
    ) -> None:
        self._log = log
        self._client = client
        self._bucket = subjects.blobs_bucket
        self._runs = runs
        self._hand_out_again = hand_out_again
        self._unheard: OrderedDict[tuple[UUID, int], set[str]] = OrderedDict()
        """By job and attempt, the ids of the reports."""

    async def keep(self, messages: Sequence[Message]) -> None:
        """Have the outputs that these report in the log, and known to their runs, which are loaded. A report on one that
        cannot be read now is put back, alone."""
        for message in messages:
            is_completed = message.event.type == "JobCompleted" and b'"$blob"' in message.body
            if is_completed and not message.is_settled:
                await self._keep(message)

    def is_unheard(self, message: Message) -> bool:
        """Whether it means nothing, since its job is handed out again."""
        if message.event.type != "JobCompleted" or not self._unheard:
            return False
        attempt = _completed.decode(message.event.data).attempt
        return message.event.id in self._unheard.get((UUID(message.tokens[3]), attempt), ())

    def forget(self) -> None:
        """Start afresh."""
        self._unheard.clear()

    async def _keep(self, message: Message) -> None:
        run = self._runs.get(UUID(message.tokens[2]))
        said = _completed.decode(message.event.data)
        reference = inputs.blob_hash(said.output)
        if run is None or reference is None or reference in run.blobs:
            return
        data = await self._log.get_blob(reference)
        if data is None:
            try:
                data = await Blobs(self._client.jetstream(), self._bucket).get(reference)
            except BlobMissing:
                self._is_gone(run.id, message, said.attempt)
                return
            except (TimeoutError, NatsError) as fault:
                told = fault or type(fault).__name__
                _log.warning("output %s of run %s cannot be read yet: %s", reference, run.id, told)
                if not message.is_owed:  # nobody else brings it again
                    raise Unavailable(f"output {reference} cannot be read: {told}") from fault
                with contextlib.suppress(NatsError):  # not acknowledged, it comes again by itself
                    await ask_again_later(self._client, [message], LATER_S)
                message.is_settled = True
                return
            await self._log.put_blob(data)
        run.blobs[reference] = msgspec.json.decode(data)

    def _is_gone(self, run_id: UUID, message: Message, attempt: int) -> None:
        job_id = UUID(message.tokens[3])
        unheard = self._unheard.setdefault((job_id, attempt), set())
        if message.event.id in unheard or len(unheard) + 1 >= JOB_DELIVERIES_MAX:
            return
        _log.warning("the output of job %s of run %s was lost with NATS, handing the job out again", job_id, run_id)
        unheard.add(message.event.id)
        self._hand_out_again(run_id, job_id, attempt)
        while len(self._unheard) > LOST_OUTPUTS_KNOWN_MAX:
            self._unheard.popitem(last=False)
