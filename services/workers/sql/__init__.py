"""The handler of `sql` jobs: one query to an external database, its values beside it, its rows as the output.

Postgres through asyncpg; SQLite, and MySQL or MariaDB where its driver is installed, through DB-API 2.0 in a thread. A
query is a transaction of its own: what fails has changed nothing.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from flowforge.errors import ErrorCode, JobError
from flowforge.job import Job

from services.workers.secrets import Asks, JobSecrets
from services.workers.settings import sql_s_default
from services.workers.sql import dbapi, postgres
from services.workers.sql.rows import ADDRESS, Failed, Rows, TooManyRows, Unfit, plain


class Query(msgspec.Struct, frozen=True):
    """The payload of a query's job."""

    connection: str
    query: str
    parameters: list[Any] | dict[str, Any] = []
    max_rows: int = 10_000


class SqlRunner:
    """Runs the queries of `sql` nodes."""

    def __init__(self, asks: Asks) -> None:
        self._asks = asks

    async def run(self, job: Job) -> dict[str, Any]:
        """Query, and answer `{rows, row_count, columns}`. Raises JobError."""
        query = _read(job)
        secrets = JobSecrets(self._asks, job)
        url = await secrets.named(query.connection)
        try:
            parts = urlsplit(url.strip())
            password = parts.password
        except ValueError:
            raise _invalid(f"secrets.{query.connection}: {ADDRESS}") from None
        if password:
            job.hide(password, unquote(password))
        parameters = await secrets.resolve(query.parameters)
        wait_s = sql_s_default if job.deadline is None else (job.deadline - datetime.now(UTC)).total_seconds()
        ask = postgres.ask if parts.scheme in ("postgres", "postgresql") else dbapi.ask
        try:
            async with asyncio.timeout(wait_s):
                return _output(await ask(url.strip(), query.query, parameters, query.max_rows, wait_s))
        except TooManyRows as fault:
            raise JobError(str(fault), code=ErrorCode.PAYLOAD_TOO_LARGE, retryable=False) from None
        except TimeoutError:
            raise JobError(f"the query took longer than {wait_s:.0f} s", code=ErrorCode.JOB_TIMEOUT) from None
        except Unfit as fault:
            raise _invalid(f"secrets.{query.connection}: {fault}") from None
        except Failed as fault:
            details = {"sqlstate": fault.state} if fault.state else {}
            raise JobError(str(fault), retryable=fault.is_worth_another_try, details=details) from None


def _read(job: Job) -> Query:
    try:
        return msgspec.json.decode(job.raw_payload, type=Query)
    except msgspec.DecodeError as fault:
        raise _invalid(f"this is no query: {fault}") from fault


def _output(found: Rows) -> dict[str, Any]:
    double = next((name for name in found.columns if found.columns.count(name) > 1), None)
    if double is not None:
        raise _invalid(f"query: two columns are named '{double}'; give one of them another name with `as`")
    rows = [dict(zip(found.columns, map(plain, row), strict=True)) for row in found.rows]
    count = len(rows) if found.affected is None else found.affected
    return {"rows": rows, "row_count": count, "columns": found.columns}


def _invalid(message: str) -> JobError:
    return JobError(message, code=ErrorCode.INPUT_INVALID, retryable=False)
