"""A schedule's past made up for over HTTP: previewed, asked for, refused with its place."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

HOUR = timedelta(hours=1)
PATH = "/api/workflows/hello/triggers/hourly/backfill"
HOURLY: dict[str, Any] = {"id": "hourly", "type": "schedule", "config": {"cron": "0 * * * *"}}
ON_FILE: dict[str, Any] = {"id": "on-file", "type": "event", "config": {"event_type": "file.arrived"}}


def workflow(**changes: Any) -> dict[str, Any]:
    node = {"id": "greet", "type": "job", "job_type": "greet"}
    return {"id": "hello", "name": "Hello", "nodes": [node], "triggers": [HOURLY, ON_FILE], **changes}


async def logged(dsn: str, event_type: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select data from eventlog.events where type = $1 order by position", event_type)
        return [msgspec.json.decode(row["data"]) for row in rows]
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def services(catalog: None, scheduler: None) -> None:
    """What answers."""


async def test_a_preview_then_the_backfill_once_per_key(http: httpx.AsyncClient, postgres_dsn: str) -> None:
    await http.post("/api/workflows", json=workflow())
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    body = {"since": (until - 3 * HOUR).isoformat(), "until": until.isoformat()}
    preview = await http.post(PATH, json={**body, "dry_run": True}, headers={"Idempotency-Key": "k"})
    assert preview.status_code == 200, preview.text
    told = preview.json()
    hours = [(until - n * HOUR).isoformat().replace("+00:00", "Z") for n in (3, 2, 1)]
    assert [(item["scheduled_at"], item["state"], item["fires"]) for item in told["items"]] == [
        (hour, "missing", True) for hour in hours
    ]
    assert (told["count"], told["dry_run"], told["has_more"]) == (3, True, False)
    assert (told["schedule"]["cron"], "as it is now" in told["note"]) == ("0 * * * *", True)
    assert await logged(postgres_dsn, "BackfillRequested") == []
    first = await http.post(PATH, json=body, headers={"Idempotency-Key": "k"})
    assert first.status_code == 202, first.text
    assert (first.json()["count"], first.json()["label"]) == (3, f"backfill={first.json()['backfill_id']}")
    again = await http.post(PATH, json=body, headers={"Idempotency-Key": "k"})
    assert again.json() == first.json()
    [asked] = await logged(postgres_dsn, "BackfillRequested")
    assert asked["times"] == hours
    other = await http.post(PATH, json=body)
    assert (other.status_code, other.json()["count"]) == (202, 0)


@pytest.mark.parametrize(
    ("body", "says", "path"),
    [
        ({}, "missing required field `since`", "$"),
        ({"since": "yesterday"}, "RFC3339", "$.since"),
        ({"since": 5}, "Expected `datetime`", "$.since"),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since must be before until", "$.since"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since must be before until", "$.since"),
        ({"since": "2099-01-01T00:00:00Z"}, "since must be before until", "$.since"),
        ({"since": "2026-01-01T00:00:00Z", "to": "now"}, "unknown field `to`", "$"),
        ({"since": "2026-01-01T00:00:00Z", "dry_run": "yes"}, "Expected `bool`", "$.dry_run"),
        ({"since": "2020-01-01T00:00:00Z", "until": "2020-03-01T00:00:00Z"}, "1,440 runs, one backfill takes 1,000",
         "$.since"),
        ({"since": "1980-01-01T00:00:00Z"}, "more than 10,000 nominal times, one backfill takes 5,000", "$.since"),
    ],
)  # fmt: skip
async def test_what_is_no_span_is_refused_with_its_place_and_nothing_recorded(
    http: httpx.AsyncClient, postgres_dsn: str, body: dict[str, Any], says: str, path: str
) -> None:
    await http.post("/api/workflows", json=workflow())
    answer = await http.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["detail"]
    assert answer.json()["errors"][0]["path"] == path
    assert await logged(postgres_dsn, "BackfillRequested") == []


async def test_what_is_not_there_or_not_in_force_is_refused(http: httpx.AsyncClient) -> None:
    body = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    assert (await http.post(PATH, json=body)).status_code == 404
    await http.post("/api/workflows", json=workflow())
    assert (await http.post(PATH.replace("hourly", "daily"), json=body)).status_code == 404
    wrong = await http.post(PATH.replace("hourly", "on-file"), json=body)
    assert (wrong.status_code, "of type event" in wrong.json()["detail"]) == (422, True)
    await http.patch("/api/workflows/hello/triggers/hourly", json={"enabled": False})
    disabled = await http.post(PATH, json={**body, "dry_run": True})
    assert (disabled.status_code, "enable it" in disabled.json()["detail"]) == (409, True)
    await http.patch("/api/workflows/hello/triggers/hourly", json={"enabled": True})
    assert (await http.post(PATH, json={**body, "dry_run": True})).status_code == 200
    await http.delete("/api/workflows/hello")
    assert (await http.post(PATH, json=body)).status_code == 409
