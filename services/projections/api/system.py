"""How the installation stands, for people and programs that read JSON; Prometheus reads `/metrics`."""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from flowforge.subjects import Subjects
from litestar import Router, get

from infra.bus.health import ANSWERING, Health
from infra.http.authentication import VIEWER
from services.projections.api.reads import Reads
from services.projections.measured import Standing, gather


class ServiceStanding(msgspec.Struct):
    """A service. `is_up`: its process that works answers and is ready; null where nobody could be asked, since NATS does
    not answer. `silent`: what it should hear messages from and does not."""

    name: str
    is_up: bool | None
    processes: int
    waiting_messages: int
    memory_bytes: int | None
    started_at: datetime | None
    silent: list[str]


class ConsumerStanding(msgspec.Struct):
    """Messages that a service has yet to handle."""

    stream: str
    name: str
    waiting_messages: int


class CursorStanding(msgspec.Struct):
    """How much of the log a service looks through when it starts anew: no backlog, since most of it is not its own."""

    name: str
    events_after: int


class QueueStanding(msgspec.Struct):
    """A queue of jobs: how many wait, how many workers have, and how many workers ask for one."""

    name: str
    waiting_jobs: int
    taken_jobs: int
    workers_waiting: int


class OpenBreaker(msgspec.Struct):
    """A circuit breaker that is not closed."""

    breaker: str
    status: str


class SystemView(msgspec.Struct):
    """The installation now. `read_models_lag_s`: how old the first event is that the read models do not have yet."""

    is_bus_up: bool
    services: list[ServiceStanding]
    log_position: int
    read_models_lag_events: int
    read_models_lag_s: float
    consumers: list[ConsumerStanding]
    cursors: list[CursorStanding]
    queues: list[QueueStanding]
    breakers: list[OpenBreaker]
    active_runs: dict[str, int]
    open_dead_letters: int
    open_approvals: int


@get("/", opt=VIEWER)
async def read_system(reads: Reads) -> SystemView:
    """Which services answer, who is behind and by how much, what waits in queues and for people."""
    head = (await reads.log.head()).position
    return view_of(await gather(reads.pool, reads.client, Subjects(reads.namespace), head))


def view_of(standing: Standing) -> SystemView:
    """The same in the shape of the answer."""
    return SystemView(
        is_bus_up=standing.is_nats_up,
        services=list(_services(standing)),
        log_position=standing.log_position,
        read_models_lag_events=max(standing.log_position - standing.projected_position, 0),
        read_models_lag_s=round(standing.projected_lag_s, 3),
        consumers=[
            ConsumerStanding(one.stream, one.name, one.pending + one.unacknowledged) for one in standing.consumers
        ],
        cursors=[
            CursorStanding(name, max(standing.log_position - position, 0))
            for name, position in sorted(standing.cursors.items())
        ],
        queues=[QueueStanding(one.name, one.pending, one.unacknowledged, one.waiting) for one in standing.queues],
        breakers=[OpenBreaker(name, status) for name, status in standing.breakers if status != "closed"],
        active_runs=standing.active_runs,
        open_dead_letters=standing.dead_letters,
        open_approvals=standing.approvals,
    )


def _services(standing: Standing) -> Iterable[ServiceStanding]:
    for name in ANSWERING:
        told = [one for one in standing.processes if one.service == name]
        owner = next((one for one in told if one.is_owner), None)
        yield ServiceStanding(
            name=name,
            is_up=None if not standing.is_nats_up else owner is not None and owner.is_ready,
            processes=len(told),
            waiting_messages=0 if owner is None else owner.waiting,
            memory_bytes=None if owner is None else owner.measured.memory_bytes,
            started_at=_started(owner),
            silent=[] if owner is None else owner.silent_consumers,
        )


def _started(owner: Health | None) -> datetime | None:
    return None if owner is None else datetime.fromtimestamp(owner.measured.started_at_s, UTC)


def routers() -> list[Router]:
    """Below /api/system."""
    return [Router("/api/system", route_handlers=[read_system], tags=["activity"])]
