"""What `sql` nodes promise: a worker on a real queue, a real Postgres and a real SQLite to ask."""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from flowforge import Worker

from services.workers import sql
from services.workers.sql import SqlRunner
from tests.integration.workers.executing import WAIT_S, Execution, Told, serving
from tests.integration.workers.test_webhooks import Kept


class Desk:
    """Where queries are asked, and what their databases are."""

    def __init__(self, execution: Execution, kept: Kept) -> None:
        self.execution, self.kept = execution, kept

    async def ask(self, query: str, *parameters: Any, job: dict[str, Any] | None = None, **payload: Any) -> Told:
        payload = {"connection": "db", "query": query, "parameters": list(parameters), **payload}
        return await self.execution.ending(await self.execution.hand_out("sql", payload=payload, **(job or {})))

    async def output(self, query: str, *parameters: Any, **payload: Any) -> Any:
        told = await self.ask(query, *parameters, **payload)
        assert told.kind == "JobCompleted", told.report
        return msgspec.json.decode(told.report.output)

    async def error(self, query: str, *parameters: Any, **payload: Any) -> Any:
        told = await self.ask(query, *parameters, **payload)
        assert told.kind == "JobFailed", told.report
        return told.report.error


@pytest.fixture
async def desk(execution: Execution, nats_url: str, namespace: str) -> AsyncGenerator[Desk]:
    kept = Kept()
    worker = Worker(nats_url=nats_url, namespace=namespace)
    worker.job("sql")(SqlRunner(kept).run)
    async with serving(worker):
        yield Desk(execution, kept)


@pytest.fixture
def postgres(desk: Desk, postgres_dsn: str) -> Desk:
    desk.kept.values["db"] = postgres_dsn
    return desk


@pytest.fixture
def sqlite(desk: Desk, tmp_path: Path) -> Desk:
    file = tmp_path / "books.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table books (id integer primary key, title text)")
        connection.executemany("insert into books (title) values (?)", [("Emma",), ("Dune",)])
    desk.kept.values["db"] = f"sqlite:///{file}"
    return desk


# --- Postgres ---------------------------------------------------------------------------------------------------------


async def test_rows_are_objects_by_column(postgres: Desk):
    output = await postgres.output("select n, 'row ' || n as name from generate_series(1, 2) n order by n")
    assert output == {
        "columns": ["n", "name"],
        "row_count": 2,
        "rows": [{"n": 1, "name": "row 1"}, {"n": 2, "name": "row 2"}],
    }


async def test_values_go_beside_the_query_and_are_never_part_of_it(postgres: Desk):
    nasty = "'); drop table x; --"
    assert (await postgres.output("select $1::text as v", nasty))["rows"] == [{"v": nasty}]


async def test_values_of_every_kind_come_and_go_as_json(postgres: Desk):
    query = """select $1::timestamptz at time zone 'UTC' as at, $2::numeric as n, $3::uuid as id, $4::jsonb as doc,
               $5::date + 1 as day, 12345678901234567890.5::numeric as big, '\\x00ff'::bytea as raw, array[1, 2] as list,
               null as nothing, interval '90 minutes' as span, true as yes"""
    row = (
        await postgres.output(
            query, "2030-01-31T08:00:00Z", 1.5, "6e8bc430-9c3a-11d9-9669-0800200c9a66", {"a": [1]}, "2024-02-28"
        )
    )["rows"][0]
    assert row == {
        "at": "2030-01-31 08:00:00", "n": 1.5, "id": "6e8bc430-9c3a-11d9-9669-0800200c9a66", "doc": {"a": [1]},
        "day": "2024-02-29", "big": "12345678901234567890.5", "raw": {"base64": "AP8="}, "list": [1, 2],
        "nothing": None, "span": "01:30:00", "yes": True,
    }  # fmt: skip


async def test_a_statement_without_rows_says_how_many_it_changed(postgres: Desk):
    await postgres.output("create table marks (n int)")
    assert (await postgres.output("insert into marks select generate_series(1, 3)"))["row_count"] == 3
    output = await postgres.output("update marks set n = n + 1 where n > 1 returning n")
    assert (output["row_count"], output["columns"]) == (2, ["n"])


