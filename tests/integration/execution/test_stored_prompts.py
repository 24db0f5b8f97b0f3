"""Without a version, the newest prompt counts when the node runs, however long its run has been in memory."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from execution_stage import Installation
from flowforge.events import NodeFailed, NodeQueued, PromptDeleted, PromptSaved
from flowforge.identity import named_stream

ASKS = {"id": "ask", "type": "prompt_execution", "provider_model": "ollama:llama3", "prompt_id": "p"}
WAITS = {"id": "w", "type": "wait_event", "event_type": "order.paid"}


async def saved(installation: Installation, version: int) -> None:
    prompt = msgspec.Raw(b'"number %d"' % version)
    event = PromptSaved(prompt_id="p", prompt_version=version, prompt=prompt)
    await installation.logged("prompt", named_stream("prompt", "p"), event)


async def waiting(installation: Installation, **asks: Any) -> UUID:
    """A run that waits before it asks."""
    edge = {"source_node_id": "w", "target_node_id": "ask"}
    await installation.define(WAITS, {**ASKS, **asks}, edges=[edge])
    await installation.start()
    run = await installation.run()
    await installation.until_logged(run, "NodeWaiting")
    return run


@pytest.mark.parametrize(("asks", "said"), [({}, "number 2"), ({"prompt_version": 1}, "number 1")])
async def test_what_was_saved_while_the_run_waited(installation: Installation, asks: dict[str, Any], said: str):
    await saved(installation, 1)
    run = await waiting(installation, **asks)
    await saved(installation, 2)
    await installation.received("order.paid")
    await installation.until_logged(run, "NodeQueued")
    [queued] = await installation.events(run, NodeQueued)
    assert msgspec.json.decode(queued.payload)["prompt"] == said


@pytest.mark.parametrize("asks", [{}, {"prompt_version": 1}])
async def test_what_was_not_there_when_the_run_began(installation: Installation, asks: dict[str, Any]):
    run = await waiting(installation, **asks)
    await saved(installation, 1)
    await installation.received("order.paid")
    await installation.until_logged(run, "NodeQueued")


async def test_what_was_deleted_while_the_run_waited(installation: Installation):
    await saved(installation, 1)
    run = await waiting(installation)
    await installation.logged("prompt", named_stream("prompt", "p"), PromptDeleted(prompt_id="p"))
    await installation.received("order.paid")
    await installation.until_logged(run, "NodeFailed")
    [failed] = await installation.events(run, NodeFailed)
    assert "there is no prompt 'p'" in failed.error.message
