"""How things stand: who is behind, what waits in queues, who holds slots, which breakers are open."""

import contextlib
from datetime import UTC, datetime

import asyncpg
import msgspec
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo

from infra.bus.health import ANSWERING, Health, ask_health
from infra.bus.topology import hearings

_CURSORS = "select name, position from eventlog.cursors"
_ACTIVE = (
    "select status, count(*) from projections.runs where status in ('pending', 'running', 'paused') group by status"
)
_BREAKERS = "select breaker, status from projections.breakers"
_LETTERS = "select count(*) from projections.dead_letters where status = 'open'"
_APPROVALS = "select count(*) from projections.approvals where status = 'open'"
_SLOTS = """
    select coalesce(pool, workflow_id), state, count(*), max(slot_limit) from projections.slots
    where state <> 'gone' group by 1, 2 order by 1 limit 1000
"""
_PROJECTED = "select position from projections.checkpoint"
_LAST = "select recorded_at from eventlog.entries where position >= $1 order by position limit 1"
_CONSUMERS_PAGE_COUNT = 256


class Consumer(msgspec.Struct, frozen=True):
    """A durable consumer: how many messages it has yet to hand out, has handed out, and how many ask for some."""

    stream: str
    name: str
    pending: int
    unacknowledged: int
    waiting: int


class Standing(msgspec.Struct, frozen=True):
    """All of it, as of one moment. `is_nats_up`: whether consumers could be asked at all."""

    log_position: int
    projected_position: int
    projected_lag_s: float
    cursors: dict[str, int]
    active_runs: dict[str, int]
    breakers: list[tuple[str, str]]
    dead_letters: int
    approvals: int
    slots: list[tuple[str, str, int, int]]
    is_nats_up: bool
    consumers: list[Consumer]
    queues: list[Consumer]
    processes: list[Health]
    """Of each service, what its processes answer that do."""


async def gather(pool: asyncpg.Pool, client: Client | None, subjects: Subjects, log_position: int) -> Standing:
    """Look now."""
    projected = await pool.fetchval(_PROJECTED) or 0
    found: list[Consumer] | None = None
    processes: list[Health] = []
    if client is not None and client.is_connected:
        with contextlib.suppress(TimeoutError, NatsError):
            found = [one for stream in _streams(subjects) for one in await _consumers(client, stream)]
            processes = await ask_health(client, subjects, ANSWERING)
    return Standing(
        log_position=log_position,
        projected_position=projected,
        projected_lag_s=await _lag_s(pool, projected) if projected < log_position else 0.0,
        cursors=dict(await pool.fetch(_CURSORS)),
        active_runs=dict.fromkeys(("pending", "running", "paused"), 0) | dict(await pool.fetch(_ACTIVE)),
        breakers=[(row["breaker"], row["status"]) for row in await pool.fetch(_BREAKERS)],
        dead_letters=await pool.fetchval(_LETTERS),
        approvals=await pool.fetchval(_APPROVALS),
        slots=[(row[0], row[1], row[2], row[3]) for row in await pool.fetch(_SLOTS)],
        is_nats_up=found is not None,
        consumers=[one for one in found or () if one.stream != subjects.jobs_stream],
        queues=[one for one in found or () if one.stream == subjects.jobs_stream],
        processes=processes,
    )


def _streams(subjects: Subjects) -> list[str]:
    """Those that services hear, and the queues of jobs."""
    heard = {hearing.stream for each in hearings(subjects).values() for hearing in each}
    return sorted(heard | {subjects.jobs_stream})


async def _consumers(client: Client, stream: str) -> list[Consumer]:
    """The durable ones; those of listeners come and go. Raises NatsError, TimeoutError."""
    jetstream, found = client.jetstream(), list[ConsumerInfo]()
    while True:
        page: list[ConsumerInfo] = await jetstream.consumers_info(stream, len(found))
        found += page
        if len(page) < _CONSUMERS_PAGE_COUNT:
            break
    return [
        Consumer(stream, info.name, info.num_pending or 0, info.num_ack_pending or 0, info.num_waiting or 0)
        for info in found
        if info.config.durable_name
    ]


async def _lag_s(pool: asyncpg.Pool, position: int) -> float:
    """How old the first event is that the read models do not have yet."""
    recorded_at: datetime | None = await pool.fetchval(_LAST, position + 1)
    return 0.0 if recorded_at is None else max((datetime.now(UTC) - recorded_at).total_seconds(), 0.0)