async def test_more_rows_than_allowed_fail_and_change_nothing(postgres: Desk):
    await postgres.output("create table kept (n int)")
    error = await postgres.error("insert into kept select generate_series(1, 9) returning n", max_rows=5)
    assert (error.code, error.retryable) == ("PAYLOAD_TOO_LARGE", False)
    assert "more than 5 rows (max_rows)" in error.message
    assert (await postgres.output("select count(*) as n from kept"))["rows"] == [{"n": 0}]


@pytest.mark.parametrize(
    ("query", "parameters", "told", "state"),
    [
        ("select frm x", [], 'column "frm" does not exist', "42703"),
        ("select * from nowhere", [], "does not exist", "42P01"),
        ("select 1 / $1::int as v", [0], "division by zero", "22012"),
        ("select $1::int as v", ["many"], "many", "22000"),
        ("select $1::timestamptz as v", ["soon"], "soon", "22007"),
        ("select $1::int as v", [], "expects 1 argument", "22000"),
    ],
)
async def test_what_a_query_has_wrong_is_told_and_not_tried_again(
    postgres: Desk, query: str, parameters: list[Any], told: str, state: str
):
    error = await postgres.error(query, *parameters)
    assert told in error.message
    assert error.retryable is False
    assert msgspec.json.decode(error.details)["sqlstate"] == state


async def test_a_query_that_takes_too_long_is_ended(postgres: Desk):
    error = await postgres.error("select pg_sleep(30)", job={"deadline": datetime.now(UTC) + timedelta(seconds=1)})
    assert error.code == "JOB_TIMEOUT" or "statement timeout" in error.message


async def test_two_columns_of_one_name_are_refused(postgres: Desk):
    assert "two columns are named 'a'" in (await postgres.error("select 1 as a, 2 as a")).message


async def test_names_are_no_parameters_of_postgres(postgres: Desk):
    error = await postgres.error("select 1", parameters={"a": 1})
    assert "$1, $2" in error.message


async def test_a_database_that_is_not_there_may_be_tried_again_and_its_password_stays_hidden(desk: Desk):
    desk.kept.values["db"] = "postgresql://me:s3cr%2Ft@127.0.0.1:9/none"
    error = await desk.error("select 1")
    assert error.retryable is True
    assert "no connection to the database" in error.message
    assert "s3cr" not in str(error)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize("password", ["s3cr/et", "s3cr#et", "s3cr?et", "s3cr[et"])
async def test_no_piece_of_a_password_is_told_that_was_not_encoded(desk: Desk, scheme: str, password: str):
    desk.kept.values["db"] = f"{scheme}://me:{password}@127.0.0.1:9/none"
    error = await desk.error("select 1")
    assert (error.code, error.retryable) == ("INPUT_INVALID", False)
    assert "percent-encoded" in error.message
    assert "s3cr" not in error.message + bytes(error.details).decode()


async def test_of_a_secret_that_is_no_address_nothing_is_told(desk: Desk):
    for key in ("sk-live-1234567890", "user:sk-live-1234567890"):
        desk.kept.values["db"] = key
        message = (await desk.error("select 1")).message
        assert "secrets.db: its address has no scheme; expected one of postgresql" in message
        assert "sk-live" not in message


