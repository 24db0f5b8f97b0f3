"""Postgres and NATS: do they answer, in which version, by the same clock, with room left?"""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from flowforge import home as installation
from flowforge.subjects import Subjects

from services.cli.connect import START_IT, Session
from services.cli.doctor import ANSWER_TIMEOUT_S, Check

if TYPE_CHECKING:
    import asyncpg
    from nats.aio.client import Client

SKEW_S_MAX = 1.0
SKEW_S_BAD = 10.0
STREAM_FULL_SHARE = 0.8
CONNECTIONS_SHARE = 0.9
_POSTGRES_MIN = 16
_CLOCK = "time comes from three clocks: schedules and timeouts fire late or early, and histories look out of order"
_KEEP_TIME = "let NTP keep the clocks of all machines (timedatectl set-ntp true)"
_CONNECTIONS = "select count(*), current_setting('max_connections')::int from pg_stat_activity"


@asynccontextmanager
async def database(session: Session) -> AsyncGenerator["asyncpg.Connection | None"]:
    """A connection of a reader; None where no address is known. Raises OSError, PostgresError, TimeoutError."""
    import asyncpg  # noqa: PLC0415  only this command needs it

    url = database_url(session)
    if not url:
        yield None
        return
    connection = await asyncpg.connect(url, timeout=ANSWER_TIMEOUT_S, command_timeout=ANSWER_TIMEOUT_S)
    try:
        yield connection
    finally:
        await connection.close()


def database_url(session: Session) -> str:
    """Where the read models are, as far as this machine knows."""
    return installation.endpoints(session.folder).database or os.environ.get("FLOWFORGE_DATABASE_URL") or ""


async def postgres(session: Session) -> list[Check]:
    """Version, room for connections, clock."""
    import asyncpg  # noqa: PLC0415

    url = database_url(session)
    shown = installation.without_password(url) if url else ""
    try:
        async with database(session) as connection:
            if connection is None:
                return []
            version = str(await connection.fetchval("show server_version"))
            checks = [_version(shown, connection.get_server_version().major, version)]
            used, allowed = tuple(await connection.fetchrow(_CONNECTIONS) or (0, 1))
            if used > allowed * CONNECTIONS_SHARE:
                checks.append(Check(
                    name="connections", verdict="warning", seen=f"{used} of {allowed} of Postgres are taken",
                    why="services that start, and stand-bys that take over, find none", next_step="raise max_connections",
                ))  # fmt: skip
            before = datetime.now(UTC)
            told = await connection.fetchval("select clock_timestamp()")
            return [*checks, _skew("clock of Postgres", told or before, before, datetime.now(UTC))]
    except (OSError, asyncpg.PostgresError, TimeoutError) as fault:
        return [Check(name="database", verdict="error", seen=f"{shown}: {fault or type(fault).__name__}",
                      why="the event log is there: nothing can be accepted or decided", next_step=START_IT)]  # fmt: skip


def _version(shown: str, major: int, version: str) -> Check:
    seen = f"{shown}  Postgres {version}"
    if major >= _POSTGRES_MIN:
        return Check(name="database", verdict="ok", seen=seen)
    return Check(name="database", verdict="error", seen=seen, why=f"{_POSTGRES_MIN} or newer is needed",
                 next_step=f"move to Postgres {_POSTGRES_MIN} or newer")  # fmt: skip


def _skew(name: str, told: datetime, before: datetime, after: datetime) -> Check:
    """Its clock was read somewhere between `before` and `after` by ours."""
    skew_s = max((before - told).total_seconds(), (told - after).total_seconds(), 0.0)
    if skew_s <= SKEW_S_MAX:
        return Check(name=name, verdict="ok", seen=f"agrees with this machine's within {SKEW_S_MAX:.0f} s")
    way = "behind" if told < before else "ahead of"
    verdict = "error" if skew_s > SKEW_S_BAD else "warning"
    return Check(
        name=name, verdict=verdict, seen=f"{skew_s:,.1f} s {way} this machine's", why=_CLOCK, next_step=_KEEP_TIME
    )


def supervisor_login(session: Session) -> str:
    """The login that may look at everything on NATS, on the machine where `up` runs; else empty."""
    known = installation.endpoints(session.folder).nats
    try:
        credentials = msgspec.json.decode((session.folder / "credentials.json").read_bytes(), type=dict[str, Any])
        password = str(credentials["nats"]["supervisor"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return ""
    address = urlsplit(known).netloc.rpartition("@")[2]
    return f"nats://supervisor:{password}@{address}" if address else ""


@asynccontextmanager
async def bus(url: str) -> AsyncGenerator["Client"]:
    """A connection to NATS. Raises what nats-py raises."""
    import nats  # noqa: PLC0415

    async def quiet(_fault: Exception) -> None:
        return

    connection = await nats.connect(
        url, connect_timeout=ANSWER_TIMEOUT_S, allow_reconnect=False, error_cb=quiet,
        inbox_prefix=installation.inbox_prefix().encode(),
    )  # fmt: skip
    try:
        yield connection
    finally:
        await connection.close()


async def nats_server(session: Session) -> list[Check]:
    """Version; where a login that may ask is known, the room of its streams, and its clock."""
    url = os.environ.get("FLOWFORGE_NATS_URL") or installation.endpoints(session.folder).nats
    if not url:
        return []
    shown = installation.without_password(url)
    try:
        async with bus(supervisor_login(session) or url) as connection:
            running = connection.connected_server_version
            seen = f"{shown}  server {running.major}.{running.minor}.{running.patch}"
            checks = [Check(name="nats", verdict="ok", seen=seen)]
            if supervisor_login(session):
                checks += await _streams(connection, Subjects(installation.namespace()))
            return checks
    except Exception as fault:  # noqa: BLE001  nats-py raises many kinds
        return [Check(name="nats", verdict="error", seen=f"{shown}: {fault or type(fault).__name__}",
                      why="events from outside, jobs and reports travel over it; what is logged is safe",
                      next_step=START_IT)]  # fmt: skip


async def _streams(connection: "Client", subjects: Subjects) -> list[Check]:
    full: list[str] = []
    checks: list[Check] = []
    for stream in (subjects.inbox_stream, subjects.jobs_stream, subjects.reports_stream, subjects.timers_stream):
        before = datetime.now(UTC)
        answer = await connection.request(f"$JS.API.STREAM.INFO.{stream}", timeout=ANSWER_TIMEOUT_S)
        after, told = datetime.now(UTC), json.loads(answer.data)
        if "state" not in told:
            checks.append(Check(name="streams", verdict="error", seen=f"{stream} is not there",
                                why="what is to travel over it is refused", next_step="start `flowforge up` anew"))  # fmt: skip
            continue
        share = told["state"]["bytes"] / told["config"]["max_bytes"] if told["config"]["max_bytes"] > 0 else 0.0
        if share > STREAM_FULL_SHARE:
            full.append(f"{stream} {share:.0%}")
        if not any(check.name == "clock of NATS" for check in checks) and "ts" in told:
            checks.append(_skew("clock of NATS", datetime.fromisoformat(told["ts"]), before, after))
    if full:
        checks.append(Check(name="streams", verdict="warning", seen=f"nearly full: {', '.join(full)}",
                            why="a full stream refuses new messages: events from outside, jobs or reports",
                            next_step="start more workers, or see below who does not take what lies there"))  # fmt: skip
    return checks
