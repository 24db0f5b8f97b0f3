"""What has to be in the database and on the bus before services start; all of it may be done again at any time."""

import asyncpg
import nats as nats_client
from flowforge.people import ADMINISTRATOR
from nats.errors import Error as NatsError

from infra.bus.topology import TopologyMismatch, declare
from infra.embedded.addresses import Addresses
from infra.embedded.home import Credentials, UpError
from infra.eventlog.connections import UnsuitableServer, refuse_pooler
from infra.eventlog.migrate import migrate
from infra.eventlog.types import Unavailable
from infra.http.sessions import LoginLink, add_login_link, digest_of
from infra.secrets import SecretKey, WrongKey, check_key
from infra.settings import Settings

CONNECT_TIMEOUT_S = 5
CONNECT_TRIES_MAX = 1
_ADMIT = """
    with replaced as (delete from gateway.keys where key_id is null and hash <> $1),
    original as (select name, role from gateway.users where name = $2 and is_original for share)
    insert into gateway.keys (hash, name, role, created_at)
    select $1, name, role, now() from original on conflict (hash) do update set role = excluded.role
"""


async def create_database(maintenance_url: str, name: str) -> None:
    """Make the database, unless it is there."""
    connection = await asyncpg.connect(maintenance_url, timeout=CONNECT_TIMEOUT_S)
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = $1)", name):
            await connection.execute(f'create database "{name}"')
    finally:
        await connection.close()


async def prepare_tables(settings: Settings, addresses: Addresses, credentials: Credentials) -> None:
    """Bring the tables up to date and make the logins. Raises UpError."""
    owner_url = addresses.database("owner")
    try:
        if settings.database_url is not None:
            await refuse_pooler(owner_url, "flowforge up")
        migrated = await migrate(
            owner_url,
            service_password=credentials.postgres["service"],
            reader_password=credentials.postgres["reader"],
            namespace=settings.namespace,
        )
    except UnsuitableServer as error:
        raise UpError(str(error)) from error
    except (Unavailable, OSError, asyncpg.PostgresError) as error:
        raise UpError(f"The database of FLOWFORGE_DATABASE_URL cannot be used: {error}") from error
    addresses.has_own_logins = migrated.has_own_logins


async def check_secrets_key(owner_url: str, key: SecretKey) -> None:
    """Raises UpError where the database holds secrets that this key does not open."""
    connection = await asyncpg.connect(owner_url, timeout=CONNECT_TIMEOUT_S)
    try:
        await check_key(connection, key)
    except WrongKey as error:
        raise UpError(f"The key for secrets is not the right one: {error}") from None
    finally:
        await connection.close()


async def declare_streams(url: str, namespace: str) -> None:
    """Make the streams be as `infra/bus/topology.py` has them. Raises UpError."""
    faults: list[Exception] = []

    async def remember(fault: Exception) -> None:
        faults.append(fault)

    try:
        connection = await nats_client.connect(
            url,
            connect_timeout=CONNECT_TIMEOUT_S,
            max_reconnect_attempts=CONNECT_TRIES_MAX,
            reconnect_time_wait=0,
            error_cb=remember,
        )
    except (OSError, NatsError) as error:
        cause = faults[-1] if faults else error
        raise UpError(f"The NATS of FLOWFORGE_NATS_URL cannot be used: {cause}") from error
    try:
        await declare(connection, namespace)
    except TopologyMismatch as error:
        raise UpError(str(error)) from error
    except NatsError as error:
        raise UpError(
            f"The NATS of FLOWFORGE_NATS_URL holds no streams for us: {error or type(error).__name__}. "
            "JetStream must be enabled there, and the login must be allowed to make streams."
        ) from error
    finally:
        await connection.close()


async def admit_administrator(owner_url: str, key: str) -> None:
    """Let the gateway know the hash of the administrator's key, where it keeps keys: from now on of this one, and of none
    that was in its place before. Not where that user was removed, whoever is called so since."""
    connection = await asyncpg.connect(owner_url, timeout=CONNECT_TIMEOUT_S)
    try:
        if await connection.fetchval("select to_regclass('gateway.users')") is not None:
            await connection.execute(_ADMIT, digest_of(key), ADMINISTRATOR)
    finally:
        await connection.close()


async def link_for_administrator(owner_url: str, address: str) -> LoginLink | None:
    """A login link for whoever started this; None where the administrator was removed, or nobody keeps users."""
    connection = await asyncpg.connect(owner_url, timeout=CONNECT_TIMEOUT_S)
    try:
        if await connection.fetchval("select to_regclass('gateway.login_links')") is None:
            return None
        return await add_login_link(connection, ADMINISTRATOR, address)
    finally:
        await connection.close()
