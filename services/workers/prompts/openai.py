"""OpenAI, and whatever speaks its chat completions: at its own address, or at one from the environment or the node."""

from collections.abc import Mapping
from typing import Any

from infra.calls import Targets
from services.workers.prompts.asking import Answer, ProviderFailed, Stream, Wanted, no_client, unreached


async def ask(wanted: Wanted, stream: Stream, targets: Targets, environ: Mapping[str, str]) -> Answer:
    """As promised by `Ask`."""
    try:
        import openai  # noqa: PLC0415 - optional
    except ImportError:
        raise no_client(wanted.provider, "openai") from None
    name = wanted.provider.upper().replace("-", "_")
    address = wanted.base_url or environ.get(f"{name}_BASE_URL")
    key = wanted.api_key or (None if wanted.base_url else environ.get(f"{name}_API_KEY"))
    if address is None and wanted.provider != "openai":
        raise ProviderFailed(
            f"nobody knows this provider; give the built-in worker {name}_BASE_URL (OpenAI-compatible), "
            "or use ollama, openai or claude",
            is_worth_another_try=False,
        )
    if key is None and address is None:
        raise ProviderFailed(f"there is no key: set {name}_API_KEY, or options.api_key", is_worth_another_try=False)
    from services.workers.prompts.guarded import guarded  # noqa: PLC0415 - comes with the client

    http_client = guarded(targets, key or "none") if wanted.base_url else None
    try:
        async with openai.AsyncOpenAI(
            api_key=key or "none", base_url=address, max_retries=0, http_client=http_client
        ) as client:
            return await _answered(client, wanted, stream)
    except openai.APIStatusError as fault:
        raise ProviderFailed(_told(fault), fault.status_code) from None
    except openai.APIError as fault:
        raise ProviderFailed(unreached(fault)) from None


async def _answered(client: Any, wanted: Wanted, stream: Stream) -> Answer:
    messages = [{"role": "system", "content": wanted.system}] if wanted.system else []
    body: dict[str, Any] = {"model": wanted.model, "messages": [*messages, *wanted.messages]}
    if wanted.tokens_max is not None:
        body["max_tokens"] = wanted.tokens_max
    if wanted.schema is not None:
        shape = {"name": "answer", "schema": wanted.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": shape}
    model, usage = "", None
    pieces = await client.chat.completions.create(
        **body, stream=True, stream_options={"include_usage": True}, extra_body=wanted.options or None
    )
    async for piece in pieces:
        model = piece.model or model
        usage = piece.usage or usage
        for choice in piece.choices:
            stream.add(choice.delta.content or "")
    return Answer(
        stream.end(), model, usage.prompt_tokens if usage else None, usage.completion_tokens if usage else None
    )


def _told(fault: Any) -> str:
    return f"{fault.status_code}: {fault.message}"
