"""The handler of `prompt_execution` jobs: one call to a language model, its answer as it comes, what it cost in tokens.

Providers are `ollama`, `openai`, `claude`, and any other name whose OpenAI-compatible address is in the environment
(`GROQ_BASE_URL` for `groq:…`). Their clients are optional: `pip install "flowforge-server[prompts]"`.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import msgspec
from flowforge.errors import ErrorCode, JobError
from flowforge.job import Job

from infra.calls import TargetRefused, Targets
from services.workers.prompts import claude, ollama, openai
from services.workers.prompts.asking import Answer, Ask, ProviderFailed, Stream, Wanted
from services.workers.prompts.fitting import Misfit, check, fitted
from services.workers.secrets import Asks, JobSecrets
from services.workers.settings import prompt_s_default


class Prompt(msgspec.Struct, frozen=True):
    """The payload of a prompt's job; all but the model and the schema are templates of what only the worker knows."""

    provider_model: str
    prompt: Any = None
    system: Any = None
    options: dict[str, Any] = {}
    response_schema: dict[str, Any] | None = None


class PromptRunner:
    """Asks language models for `prompt_execution` nodes. `environ` has their keys and addresses."""

    def __init__(self, asks: Asks, targets: Targets, environ: Mapping[str, str] | None = None) -> None:
        self._asks = asks
        self._targets = targets
        self._environ = os.environ if environ is None else environ

    async def run(self, job: Job) -> dict[str, Any]:
        """Ask, and answer `{text, json?, model, provider, usage {input_tokens, output_tokens}}`. Raises JobError."""
        given = _read(job)
        job.hide(*(value for name, value in self._environ.items() if name.endswith("_API_KEY") and value))
        templates = {"prompt": given.prompt, "system": given.system, "options": given.options}
        resolved = await JobSecrets(self._asks, job).resolve(templates)
        provider, _, model = given.provider_model.partition(":")
        wanted = _wanted(provider, model, resolved, given.response_schema)
        try:
            async with asyncio.timeout(None if job.deadline else prompt_s_default):
                answer = await _ask_of(provider)(wanted, Stream(job, wanted.tokens_max), self._targets, self._environ)
        except TimeoutError:
            raise JobError(
                f"{provider} did not answer to the end in {prompt_s_default:.0f} s", code=ErrorCode.PROVIDER_ERROR
            ) from None
        except TargetRefused as fault:
            raise JobError(f"options.base_url: {fault}", code=ErrorCode.PROVIDER_ERROR, retryable=False) from None
        except ProviderFailed as fault:
            raise JobError(
                f"{provider}: {job.hidden(str(fault))}",
                code=ErrorCode.PROVIDER_ERROR,
                retryable=fault.is_worth_another_try,
                details={"status": fault.status} if fault.status else {},
            ) from None
        return _output(provider, model, answer, given.response_schema)


def _read(job: Job) -> Prompt:
    try:
        return msgspec.json.decode(job.raw_payload, type=Prompt)
    except msgspec.DecodeError as fault:
        raise _invalid(f"this is no prompt: {fault}") from fault


def _wanted(provider: str, model: str, resolved: dict[str, Any], schema: dict[str, Any] | None) -> Wanted:
    prompt, system, options = resolved["prompt"], resolved["system"], dict(resolved["options"])
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not _are_messages(messages):
        raise _invalid("prompt: expected a text, or a list of {role, content}")
    if system is not None and not isinstance(system, str):
        raise _invalid("system: expected a text")
    tokens_max = options.pop("max_tokens", None)
    if tokens_max is not None and (not isinstance(tokens_max, int) or isinstance(tokens_max, bool) or tokens_max < 1):
        raise _invalid(f"options.max_tokens: expected a number from 1 on, got {tokens_max!r}")
    for name in ("base_url", "api_key"):
        if not isinstance(options.get(name, ""), str):
            raise _invalid(f"options.{name}: expected a text")
    if schema is not None:
        try:
            check(schema)
        except ValueError as fault:
            raise _invalid(
                f"response_schema: {fault}; use a JSON Schema without references to other documents"
            ) from None
    return Wanted(
        provider=provider,
        model=model,
        messages=messages,
        system=system,
        tokens_max=tokens_max,
        base_url=options.pop("base_url", None),
        api_key=options.pop("api_key", None),
        options=options,
        schema=schema,
    )


def _are_messages(messages: object) -> bool:
    if not isinstance(messages, list) or not messages:
        return False
    return all(isinstance(each, dict) and isinstance(each.get("role"), str) and "content" in each for each in messages)


def _ask_of(provider: str) -> Ask:
    return {"ollama": ollama.ask, "claude": claude.ask}.get(provider, openai.ask)


def _output(provider: str, model: str, answer: Answer, schema: dict[str, Any] | None) -> dict[str, Any]:
    output: dict[str, Any] = {"text": answer.text, "model": answer.model or model, "provider": provider}
    if schema is not None:
        try:
            output["json"] = fitted(answer.text, schema)
        except Misfit as fault:
            raise JobError(str(fault), code=ErrorCode.OUTPUT_INVALID, details={"text": answer.text[:4_000]}) from None
    output["usage"] = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    return output


def _invalid(message: str) -> JobError:
    return JobError(message, code=ErrorCode.INPUT_INVALID, retryable=False)
