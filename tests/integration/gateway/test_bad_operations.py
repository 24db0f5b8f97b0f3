"""Requests about runs that make no sense say where, before any service is asked."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

NOBODY = str(uuid4())


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("POST", "pause", {"why": "x"}, "why"),
        ("POST", "pause", {"reason": 5}, "$.reason"),
        ("POST", "resume", {"steps": 1}, "steps"),
        ("POST", "step", {"steps": 0}, "$.steps"),
        ("POST", "retry", {"from": "start"}, "$.from"),
        ("POST", "retry", {"from": "node"}, "node_id"),
        ("POST", "retry", {"from": "failed", "node_id": "a"}, "from: node"),
        ("POST", "nodes/a/complete", {"instance": "x"}, "$.instance"),
        ("POST", "nodes/a/fail", {"output": 1}, "output"),
        ("POST", "nodes/a/skip", {"message": "x"}, "message"),
        ("PATCH", "", {}, "nothing"),
        ("PATCH", "", {"priority": 10_000}, "$.priority"),
        ("PATCH", "", {"labels": {"a": 1}}, "$.labels"),
        ("PATCH", "", {"status": "completed"}, "status"),
        ("PUT", "breakpoints", {}, "breakpoints"),
        ("PUT", "breakpoints", {"breakpoints": ["No Slug"]}, "$.breakpoints"),
    ],
)
async def test_a_body_that_makes_no_sense_says_where(
    http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], word: str
) -> None:
    answer = await http.request(method, f"/api/runs/{NOBODY}/{path}".rstrip("/"), json=body)
    assert (answer.status_code, word in answer.text) == (422, True), answer.text


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"filter": {}, "action": "cancel"}, "all runs"),
        ({"filter": {"workflow_id": "w"}, "action": "explode"}, "$.action"),
        ({"filter": {"worklow_id": "w"}, "action": "cancel"}, "worklow_id"),
        ({"filter": {"status": "sleeping"}, "action": "cancel"}, "$.filter.status"),
        ({"filter": {"run_ids": ["x"]}, "action": "cancel"}, "$.filter.run_ids"),
        ({"filter": {"run_ids": [NOBODY] * 1001}, "action": "cancel"}, "$.filter.run_ids"),
        ({"filter": {"label": "x"}, "action": "cancel"}, "$.filter.label"),
        ({"filter": {"since": "yesterday"}, "action": "cancel"}, "$.filter.since"),
        ({"filter": {"until": "9999-12-31T23:59:59-14:00"}, "action": "cancel"}, "$.filter.until"),
        ({"action": "cancel"}, "filter"),
    ],
)
async def test_a_bulk_request_that_makes_no_sense_says_where(
    http: httpx.AsyncClient, body: dict[str, Any], word: str
) -> None:
    answer = await http.post("/api/runs/bulk", json=body)
    assert (answer.status_code, word in answer.text) == (422, True), answer.text
