"""Job-type triggers set over HTTP, carried out by the real catalog."""

from typing import Any

import httpx
import pytest
from flowforge.job_types import TRIGGER_TYPES

pytestmark = pytest.mark.usefixtures("catalog")
PATH = "/api/workflows/hello/trigger_configs"


def six(*enabled: str) -> list[dict[str, Any]]:
    return [{"trigger_type": name, "is_enabled": name in enabled} for name in TRIGGER_TYPES]


def workflow() -> dict[str, Any]:
    return {"id": "hello", "name": "hello", "nodes": [{"id": "greet", "type": "job", "job_type": "greet"}]}


async def test_they_are_set_as_a_save_and_answered_in_order(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=workflow())
    answer = await http.put(PATH, json={"configs": six("EVAL")[::-1]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    saved = answer.json()
    assert saved.keys() == {"id", "version", "position", "warnings", "trigger_configs"}
    assert (saved["id"], saved["version"], saved["trigger_configs"]) == ("hello", 2, six("EVAL"))
    again = await http.put("/workflows/hello/trigger_configs", json={"configs": six("EVAL")})
    assert again.json() == saved


async def test_if_match_keeps_another_version_from_being_changed(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=workflow())
    stale = await http.put(PATH, json={"configs": six("EVAL")}, headers={"If-Match": '"7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "VERSION_CHANGED")
    assert (await http.put(PATH, json={"configs": six()}, headers={"If-Match": '"1"'})).status_code == 200


async def test_the_same_idempotency_key_answers_the_same(http: httpx.AsyncClient) -> None:
    await http.post("/api/workflows", json=workflow())
    headers = {"Idempotency-Key": "once"}
    first = await http.put(PATH, json={"configs": six("TRAIN")}, headers=headers)
    await http.put(PATH, json={"configs": six()})
    assert (await http.put(PATH, json={"configs": six("TRAIN")}, headers=headers)).json() == first.json()
    other = await http.put(PATH, json={"configs": six("EVAL")}, headers=headers)
    assert other.status_code == 422


async def test_an_unknown_workflow_is_404_and_an_archived_one_409(http: httpx.AsyncClient) -> None:
    assert (await http.put(PATH, json={"configs": six()})).status_code == 404
    await http.post("/api/workflows", json=workflow())
    await http.delete("/api/workflows/hello")
    assert (await http.put(PATH, json={"configs": six()})).status_code == 409


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["$.configs"]),
        ({"configs": six()[:5]}, ["$.configs"]),
        ({"configs": [*six()[:5], six()[0]]}, ["$.configs[5].trigger_type", "$.configs"]),
        ({"configs": [*six()[:5], {"trigger_type": "GENERATE", "is_enabled": "true"}]}, ["$.configs[5].is_enabled"]),
        ({"configs": six(), "more": 1}, ["$"]),
        ([], ["$"]),
    ],
)
async def test_what_is_wrong_is_422_with_every_place(http: httpx.AsyncClient, body: Any, paths: list[str]) -> None:
    await http.post("/api/workflows", json=workflow())
    refused = await http.put(PATH, json=body)
    assert refused.status_code == 422
    problem = refused.json()
    assert [error["path"] for error in problem["errors"]] == paths
    assert problem["detail"]


async def test_only_editors_set_them(http: httpx.AsyncClient, keys: dict[str, str]) -> None:
    await http.post("/api/workflows", json=workflow())
    headers = {"Authorization": f"Bearer {keys['operator']}"}
    assert (await http.put(PATH, json={"configs": six()}, headers=headers)).status_code == 403
