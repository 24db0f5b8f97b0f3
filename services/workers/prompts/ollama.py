"""Ollama, on this machine or where `OLLAMA_HOST` says."""

from collections.abc import Mapping
from typing import Any

import httpx

from infra.calls import Targets
from services.workers.prompts.asking import Answer, ProviderFailed, Stream, Wanted, no_client

HOST_DEFAULT = "http://127.0.0.1:11434"


async def ask(wanted: Wanted, stream: Stream, targets: Targets, environ: Mapping[str, str]) -> Answer:  # noqa: ARG001 - a node names no address here
    """As promised by `Ask`."""
    try:
        import ollama  # noqa: PLC0415 - optional
    except ImportError:
        raise no_client(wanted.provider, "ollama") from None
    if wanted.base_url is not None:
        raise ProviderFailed("options.base_url is for OpenAI-compatible providers", is_worth_another_try=False)
    host = environ.get("OLLAMA_HOST") or HOST_DEFAULT
    messages = [{"role": "system", "content": wanted.system}] if wanted.system else []
    options = {**wanted.options, **({"num_predict": wanted.tokens_max} if wanted.tokens_max else {})}
    last: Any = None
    try:
        async with ollama.AsyncClient(host=host) as client:
            pieces = await client.chat(
                model=wanted.model,
                messages=[*messages, *wanted.messages],
                stream=True,
                format=wanted.schema,
                options=options or None,
            )
            async for piece in pieces:
                last = piece
                stream.add(piece.message.content or "")
    except ollama.ResponseError as fault:
        status = fault.status_code if fault.status_code > 0 else None
        raise ProviderFailed(fault.error, status, is_worth_another_try=status is None or status >= 500) from None
    except (httpx.HTTPError, OSError) as fault:
        raise ProviderFailed(f"no Ollama answers at {host}: {fault or type(fault).__name__}") from None
    return Answer(
        stream.end(),
        getattr(last, "model", None) or "",
        getattr(last, "prompt_eval_count", None),
        getattr(last, "eval_count", None),
    )
