"""The services: does each answer, who owns, who is behind; the HTTP server; how far the read models are."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowforge import home as installation
from flowforge.subjects import Subjects

from infra.bus.health import ANSWERING, Health, ask_health
from services.cli.connect import Session
from services.cli.doctor import Check, ago_s
from services.cli.doctor.servers import bus, database, supervisor_login
from services.cli.output import Failure

if TYPE_CHECKING:
    from nats.aio.client import Client

LAG_EVENTS_MAX = 1_000
LAG_S_MAX = 10.0
PENDING_MESSAGES_MAX = 1_000
_DOES = {
    "catalog": "no definition can be saved",
    "triggers": "no event, schedule or request starts a run",
    "execution": "runs stand still",
    "scheduler": "schedules and timers do not fire; they do when it is back",
    "projections": "reads show the past",
    "subscriptions": "nothing is posted to those who want to hear of runs; it is when it is back",
    "gateway": "no request that changes something is taken",
}
_LAST = "select recorded_at from eventlog.entries where position >= $1 order by position limit 1"


async def server(session: Session) -> list[Check]:
    """The HTTP server, and the key."""
    try:
        async with session.client() as client:
            health = await client.health()
            checks = [_ready(session, health)]
            await client.list_workflows(limit=1)
    except Failure as failure:
        return [Check(name="server", verdict="error", seen=failure.message, next_step=failure.next_step)]
    return [*checks, Check(name="key", verdict="ok", seen="accepted")]


def _ready(session: Session, health: dict[str, Any]) -> Check:
    """The verdict of /health/ready, which names what is not up."""
    seen = session.address
    waiting = [name for name, state in (health.get("checks") or {}).items() if state not in {"ok", True}]
    if waiting or health.get("status") not in {"ok", "ready"}:
        named = ", ".join(waiting) or str(health.get("detail") or health.get("status") or "not ready")
        return Check(name="server", verdict="error", seen=f"{seen} answers, but is not ready: {named}",
                     next_step=f"see {session.folder / 'logs'}")  # fmt: skip
    return Check(name="server", verdict="ok", seen=seen)


async def answering(session: Session) -> list[Check]:
    """Each service, asked over NATS where a login that may ask is known."""
    url = supervisor_login(session)
    if not url:
        return []
    async with bus(url) as connection:
        subjects = Subjects(installation.namespace())
        told = await ask_health(connection, subjects, ANSWERING)
        return [*_alive(session, told), *await _consumers(connection, subjects)]


def _alive(session: Session, told: list[Health]) -> list[Check]:
    owners = {one.service: one for one in told if one.is_owner}
    checks: list[Check] = []
    for name in ANSWERING:
        one = owners.get(name)
        log = session.folder / "logs" / f"{'front' if name == 'gateway' else name}.log"
        if one is None or not one.is_ready:
            seen = f"{name} does not answer" if one is None else f"{name} is starting"
            checks.append(
                Check(name="services", verdict="error", seen=seen, why=_DOES[name], next_step=f"see why: {log}")
            )
        elif one.silent_consumers:
            seen = f"{name} hears nothing from {', '.join(one.silent_consumers)}"
            checks.append(Check(name="services", verdict="warning", seen=seen, why=_DOES[name], next_step=f"see {log}",
                                since=_last_turn(one)))  # fmt: skip
    if checks:
        return checks
    standing_by = len(told) - len(owners)
    more = f", {standing_by} stand by" if standing_by else ""
    return [Check(name="services", verdict="ok", seen=f"{', '.join(ANSWERING)} answer{more}")]


def _last_turn(one: Health) -> datetime | None:
    return datetime.fromtimestamp(one.last_turn_at_s, UTC) if one.last_turn_at_s else None


async def _consumers(connection: "Client", subjects: Subjects) -> list[Check]:
    """Who has more to take than usual. Queues of jobs wait for workers, who are looked at with the work."""
    waiting: dict[str, int] = {}
    for stream in (subjects.inbox_stream, subjects.reports_stream, subjects.timers_stream):
        for consumer in await connection.jetstream().consumers_info(stream):
            waiting[f"{stream}/{consumer.name}"] = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    behind = {name: count for name, count in waiting.items() if count > PENDING_MESSAGES_MAX}
    if not behind:
        return [
            Check(name="consumers", verdict="ok", seen=f"{len(waiting)}, {sum(waiting.values()):,} messages waiting")
        ]
    seen = ", ".join(f"{name} {count:,} waiting" for name, count in behind.items())
    return [Check(name="consumers", verdict="warning", seen=seen, why="what comes in now is dealt with that much later",
                  next_step="look again in a minute: if the number does not fall, see the service's log")]  # fmt: skip


async def read_models(session: Session) -> list[Check]:
    """Where the log ends, and how far the read models are behind it."""
    async with database(session) as connection:
        if connection is None:
            return []
        head = await connection.fetchval("select position from eventlog.head") or 0
        checks = [Check(name="event log", verdict="ok", seen=f"{head:,} events")]
        if await connection.fetchval("select to_regclass('projections.checkpoint')") is None:
            return checks
        position = await connection.fetchval("select position from projections.checkpoint")
        if position is None:
            return checks
        lag = max(head - position, 0)
        since = await connection.fetchval(_LAST, position + 1) if lag else None
        if lag <= LAG_EVENTS_MAX and (since is None or ago_s(since) <= LAG_S_MAX):
            return [*checks, Check(name="read models", verdict="ok", seen=f"{lag:,} events behind the log")]
        return [*checks, Check(
            name="read models", verdict="warning", seen=f"{lag:,} events behind the log", since=since,
            why="lists, runs and decisions show how things were then; nothing is lost",
            next_step="they catch up by themselves; if the number does not fall: flowforge rebuild",
        )]  # fmt: skip
