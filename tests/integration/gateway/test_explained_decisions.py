"""Why a trigger did not fire, where an index ruled it out and nothing is on record; and its counts."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from infra.embedded.front import lifespan
from infra.settings import Settings
from services.projections.api import create_app
from tests.integration.gateway.conftest import Start

pytestmark = pytest.mark.usefixtures("catalog", "triggers")
EVENTS_COUNT = 3


def workflow(number: int) -> dict[str, Any]:
    config = {"event_type": "order.placed", "filter": f'event.data.shop == "s{number}"'}
    trigger = {"id": "t", "type": "event", "config": config}
    return {"id": f"w{number}", "name": "w", "nodes": [{"id": "s", "type": "start"}], "triggers": [trigger]}


@pytest.fixture
async def reads(
    start: Start, service_dsn: str, nats_url: str, namespace: str, keys: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(Settings(database_url=service_dsn, nats_url=nats_url, namespace=namespace))
    async with start("projections"), lifespan(app):  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {keys['viewer']}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://flowforge", headers=headers) as asking:
            yield asking


async def test_what_an_index_ruled_out_is_computed_when_asked(
    http: httpx.AsyncClient, reads: httpx.AsyncClient
) -> None:
    for number in range(12):
        await http.post("/api/workflows", json=workflow(number))
    event = {"specversion": "1.0", "id": "o1", "source": "/shop", "type": "order.placed", "data": {"shop": "s3"}}
    received = (await http.post("/api/events", json=event)).json()
    later = workflow(5)
    later["triggers"][0]["config"]["filter"] = 'event.data.shop == "s3"'
    saved = (await http.put("/api/workflows/w5", json=later)).json()

    async def decisions(number: int, **query: Any) -> list[dict[str, Any]]:
        path = f"/api/workflows/w{number}/triggers/t/decisions"
        answer = await reads.get(path, params={"after": saved["position"], **query})
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    assert await decisions(5) == []
    for named in ("o1", received["event_id"]):
        [computed] = await decisions(5, cause=named)
        assert (computed["decision"], computed["computed"], computed["trigger_version"]) == ("not_matched", True, 1)
        assert 'event.data.shop was "s3"' in computed["reason"]
        assert computed["cause"]["id"] == "o1"
    [fired] = await decisions(3, cause="o1")
    assert (fired["decision"], fired["computed"]) == ("fired", False)
    assert await decisions(5, cause="unknown") == []
    assert await decisions(5, cause="o1", decision="fired") == []
    stats = (await reads.get("/api/workflows/w3/triggers/t/stats")).json()
    assert (stats["total"], stats["decisions"], stats["suppressed"]) == (1, {"fired": 1}, {})
    assert (len(stats["hours"]), sum(hour["total"] for hour in stats["hours"])) == (24, 1)


async def test_an_event_that_did_not_concern_the_trigger_has_no_decision(
    http: httpx.AsyncClient, reads: httpx.AsyncClient
) -> None:
    await http.post("/api/workflows", json=workflow(0))
    event = {"specversion": "1.0", "id": "o1", "source": "/shop", "type": "order.paid", "data": {}}
    position = (await http.post("/api/events", json=event)).json()["position"]
    answer = await reads.get("/api/workflows/w0/triggers/t/decisions", params={"after": position, "cause": "o1"})
    assert answer.json()["items"] == []


async def test_suppressed_decisions_are_counted_by_reason(http: httpx.AsyncClient, reads: httpx.AsyncClient) -> None:
    disabled = workflow(0)
    disabled["triggers"][0]["enabled"] = False
    await http.post("/api/workflows", json=disabled)
    position = 0
    for number in range(EVENTS_COUNT):
        event = {"specversion": "1.0", "id": f"o{number}", "source": "/shop", "type": "order.placed", "data": {}}
        position = (await http.post("/api/events", json=event)).json()["position"]
    stats = (await reads.get("/api/workflows/w0/triggers/t/stats", params={"after": position})).json()
    assert stats["suppressed"] == {"disabled": EVENTS_COUNT}
    assert stats["hours"][-1]["total"] + stats["hours"][-2]["total"] == EVENTS_COUNT
