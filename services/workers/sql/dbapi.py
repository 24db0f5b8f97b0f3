"""Databases other than Postgres, through their DB-API 2.0 drivers (PEP 249), each query in a thread of its own."""

import asyncio
import importlib
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from services.workers.sql.rows import Failed, Rows, TooManyRows, Unfit

_DRIVERS = {"sqlite": "sqlite3", "mysql": "pymysql", "mariadb": "pymysql"}
"""Scheme of the address, and the module that speaks to such a database."""


async def ask(url: str, query: str, parameters: list[Any] | dict[str, Any], rows_max: int, wait_s: float) -> Rows:
    """One query in a transaction of its own, given up after `wait_s`. Raises Failed, TooManyRows, Unfit."""
    scheme = urlsplit(url).scheme
    module = _DRIVERS.get(scheme)
    if module is None:
        known = ", ".join(["postgresql", *_DRIVERS])
        raise Unfit(f"its address begins with '{scheme or url[:10]}'; expected one of {known}, such as postgresql://…")
    try:
        driver = importlib.import_module(module)
    except ImportError:
        raise Unfit(f"the driver for {scheme} is not installed here: pip install {module}") from None
    connection: list[Any] = []
    asked = asyncio.to_thread(
        _ask, driver, lambda: _connect(driver, scheme, url, wait_s), query, parameters, rows_max, connection
    )
    try:
        return await asked
    except asyncio.CancelledError:
        for each in connection:  # the thread goes on until the database lets go of it
            with suppress(Exception):
                each.interrupt() if hasattr(each, "interrupt") else each.close()
        raise


def _ask(
    driver: Any,
    connect: Callable[[], Any],
    query: str,
    parameters: list[Any] | dict[str, Any],
    rows_max: int,
    connections: list[Any],
) -> Rows:
    try:
        with closing(connect()) as connection:
            connections.append(connection)
            cursor = connection.cursor()
            cursor.execute(query, parameters)
            if cursor.description is None:
                connection.commit()
                return Rows([], [], max(cursor.rowcount, 0))
            found = cursor.fetchmany(rows_max + 1)
            if len(found) > rows_max:
                raise TooManyRows(rows_max)
            connection.commit()
            return Rows([str(column[0]) for column in cursor.description], list(found))
    except driver.OperationalError as fault:
        raise Failed(str(fault), is_worth_another_try=True) from None
    except driver.Error as fault:
        raise Failed(str(fault)) from None


def _connect(driver: Any, scheme: str, url: str, wait_s: float) -> Any:
    parts = urlsplit(url)
    if scheme == "sqlite":  # as SQLAlchemy writes it: three slashes and a relative path, four and an absolute one
        return driver.connect(unquote(parts.path)[1:], timeout=min(wait_s, 60), check_same_thread=False)
    return driver.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path)[1:] or None,
        connect_timeout=max(int(min(wait_s, 60)), 1),
        read_timeout=max(int(wait_s), 1),
        write_timeout=max(int(wait_s), 1),
    )
