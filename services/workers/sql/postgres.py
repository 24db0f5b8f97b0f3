"""Postgres, through asyncpg."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from services.workers.settings import sql_close_wait_s as close_wait_s
from services.workers.settings import sql_connect_wait_s as connect_wait_s_max
from services.workers.sql.rows import ADDRESS, Failed, Rows, TooManyRows, Unfit, number

_TEXT_TYPES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric", "uuid", "inet", "cidr")
_PASSES = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE that another try may not meet again: connection, rollback, resources, locks, intervention."""
_encode = msgspec.json.Encoder().encode


async def ask(url: str, query: str, parameters: list[Any] | dict[str, Any], rows_max: int, wait_s: float) -> Rows:
    """One query in a transaction of its own. Raises Failed, TooManyRows, Unfit."""
    if isinstance(parameters, dict):
        raise Unfit("parameters: Postgres takes a list for $1, $2, …, not names")
    connection = await _connected(url, wait_s)
    try:
        return await _asked(connection, query, parameters, rows_max)
    except asyncpg.InterfaceError as fault:  # not so many parameters, or a value that does not fit its type
        raise Failed(str(fault), "22000") from None
    except asyncpg.PostgresError as fault:
        state = str(getattr(fault, "sqlstate", None) or "22000")
        raise Failed(_told(fault), state, is_worth_another_try=state.startswith(_PASSES)) from None
    except OSError as fault:
        raise Failed(f"the connection broke: {fault}", "08006", is_worth_another_try=True) from None
    finally:
        await _let_go(connection)


async def _asked(connection: asyncpg.Connection, query: str, parameters: list[Any], rows_max: int) -> Rows:
    """What fails before the commit is undone by the database, when the connection ends."""
    transaction = connection.transaction()
    await transaction.start()
    for name in _TEXT_TYPES:  # values go as their text, and the database reads them as it would in a query
        await connection.set_type_codec(
            name, encoder=_as_text, decoder=_text_back(name), schema="pg_catalog", format="text"
        )
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, encoder=lambda value: _encode(value).decode(), decoder=msgspec.json.decode, schema="pg_catalog"
        )
    statement = await connection.prepare(query)
    columns = [attribute.name for attribute in statement.get_attributes()]
    if columns:
        found = await (await statement.cursor(*parameters)).fetch(rows_max + 1)
        if len(found) > rows_max:
            raise TooManyRows(rows_max)
        rows = Rows(columns, [tuple(record) for record in found])
    else:
        await statement.fetch(*parameters)
        rows = Rows([], [], _affected(statement.get_statusmsg()))
    await transaction.commit()
    return rows


async def _let_go(connection: asyncpg.Connection) -> None:
    """End the query that is under way, and the connection: in order, or by force where nobody answers any more."""
    with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        async with asyncio.timeout(close_wait_s):
            await connection.close()


async def _connected(url: str, wait_s: float) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            url,
            timeout=min(connect_wait_s_max, wait_s),  # type: ignore[arg-type]  # seconds, whole or not
            statement_cache_size=0,
            server_settings={"application_name": "flowforge", "statement_timeout": str(max(int(wait_s * 1000), 1))},
        )
    except ValueError as fault:  # its words would show pieces of the address, a password perhaps
        if isinstance(fault, asyncpg.ClientConfigurationError):
            raise Unfit(f"its address cannot be used: {fault}") from None
        raise Unfit(ADDRESS) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        state = str(getattr(fault, "sqlstate", None) or "08001")
        told = str(fault) or type(fault).__name__
        raise Failed(
            f"no connection to the database: {told}", state, is_worth_another_try=not state.startswith(("28", "3D"))
        ) from None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _text_back(name: str) -> Callable[[str], Any]:
    return number if name == "numeric" else str


def _affected(status: str) -> int:
    """Of `INSERT 0 3`, three; of `CREATE TABLE`, none."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _told(fault: asyncpg.PostgresError) -> str:
    hint = getattr(fault, "hint", None)
    place = getattr(fault, "position", None)
    return "".join(
        [str(fault).partition("\n")[0], f" (at character {place})" if place else "", f"; {hint}" if hint else ""]
    )
