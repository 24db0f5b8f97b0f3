"""The queues of job types, made before the save that names them is answered: a worker may come before the first run.

Execution looks again before it hands out a job; what cannot be made here now is made there.
"""

import asyncio
import logging
from collections.abc import Iterable

from flowforge.jobs import ConsumerMismatch, ensure_job_consumer
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.catalog.decide import JobQueue
from services.catalog.settings import queue_wait_s

_log = logging.getLogger(__name__)


class JobQueues:
    """Makes each queue once; NATS may lose them, then `may_be_gone` is to be called."""

    def __init__(self, client: Client, subjects: Subjects) -> None:
        self._client = client
        self._subjects = subjects
        self._made: set[tuple[str, str]] = set()

    def may_be_gone(self) -> None:
        self._made.clear()

    async def make(self, wanted: Iterable[JobQueue]) -> None:
        """Have these queues; waits `queue_wait_s` at most for each, until one cannot be made, and raises nothing."""
        for pair in set(wanted) - self._made:
            try:
                async with asyncio.timeout(queue_wait_s):
                    await ensure_job_consumer(self._client.jetstream(), self._subjects, *pair)
            except (TimeoutError, NatsError, ConsumerMismatch) as fault:
                _log.warning("cannot make the queue of %s yet: %s", pair, fault)
                return
            self._made.add(pair)