async def test_a_query_that_is_cancelled_ends_in_the_database_and_leaves_no_connection(
    postgres: Desk, postgres_dsn: str
):
    observer = await asyncpg.connect(postgres_dsn)
    mark = f"marked {uuid4()}"
    open_count = "select count(*) from pg_stat_activity where query like '%' || $1 || '%' and pid <> pg_backend_pid()"

    async def until(count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while await observer.fetchval(open_count, mark) != count:
                await asyncio.sleep(0.02)

    try:
        query = {"connection": "db", "query": f"select pg_sleep(600) /* {mark} */", "parameters": []}
        job = await postgres.execution.hand_out("sql", payload=query)
        await until(1)
        await postgres.execution.cancel(job)
        assert (await postgres.execution.ending(job)).report.error.code == "CANCELLED"
        await until(0)
    finally:
        await observer.close()


async def test_a_database_that_falls_silent_does_not_hold_the_job(
    desk: Desk, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sql, "sql_s_default", 1.0)
    async with _silenced(postgres_dsn) as address:
        desk.kept.values["db"] = address
        error = await desk.error("select 1 as silence")
    assert (error.code, error.retryable) == ("JOB_TIMEOUT", True)


@contextlib.asynccontextmanager
async def _silenced(dsn: str) -> AsyncGenerator[str]:
    """The same database, up to the query that asks for silence: from then on nothing comes back."""
    parts = urlsplit(dsn)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, until: bytes) -> None:
        while (data := await reader.read(65_536)) and not (until and until in data):
            writer.write(data)
        await asyncio.Event().wait()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, outside = await asyncio.open_connection(parts.hostname, parts.port)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(pass_on(reader, outside, b"silence"), pass_on(inside, writer, b""))
        outside.close()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield dsn.replace(parts.netloc, parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}")


async def test_a_secret_that_is_missing_or_no_address_is_told_by_name(desk: Desk):
    assert "there is no secrets.db" in (await desk.error("select 1")).message
    desk.kept.values["db"] = "redis://127.0.0.1"
    error = await desk.error("select 1")
    assert "secrets.db: its address begins with 'redis'" in error.message
    assert "postgresql" in error.message


# --- others -----------------------------------------------------------------------------------------------------------


async def test_sqlite_is_asked_with_parameters_in_a_list_or_by_name(sqlite: Desk):
    output = await sqlite.output("select title from books where id = ?", 2)
    assert output["rows"] == [{"title": "Dune"}]
    output = await sqlite.output("select title from books where id = :id", parameters={"id": 1})
    assert output == {"rows": [{"title": "Emma"}], "row_count": 1, "columns": ["title"]}


async def test_sqlite_is_written_to_and_what_fails_changes_nothing(sqlite: Desk):
    assert (await sqlite.output("insert into books (title) values (?)", "Ulysses"))["row_count"] == 1
    assert "UNIQUE" in (await sqlite.error("insert into books (id, title) values (1, 'x')")).message
    assert (await sqlite.output("select count(*) as n from books"))["rows"] == [{"n": 3}]


async def test_a_query_reaches_the_file_that_the_secret_names_and_no_other(sqlite: Desk, tmp_path: Path):
    other = tmp_path / "other.db"
    for query in (f"attach '{other}' as other", f"vacuum into '{other}'"):
        error = await sqlite.error(query)
        assert "authori" in error.message
        assert error.retryable is False
    assert not other.exists()


@pytest.mark.parametrize("query", ["select 1; select 2", "select ?"])
async def test_what_sqlite_does_not_take_is_told_and_not_tried_again(sqlite: Desk, query: str):
    error = await sqlite.error(query, *([2**70] if "?" in query else []))
    assert error.retryable is False
    assert "traceback" not in bytes(error.details).decode()


async def test_queries_that_hang_hold_up_no_others(sqlite: Desk):
    endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) as x from n"
    payload = {"connection": "db", "query": endless, "parameters": []}
    hanging = [await sqlite.execution.hand_out("sql", payload=payload) for _ in range((os.cpu_count() or 1) + 8)]
    assert (await sqlite.output("select 1 as one"))["rows"] == [{"one": 1}]
    for job in hanging:
        await sqlite.execution.cancel(job)
    for job in hanging:
        assert (await sqlite.execution.ending(job)).report.error.code == "CANCELLED"
    async with asyncio.timeout(WAIT_S):
        while any(thread.name == "flowforge-query" for thread in threading.enumerate()):
            await asyncio.sleep(0.02)


async def test_a_driver_that_is_not_installed_is_named(desk: Desk):
    pytest.importorskip("sqlite3")
    desk.kept.values["db"] = "mysql://me@127.0.0.1/x"
    error = await desk.error("select 1")
    assert "pip install pymysql" in error.message or "connect" in error.message.lower()
