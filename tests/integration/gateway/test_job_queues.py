"""Once a save is answered its job types have queues: a worker may come before the first run."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx
import nats
import pytest
from flowforge.subjects import Subjects, job_consumer
from nats.js.errors import NotFoundError

pytestmark = pytest.mark.usefixtures("catalog")
HasQueue = Callable[[str, str], Awaitable[bool]]


def job(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "job", "job_type": name, **fields}


def workflow(name: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "name": name, "nodes": list(nodes)}


@pytest.fixture
async def has_queue(nats_url: str, namespace: str) -> AsyncGenerator[HasQueue]:
    connection = await nats.connect(nats_url)

    async def asked(queue: str, job_type: str) -> bool:
        try:
            await connection.jetstream().consumer_info(Subjects(namespace).jobs_stream, job_consumer(queue, job_type))
        except NotFoundError:
            return False
        return True

    yield asked
    await connection.close()


async def test_every_job_of_a_definition_has_its_queue_those_in_loops_too(
    http: httpx.AsyncClient, has_queue: HasQueue
) -> None:
    inner = {"id": "inner", "type": "loop", "loop_type": "count", "count": 2, "body": {"nodes": [job("deep")]}}
    outer = {"id": "outer", "type": "loop", "loop_type": "count", "count": 2, "body": {"nodes": [job("body"), inner]}}
    saved = await http.post("/api/workflows", json=workflow("hello", job("own", queue="gpu"), outer))
    assert saved.status_code == 201, saved.text
    for queue, job_type in (("gpu", "own"), ("default", "body"), ("default", "deep")):
        assert await has_queue(queue, job_type), job_type


async def test_a_workflow_of_a_template_has_its_queues(http: httpx.AsyncClient, has_queue: HasQueue) -> None:
    await http.post("/api/templates", json={"id": "mine", "definition": workflow("x", job("templated"))})
    assert not await has_queue("default", "templated"), "nobody runs a template"
    made = await http.post("/api/templates/mine/instantiate", json={"id": "hello"})
    assert made.status_code == 201, made.text
    assert await has_queue("default", "templated")


async def test_a_definition_that_is_refused_makes_no_queue(http: httpx.AsyncClient, has_queue: HasQueue) -> None:
    refused = await http.post("/api/workflows", json=workflow("hello", job("stray", payload="${nodes.no.output}")))
    assert refused.status_code == 422
    assert not await has_queue("default", "stray")
