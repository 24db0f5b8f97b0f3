"""Nodes that use stored prompts."""

from typing import Any

import msgspec
from flowforge.events import NodeFailed, NodeQueued

from services.execution import decide
from services.execution.state import StoredPrompt
from tests.unit.execution.given import Scenario

NODE = {"id": "p", "type": "prompt_execution", "provider_model": "ollama:llama", "prompt_id": "greet"}


def begun(node: dict[str, Any], stored: StoredPrompt | None) -> list[Any]:
    run = Scenario({"nodes": [node]}, {"who": "Ada"}).run
    run.prompts["greet", node.get("prompt_version")] = stored
    step = decide.Step(run, Scenario({"nodes": [node]}).now)
    decide.start(step)
    return step.events


def test_a_stored_prompt_is_rendered_as_if_it_stood_in_the_node():
    events = begun(NODE, StoredPrompt(3, "Greet ${input.who}", "In ${input.who}'s language"))
    queued = next(event for event in events if isinstance(event, NodeQueued))
    assert msgspec.json.decode(queued.payload) == {
        "prompt": "Greet Ada",
        "system": "In Ada's language",
        "options": {},
        "prompt_version": 3,
    }


def test_the_nodes_own_system_prompt_comes_first():
    events = begun({**NODE, "system": "Be brief"}, StoredPrompt(1, "Greet", "Be long"))
    queued = next(event for event in events if isinstance(event, NodeQueued))
    assert msgspec.json.decode(queued.payload)["system"] == "Be brief"


def test_a_prompt_that_is_not_there_fails_its_node_and_is_named():
    failed = next(event for event in begun({**NODE, "prompt_version": 9}, None) if isinstance(event, NodeFailed))
    assert failed.error.code == "INPUT_INVALID"
    assert "there is no version 9 of the prompt 'greet'" in failed.error.message
