"""What `sql` nodes promise: a worker on a real queue, a real Postgres and a real SQLite to ask."""

import sqlite3
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flowforge import Worker

from services.workers.sql import SqlRunner
from tests.integration.workers.executing import Execution, Told, serving
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


async def test_a_driver_that_is_not_installed_is_named(desk: Desk):
    pytest.importorskip("sqlite3")
    desk.kept.values["db"] = "mysql://me@127.0.0.1/x"
    error = await desk.error("select 1")
    assert "pip install pymysql" in error.message or "connect" in error.message.lower()
