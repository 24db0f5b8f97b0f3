"""Making servers that others run ready for the services: tables, logins, streams, the first key. May be done again at any
time, and is, before every new version starts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec
from nats.errors import Error as NatsError

from infra.embedded.home import UpError
from infra.embedded.preparation import admit_administrator, check_secrets_key, declare_streams
from infra.eventlog.connections import UnsuitableServer, refuse_pooler
from infra.eventlog.migrate import migrate
from infra.secrets import NoKey, WrongKey, find_key
from infra.settings import Settings, SettingsError

WAIT_S = 60.0
LOOK_INTERVAL_S = 0.5


class NotPrepared(RuntimeError):
    """The servers are not ready for FlowForge; the message says what is in the way and what to do."""


class Prepared(msgspec.Struct, frozen=True):
    """What was done: .sql files applied, whether the services have a login of their own."""

    applied: list[str]
    has_own_logins: bool
    note: str | None = None


async def prepare(settings: Settings, credentials: Path, *, wait_s: float = WAIT_S) -> Prepared:
    """Prepare the servers of the settings, whose logins are the owner of the database and the supervisor of NATS.

    `credentials` is the folder with the other files (see `credentials.py`). Servers that do not answer yet are waited for.
    Raises NotPrepared.
    """
    if settings.database_url is None or settings.nats_url is None:
        raise NotPrepared("FLOWFORGE_DATABASE_URL and FLOWFORGE_NATS_URL must both name servers to prepare")
    owner_url, nats_url, give_up_at = settings.database_url, settings.nats_url, time.monotonic() + wait_s
    try:
        await _once_there(lambda: refuse_pooler(owner_url, "flowforge prepare"), give_up_at, "Postgres")
        migrated = await migrate(
            owner_url,
            service_password=_password(credentials / "database-url"),
            reader_password=_password(credentials / "database-reader-url"),
            namespace=settings.namespace,
        )
        await check_secrets_key(owner_url, find_key(settings))
        await _once_there(lambda: declare_streams(nats_url, settings.namespace), give_up_at, "NATS")
        await admit_administrator(owner_url, _text(credentials / "admin-key"))
    except (UnsuitableServer, UpError, NoKey, WrongKey, SettingsError) as fault:
        raise NotPrepared(str(fault)) from fault
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as fault:
        raise NotPrepared(f"the database cannot be prepared: {fault}") from fault
    return Prepared(migrated.applied, migrated.has_own_logins, migrated.note)


async def _once_there(step: Callable[[], Awaitable[None]], give_up_at: float, who: str) -> None:
    while True:
        try:
            return await step()
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, NatsError) as fault:
            if time.monotonic() > give_up_at:
                raise NotPrepared(f"{who} does not answer: {fault}; check its address, and that it runs") from fault
        except UpError as fault:
            if not isinstance(fault.__cause__, OSError | NatsError) or time.monotonic() > give_up_at:
                raise
        await asyncio.sleep(LOOK_INTERVAL_S)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as fault:
        raise NotPrepared(
            f"{path} cannot be read ({fault.strerror}): make it with `flowforge prepare credentials`"
        ) from None


def _password(path: Path) -> str | None:
    password = urlsplit(_text(path)).password
    return None if password is None else unquote(password)
