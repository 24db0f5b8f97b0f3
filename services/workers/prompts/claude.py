"""Claude, through Anthropic's client. A shape that is asked for is asked for as the input of a tool."""

from collections.abc import Mapping
from typing import Any

import msgspec

from infra.calls import Targets
from services.workers.prompts.asking import Answer, ProviderFailed, Stream, Wanted, no_client, unreached

TOKENS_DEFAULT = 4_096
"""The interface wants a limit, whether the node names one or not."""


async def ask(wanted: Wanted, stream: Stream, targets: Targets, environ: Mapping[str, str]) -> Answer:  # noqa: ARG001 - a node names no address here
    """As promised by `Ask`."""
    try:
        import anthropic  # noqa: PLC0415 - optional
        import httpx2  # noqa: PLC0415 - comes with it
    except ImportError:
        raise no_client(wanted.provider, "anthropic") from None
    key = wanted.api_key or environ.get("ANTHROPIC_API_KEY")
    if key is None:
        raise ProviderFailed("there is no key: set ANTHROPIC_API_KEY, or options.api_key", is_worth_another_try=False)
    if wanted.base_url is not None:
        raise ProviderFailed("options.base_url is for OpenAI-compatible providers", is_worth_another_try=False)
    try:
        async with anthropic.AsyncAnthropic(
            api_key=key, base_url=environ.get("ANTHROPIC_BASE_URL"), max_retries=0
        ) as client:
            return await _answered(client, wanted, stream)
    except anthropic.APIStatusError as fault:
        raise ProviderFailed(f"{fault.status_code}: {fault.message}", fault.status_code) from None
    except (anthropic.APIError, httpx2.TransportError) as fault:  # the latter while the answer comes
        raise ProviderFailed(unreached(fault)) from None


async def _answered(client: Any, wanted: Wanted, stream: Stream) -> Answer:
    body: dict[str, Any] = {
        "model": wanted.model,
        "max_tokens": wanted.tokens_max or TOKENS_DEFAULT,
        "messages": wanted.messages,
        "extra_body": wanted.options or None,
    }
    if wanted.system:
        body["system"] = wanted.system
    if wanted.schema is not None:
        body["tools"] = [{"name": "answer", "description": "The answer", "input_schema": wanted.schema}]
        body["tool_choice"] = {"type": "tool", "name": "answer"}
    async with client.messages.stream(**body) as pieces:
        async for text in pieces.text_stream:
            stream.add(text)
        whole = await pieces.get_final_message()
    for block in whole.content:
        if block.type == "tool_use" and wanted.schema is not None:
            stream.add(msgspec.json.encode(block.input).decode())
    return Answer(stream.end(), whole.model, whole.usage.input_tokens, whole.usage.output_tokens)
