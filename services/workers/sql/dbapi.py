"""Databases other than Postgres, through their DB-API 2.0 drivers (PEP 249), each query in a thread of its own."""

import asyncio
import importlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from services.workers.sql.rows import ADDRESS, Failed, Rows, TooManyRows, Unfit

_DRIVERS = {"sqlite": "sqlite3", "mysql": "pymysql", "mariadb": "pymysql"}
"""Scheme of the address, and the module that speaks to such a database."""
_PORT_MYSQL = 3306
_WAIT_S_MAX = 60


async def ask(url: str, query: str, parameters: list[Any] | dict[str, Any], rows_max: int, wait_s: float) -> Rows:
    """One query in a transaction of its own, given up after `wait_s`. Raises Failed, TooManyRows, Unfit."""
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:  # its words would show a piece of the password
        raise Unfit(ADDRESS) from None
    driver = _driver(parts.scheme if "://" in url else "")
    asking = _Asking(driver, lambda: _connect(driver, parts, wait_s))
    try:
        return await asyncio.wrap_future(_in_thread(lambda: asking.rows(query, parameters, rows_max)))
    except asyncio.CancelledError:
        asking.give_up()
        raise


class _Asking:
    """One query of one connection. `give_up` is for another thread than `rows`."""

    def __init__(self, driver: Any, connect: Callable[[], Any]) -> None:
        self._driver = driver
        self._connect = connect
        self._connection: Any = None
        self._is_given_up = False

    def rows(self, query: str, parameters: list[Any] | dict[str, Any], rows_max: int) -> Rows:
        """What the database answers; nothing is changed by a query that was given up, or fails."""
        try:
            with closing(self._connect()) as connection:
                self._connection = connection
                self._check()
                cursor = connection.cursor()
                cursor.execute(query, parameters)
                if cursor.description is None:
                    answer = Rows([], [], max(cursor.rowcount, 0))
                else:
                    answer = Rows(
                        [str(column[0]) for column in cursor.description], list(cursor.fetchmany(rows_max + 1))
                    )
                if len(answer.rows) > rows_max:
                    raise TooManyRows(rows_max)
                self._check()
                connection.commit()
                return answer
        except self._driver.OperationalError as fault:
            raise Failed(str(fault), is_worth_another_try=True) from None
        except (self._driver.Error, self._driver.Warning, OverflowError) as fault:
            raise Failed(str(fault)) from None

    def give_up(self) -> None:
        """End it as soon as the driver lets us: SQLite at once, others when their database answers or is silent."""
        self._is_given_up = True
        if isinstance(self._connection, sqlite3.Connection):
            with suppress(sqlite3.Error):  # it is closed by now
                self._connection.interrupt()

    def _check(self) -> None:
        if self._is_given_up:
            raise Failed("the query was given up")


def _in_thread(work: Callable[[], Rows]) -> Future[Rows]:
    """In a thread that nobody waits for: one that hangs in its driver holds up neither others nor our end."""
    answered = Future[Rows]()

    def run() -> None:
        answered.set_running_or_notify_cancel()
        try:
            answered.set_result(work())
        except BaseException as fault:  # noqa: BLE001 - whatever it is, who waits for the answer gets it
            answered.set_exception(fault)

    threading.Thread(target=run, name="flowforge-query", daemon=True).start()
    return answered


def _driver(scheme: str) -> Any:
    module = _DRIVERS.get(scheme)
    if module is None:
        known = ", ".join(["postgresql", *_DRIVERS])
        begins = f"begins with '{scheme}'" if scheme else "has no scheme"
        raise Unfit(f"its address {begins}; expected one of {known}, such as postgresql://…")
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unfit(f"the driver for {scheme} is not installed here: pip install {module}") from None


def _connect(driver: Any, parts: SplitResult, wait_s: float) -> Any:
    if parts.scheme == "sqlite":  # as SQLAlchemy writes it: three slashes and a relative path, four and an absolute one
        connection = driver.connect(unquote(parts.path)[1:], timeout=min(wait_s, _WAIT_S_MAX), check_same_thread=False)
        connection.set_authorizer(_within_its_file)
        return connection
    return driver.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or _PORT_MYSQL,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path)[1:] or None,
        connect_timeout=max(int(min(wait_s, _WAIT_S_MAX)), 1),
        read_timeout=max(int(wait_s), 1),
        write_timeout=max(int(wait_s), 1),
    )


def _within_its_file(action: int, *_: object) -> int:
    """The secret names the file: a query adds no other (`attach`, `vacuum into`)."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK
