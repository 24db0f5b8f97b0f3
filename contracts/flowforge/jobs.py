"""The queue of jobs: the durable consumer of each (queue, job type), and the standing pull with which workers take.

Whoever comes first, worker or execution, creates the consumer; both take its shape from here. A standing pull keeps a
request open at the server: a lone message arrives at once and many arrive together, without a round trip for either.
Source of the statuses: ADR-37 of nats-architecture-and-design (JetStream simplification, pull consumers).
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from flowforge.errors import FlowForgeError
from flowforge.subjects import JOB_DELIVERIES_MAX, JOB_LEASE_S, Subjects, job_consumer

ACK_PENDING_MAX = 100_000
PULLS_WAITING_MAX = 4_096
PULL_EXPIRES_S = JOB_LEASE_S * 2 / 3
"""Below JOB_LEASE_S: when a job of a hung worker is handed out again, that worker's open requests are gone."""
PULL_HEARTBEAT_S = PULL_EXPIRES_S / 5
PULL_SILENCE_S = 3 * PULL_HEARTBEAT_S
DRAIN_WAIT_S = 2.0
"""How long NATS may take to say that nothing more is on its way."""
_NANOSECONDS = 1_000_000_000
_VERIFIED = ("filter_subject", "deliver_subject", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending")
_log = logging.getLogger("flowforge.worker")


class ConsumerMismatch(FlowForgeError):
    """The consumer of a job type exists with another shape, and NATS cannot change it in place."""


def job_consumer_config(subjects: Subjects, queue: str, job_type: str) -> ConsumerConfig:
    """The one shape of the durable consumer that workers of `job_type` on `queue` share."""
    name = job_consumer(queue, job_type)
    return ConsumerConfig(
        name=name,
        durable_name=name,
        filter_subject=subjects.job(queue, job_type),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=JOB_LEASE_S,
        max_deliver=JOB_DELIVERIES_MAX,
        max_ack_pending=ACK_PENDING_MAX,
        max_waiting=PULLS_WAITING_MAX,
    )


async def ensure_job_consumer(jetstream: JetStreamContext, subjects: Subjects, queue: str, job_type: str) -> None:
    """Create the consumer, or verify that the existing one has the shape above and change it if it can be changed.

    Raises `ConsumerMismatch`, or an error of nats-py when JetStream does not answer or has no stream for jobs.
    """
    wanted = job_consumer_config(subjects, queue, job_type)
    name = job_consumer(queue, job_type)
    try:
        existing = (await jetstream.consumer_info(subjects.jobs_stream, name)).config
    except NotFoundError:
        existing = (await jetstream.add_consumer(subjects.jobs_stream, wanted)).config
    if differing := _differences(existing, wanted):
        _log.warning("consumer %s differs in %s and is changed", name, ", ".join(differing))
        try:
            existing = (await jetstream.add_consumer(subjects.jobs_stream, _changed(wanted, existing))).config
        except NatsError as fault:
            raise ConsumerMismatch(_mismatch(name, existing, wanted, differing)) from fault
        if differing := _differences(existing, wanted):
            raise ConsumerMismatch(_mismatch(name, existing, wanted, differing))


def _differences(existing: ConsumerConfig, wanted: ConsumerConfig) -> list[str]:
    return [field for field in _VERIFIED if getattr(existing, field) != getattr(wanted, field)]


def _changed(wanted: ConsumerConfig, existing: ConsumerConfig) -> ConsumerConfig:
    """`wanted`, but for what NATS never changes in place and what does not matter here."""
    return replace(wanted, max_waiting=existing.max_waiting)


def _mismatch(name: str, existing: ConsumerConfig, wanted: ConsumerConfig, fields: list[str]) -> str:
    told = ", ".join(f"{field} is {getattr(existing, field)}, not {getattr(wanted, field)}" for field in fields)
    return f"consumer {name} has another shape ({told}); delete it, or choose another FLOWFORGE_NAMESPACE"


class StandingPull:
    """Asks one consumer for as many jobs as there is room for, and hands each to `deliver` as it arrives.

    `lost` is called when nothing that was asked for can come any more: the consumer is gone, silent or changed.
    `low` is called when half of what was asked for, or all of it, has come or expired unused. Both may be called often;
    neither may block.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        consumer: str,
        *,
        deliver: Callable[[Msg], None],
        low: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self.outstanding_count = 0
        """Messages that were asked for and have not come."""
        self.is_busy = False
        """Whether messages came since a request last expired."""
        self._client = client
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = ""
        self._deliver = deliver
        self._low = low
        self._low_count = 0
        self._lost = lost
        self._heard_at = time.monotonic()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Listen; nothing is asked for yet."""
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._arrived, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def stop(self) -> None:
        """Withdraw what was asked for; messages already on their way are still delivered before this returns, if NATS
        answers."""
        if self._subscription is not None and self._client.is_connected:
            with contextlib.suppress(NatsError, TimeoutError):
                async with asyncio.timeout(DRAIN_WAIT_S):
                    await self._subscription.drain()
        self.outstanding_count = 0

    def forget(self) -> None:
        """What was asked for is void: the connection or the consumer is a new one."""
        self.outstanding_count = 0
        self._heard_at = time.monotonic()

    def ask(self, count: int) -> Coroutine[None, None, None]:
        """Ask for `count` more: they count as outstanding at once, the coroutine returned sends the request."""
        if self.outstanding_count == 0:
            self._heard_at = time.monotonic()
        self.outstanding_count += count
        self._low_count = self.outstanding_count // 2
        request = {
            "batch": count,
            "expires": int(PULL_EXPIRES_S * _NANOSECONDS),
            "idle_heartbeat": int(PULL_HEARTBEAT_S * _NANOSECONDS),
        }
        return self._client.publish(self._next, json.dumps(request).encode(), reply=self._inbox)

    def look(self) -> None:
        """To be called about each second: heartbeats are due while something is asked for."""
        if self.outstanding_count and time.monotonic() - self._heard_at > PULL_SILENCE_S:
            self._end(f"no heartbeat for {PULL_SILENCE_S} s")

    async def _arrived(self, message: Msg) -> None:
        self._heard_at = time.monotonic()
        if message.subject == self._inbox:
            self._told(message.headers or {})
            return
        self.is_busy = True
        if self.outstanding_count:
            self.outstanding_count -= 1
        self._deliver(message)
        if self.outstanding_count in (0, self._low_count):
            self._low()

    def _told(self, headers: dict[str, str]) -> None:
        status = headers.get("Status")
        if status == "100":
            return
        if status in ("408", "404") or "Nats-Pending-Messages" in headers:
            unused = headers.get("Nats-Pending-Messages", "")
            self.outstanding_count = max(0, self.outstanding_count - int(unused)) if unused.isdigit() else 0
            self.is_busy = False
            self._low()
            return
        self._end(f"{status} {headers.get('Description', '')}".strip())

    def _end(self, reason: str) -> None:
        self.forget()
        self._lost(reason)
