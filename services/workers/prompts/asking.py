"""What is asked of a provider, and what it answers, whichever it is."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from flowforge.job import Job

from infra.calls import Targets

_TOLD_EVERY_S = 0.5
_TOKEN_CHARS = 4
"""About so many characters are a token, as long as the provider has not counted."""


class Wanted(msgspec.Struct, frozen=True):
    """One call. `options` are the provider's own, beside those that all know."""

    provider: str
    model: str
    messages: list[dict[str, Any]]
    system: str | None
    tokens_max: int | None
    base_url: str | None
    api_key: str | None
    options: dict[str, Any]
    schema: dict[str, Any] | None


class Answer(msgspec.Struct, frozen=True):
    """The whole answer; a provider that does not count tokens gives None."""

    text: str
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


class ProviderFailed(Exception):
    """The provider refused or was not there. `status` is its HTTP status, where it gave one."""

    def __init__(self, message: str, status: int | None = None, *, is_worth_another_try: bool | None = None) -> None:
        super().__init__(message)
        self.status = status
        passes = status is None or status in (408, 409, 425, 429) or status >= 500
        self.is_worth_another_try = passes if is_worth_another_try is None else is_worth_another_try


class Stream:
    """An answer as it comes: told as the job's progress and log."""

    def __init__(self, job: Job, tokens_max: int | None) -> None:
        self._job = job
        self._tokens_max = tokens_max
        self._parts: list[str] = []
        self._chars = 0
        self._line: list[str] = []
        self._told_at = 0.0

    @property
    def text(self) -> str:
        """What has come so far."""
        return "".join(self._parts)

    def add(self, part: str) -> None:
        """A further piece of the answer."""
        if not part:
            return
        self._parts.append(part)
        self._chars += len(part)
        first, *others = part.split("\n")
        self._line.append(first)
        for line in others:
            self._log_line()
            self._line.append(line)
        now = time.monotonic()
        if now >= self._told_at + _TOLD_EVERY_S:
            self._told_at = now
            tokens = self._chars // _TOKEN_CHARS
            share = min(tokens / self._tokens_max, 0.99) if self._tokens_max else 0.0
            self._job.progress(share, f"about {tokens} tokens")

    def end(self) -> str:
        """The whole text."""
        if any(self._line):
            self._log_line()
        return self.text

    def _log_line(self) -> None:
        self._job.log("".join(self._line))
        self._line.clear()


class Ask(Protocol):
    """How one provider is asked. Raises ProviderFailed, TargetRefused."""

    async def __call__(
        self, wanted: Wanted, stream: Stream, targets: Targets, environ: Mapping[str, str], /
    ) -> Answer: ...


def no_client(provider: str, package: str) -> ProviderFailed:
    """Its client is not installed."""
    return ProviderFailed(
        f"the client for {provider} is not installed where the built-in worker runs: "
        f'pip install {package}, or "flowforge-server[prompts]"',
        is_worth_another_try=False,
    )


def unreached(fault: Exception) -> str:
    """Why there was no answer: what lies below the client's own words, which are the same for everything."""
    cause = fault.__cause__ or fault
    return f"{type(fault).__name__}: {cause or type(cause).__name__}"
