"""Reading circuit breakers, and building what is read of them anew."""

from datetime import timedelta
from typing import Any

from flowforge.events import BreakerClosed, BreakerHalfOpened, BreakerOpened, Event
from flowforge.identity import lasting_stream, new_uuid
from histories import START, new
from httpx import AsyncClient

from infra.eventlog import Append, Appended, EventLog, StreamAppend

RUN = new_uuid(START)


async def tell(log: EventLog, name: str, version: int, *events: Event) -> None:
    stream = StreamAppend("breaker", lasting_stream("breaker", name), version, new(*events))
    [answer] = await log.append([Append([stream], START)])
    assert isinstance(answer, Appended)


async def items(client: AsyncClient, log: EventLog, **query: Any) -> list[dict[str, Any]]:
    response = await client.get("/api/breakers", params={"after": (await log.head()).position, **query})
    assert response.status_code == 200, response.text
    return response.json()["items"]


def opened(name: str) -> BreakerOpened:
    return BreakerOpened(
        breaker=name,
        open_until=START + timedelta(seconds=30),
        failures_count=5,
        error="HTTP_ERROR: 503 \x00",
        run_id=RUN,
        node_id="call",
    )


async def test_a_breaker_is_read_as_its_last_event_left_it(client: AsyncClient, log: EventLog):
    assert await items(client, log) == []
    await tell(log, "job:work", 0, opened("job:work"))
    await tell(log, "host:a.example", 0, opened("host:a.example"))
    first, second = await items(client, log)
    assert (first["breaker"], second["breaker"]) == ("host:a.example", "job:work")
    assert (first["status"], first["until"], first["failures_count"]) == ("open", "2026-03-01T12:00:30Z", 5)
    assert first["error"].startswith("HTTP_ERROR: 503")
    assert (first["run_id"], first["node_id"]) == (str(RUN), "call")
    half = BreakerHalfOpened(breaker="job:work", trial_until=START, run_id=RUN, node_id="call")
    await tell(log, "job:work", 1, half, BreakerClosed(breaker="job:work"), opened("job:work"), half)
    [shown] = await items(client, log, status="half_open")
    assert (shown["breaker"], shown["until"], shown["error"]) == ("job:work", "2026-03-01T12:00:00Z", None)
    await tell(log, "job:work", 5, BreakerClosed(breaker="job:work"))
    assert [each["breaker"] for each in await items(client, log, status="open")] == ["host:a.example"]
    assert (await items(client, log, status="closed"))[0]["until"] is None
    assert (await client.get("/api/breakers?status=ajar")).status_code == 400
