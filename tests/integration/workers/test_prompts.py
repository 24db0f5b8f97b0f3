"""What `prompt_execution` nodes promise: real clients of providers, and a server that answers as those do."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from flowforge import Worker

from infra.calls import Targets
from infra.calls.limits import response_bytes_max
from services.workers.prompts import PromptRunner
from tests.integration.workers.executing import Execution, Told, serving
from tests.integration.workers.test_webhooks import Kept
from tests.integration.workers.web import Said, Web, json_said

KEY = "sk-c4n4ry/key+odd"
MOODS = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}


class Desk:
    """Where models are asked."""

    def __init__(self, execution: Execution, web: Web, kept: Kept, environ: dict[str, str]) -> None:
        self.execution, self.web, self.kept, self.environ = execution, web, kept, environ

    async def ask(self, provider_model: str, **payload: Any) -> Told:
        given = {"provider_model": provider_model, "prompt": "How are you?", **payload}
        return await self.execution.ending(await self.execution.hand_out("prompt_execution", payload=given))

    async def output(self, provider_model: str, **payload: Any) -> Any:
        told = await self.ask(provider_model, **payload)
        assert told.kind == "JobCompleted", told.report
        return msgspec.json.decode(told.report.output)

    async def error(self, provider_model: str, **payload: Any) -> Any:
        told = await self.ask(provider_model, **payload)
        assert told.kind == "JobFailed", told.report
        return told.report.error


@pytest.fixture
async def web() -> AsyncGenerator[Web]:
    async with Web.serving() as server:
        yield server


@pytest.fixture
async def desk(execution: Execution, web: Web, nats_url: str, namespace: str) -> AsyncGenerator[Desk]:
    kept = Kept()
    kept.values["model_key"] = KEY
    address = f"http://127.0.0.1:{web.port}"
    environ = {
        "OPENAI_BASE_URL": f"{address}/v1",
        "OPENAI_API_KEY": KEY,
        "LOCAL_BASE_URL": f"{address}/v1",
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_API_KEY": KEY,
        "OLLAMA_HOST": address,
    }
    worker = Worker(nats_url=nats_url, namespace=namespace)
    worker.job("prompt_execution")(PromptRunner(kept, Targets(["127.0.0.0/8"], ["127.0.0.1:9"]), environ).run)
    async with serving(worker):
        yield Desk(execution, web, kept, environ)


def _sse(*events: Any, named: bool = False) -> Said:
    lines = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events]
    body = "".join([*lines, "" if named else "data: [DONE]\n\n"]).encode()
    return Said(200, body, {"content-type": "text/event-stream"})


def openai_says(web: Web, *parts: str) -> None:
    def piece(**fields: Any) -> dict[str, Any]:
        return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [], **fields}

    pieces = [piece(choices=[{"index": 0, "delta": {"content": part}, "finish_reason": None}]) for part in parts]
    usage = piece(usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
    web.at("/v1/chat/completions", _sse(*pieces, usage))


async def test_openai_streams_its_answer_and_counts_tokens(desk: Desk):
    openai_says(desk.web, "I am\n", "fine")
    output = await desk.output("openai:m", system="Be brief.", options={"temperature": 0, "max_tokens": 50, "seed": 4})
    assert output == {
        "text": "I am\nfine", "model": "m-1", "provider": "openai", "usage": {"input_tokens": 7, "output_tokens": 3},
    }  # fmt: skip
    [asked] = desk.web.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert (asked.json["temperature"], asked.json["max_tokens"], asked.json["seed"]) == (0, 50, 4)
    assert [each["role"] for each in asked.json["messages"]] == ["system", "user"]


async def test_an_answer_must_fit_its_schema(desk: Desk):
    openai_says(desk.web, '```json\n{"mood"', ': "good"}\n```')
    assert (await desk.output("openai:m", response_schema=MOODS))["json"] == {"mood": "good"}
    assert desk.web.asked[0].json["response_format"]["json_schema"]["schema"] == MOODS
    openai_says(desk.web, '{"mood": "odd"}')
    error = await desk.error("openai:m", response_schema=MOODS)
    assert error.code == "OUTPUT_INVALID"
    assert "$.json.mood" in error.message
    openai_says(desk.web, "no JSON at all")
    assert "is no JSON" in (await desk.error("openai:m", response_schema=MOODS)).message


async def test_a_schema_is_taken_as_it_stands_and_nothing_is_fetched_for_it(desk: Desk):
    openai_says(desk.web, '{"mood": "good"}')
    elsewhere = desk.web.at("/schema", json_said({}))
    for schema in ({"$ref": elsewhere}, {"$ref": "file:///etc/passwd"}, {"type": 5}):
        error = await desk.error("openai:m", response_schema=schema)
        assert (error.code, error.retryable) == ("INPUT_INVALID", False)
        assert "response_schema: " in error.message
    assert (await desk.output("openai:m", response_schema={"$schema": elsewhere}))["json"] == {"mood": "good"}
    assert [asked.path for asked in desk.web.asked] == ["/v1/chat/completions"]


async def test_any_compatible_address_is_a_provider_by_name(desk: Desk):
    openai_says(desk.web, "hello")
    assert (await desk.output("local:tiny"))["provider"] == "local"
    assert "OTHER_BASE_URL" in (await desk.error("other:tiny")).message


async def test_a_node_may_name_an_address_where_calls_may_go(desk: Desk):
    openai_says(desk.web, "hello")
    options = {"base_url": f"http://localhost:{desk.web.port}/v1", "api_key": "${secrets.model_key}"}
    assert (await desk.output("any:m", options=options))["text"] == "hello"
    assert desk.web.asked[0].headers["authorization"] == f"Bearer {KEY}"
    error = await desk.error("any:m", options={"base_url": "http://127.0.0.1:9/v1"})
    assert "FlowForge's own" in error.message
    assert error.retryable is False


async def test_an_address_that_a_node_names_gets_nothing_of_our_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-ours")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"x-ours: {KEY}\nauthorization: Bearer {KEY}")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    openai_says(desk.web, "hello")
    options = {"base_url": f"http://localhost:{desk.web.port}/v1"}
    for provider in ("openai", "local"):
        assert (await desk.output(f"{provider}:m", options=options))["text"] == "hello"
    for asked in desk.web.asked:
        assert KEY not in str(asked.headers)
        assert "org-of-ours" not in str(asked.headers)
        assert asked.headers["host"] == f"localhost:{desk.web.port}"


async def test_an_address_that_a_node_names_cannot_send_us_on(desk: Desk):
    desk.web.at("/v1/chat/completions", Said(307, b"", {"location": f"http://127.0.0.1:{desk.web.port}/inside"}))
    error = await desk.error("any:m", options={"base_url": f"http://localhost:{desk.web.port}/v1"})
    assert (error.code, error.retryable) == ("PROVIDER_ERROR", False)
    assert [asked.path for asked in desk.web.asked] == ["/v1/chat/completions"]


@pytest.mark.parametrize("provider_model", ["openai:m", "any:m", "claude:m", "ollama:m"])
async def test_an_answer_that_breaks_off_may_be_tried_again(desk: Desk, provider_model: str):
    for path in ("/v1/chat/completions", "/v1/messages", "/api/chat"):
        desk.web.at(
            path, Said(raw=b"HTTP/1.1 200 Said\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\n")
        )
    options = {"base_url": f"http://localhost:{desk.web.port}/v1"} if provider_model == "any:m" else {}
    error = await desk.error(provider_model, options=options)
    assert (error.code, error.retryable) == ("PROVIDER_ERROR", True), error.message


async def test_an_answer_without_end_is_not_kept(desk: Desk):
    endless = b"data: " + b"x" * response_bytes_max
    desk.web.at("/v1/chat/completions", Said(200, endless, {"content-type": "text/event-stream"}))
    error = await desk.error("any:m", options={"base_url": f"http://localhost:{desk.web.port}/v1"})
    assert error.code == "PROVIDER_ERROR"
    assert "more than 16 MiB" in error.message


@pytest.mark.parametrize(("status", "may_pass"), [(401, False), (400, False), (429, True), (503, True)])
async def test_a_provider_that_refuses_says_why_and_whether_another_try_may_help(
    desk: Desk, status: int, may_pass: bool
):
    desk.web.at("/v1/chat/completions", json_said({"error": {"message": f"not with {KEY}"}}, status))
    error = await desk.error("openai:m")
    assert (error.code, error.retryable) == ("PROVIDER_ERROR", may_pass)
    assert msgspec.json.decode(error.details)["status"] == status
    assert KEY not in error.message + bytes(error.details).decode()


async def test_claude_gives_text_or_the_input_of_a_tool(desk: Desk):
    def message(*blocks: tuple[dict[str, Any], dict[str, Any]]) -> Said:
        events: list[Any] = [
            {"type": "message_start", "message": {"id": "1", "type": "message", "role": "assistant", "content": [],
             "model": "c-1", "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}}
        ]  # fmt: skip
        for index, (block, delta) in enumerate(blocks):
            events += [
                {"type": "content_block_start", "index": index, "content_block": block},
                {"type": "content_block_delta", "index": index, "delta": delta},
                {"type": "content_block_stop", "index": index},
            ]
        events += [
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 4},
            },
            {"type": "message_stop"},
        ]
        return _sse(*events, named=True)

    desk.web.at("/v1/messages", message(({"type": "text", "text": ""}, {"type": "text_delta", "text": "Fine."})))
    output = await desk.output("claude:c", system="Be brief.")
    assert (output["text"], output["model"], output["usage"]) == (
        "Fine.",
        "c-1",
        {"input_tokens": 5, "output_tokens": 4},
    )
    assert KEY in desk.web.asked[0].headers.get("authorization", desk.web.asked[0].headers.get("x-api-key", ""))
    tool = {"type": "tool_use", "id": "t", "name": "answer", "input": {}}
    desk.web.at("/v1/messages", message((tool, {"type": "input_json_delta", "partial_json": '{"mood": "bad"}'})))
    assert (await desk.output("claude:c", response_schema=MOODS))["json"] == {"mood": "bad"}
    assert desk.web.asked[1].json["tool_choice"] == {"type": "tool", "name": "answer"}


async def test_ollama_needs_no_key(desk: Desk):
    pieces = [
        {"model": "llama", "message": {"role": "assistant", "content": '{"mood":'}, "done": False},
        {"model": "llama", "message": {"role": "assistant", "content": ' "good"}'}, "done": True,
         "prompt_eval_count": 9, "eval_count": 2},
    ]  # fmt: skip
    body = "".join(json.dumps(piece) + "\n" for piece in pieces).encode()
    desk.web.at("/api/chat", Said(200, body, {"content-type": "application/x-ndjson"}))
    output = await desk.output("ollama:llama", response_schema=MOODS, options={"max_tokens": 9})
    assert (output["json"], output["usage"]) == ({"mood": "good"}, {"input_tokens": 9, "output_tokens": 2})
    assert (desk.web.asked[0].json["format"], desk.web.asked[0].json["options"]) == (MOODS, {"num_predict": 9})


async def test_an_ollama_that_is_not_there_may_be_tried_again(desk: Desk):
    desk.environ["OLLAMA_HOST"] = "http://127.0.0.1:9"
    error = await desk.error("ollama:llama")
    assert (error.code, error.retryable) == ("PROVIDER_ERROR", True)
    assert "no Ollama answers at http://127.0.0.1:9" in error.message


async def test_what_is_asked_must_make_sense(desk: Desk):
    assert "prompt: expected" in (await desk.error("openai:m", prompt=5)).message
    assert "options.max_tokens" in (await desk.error("openai:m", options={"max_tokens": "many"})).message
