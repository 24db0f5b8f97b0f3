"""What the parts of a definition are made of: names, ports, policies, the settings of a run."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
NODES_MAX = 10_000
DEFINITION_BYTES_MAX = 4 * 1024 * 1024

Slug = Annotated[str, Meta(pattern=SLUG_PATTERN)]
Text = Annotated[str, Meta(max_length=10_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)]
PositiveMilliseconds = Annotated[int, Meta(ge=1, le=10 * 366 * 86_400_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
JobType = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Template = Any
"""Any JSON value; strings in it may hold `${expression}`."""

Dependency = Literal["on_success", "on_failure", "on_completion"]
RunIf = Literal["all_success", "all_done", "none_failed", "at_least_one_success", "at_least_one_failed", "all_failed"]
ValueType = Literal["string", "number", "boolean", "object", "array"]
WorkflowStatus = Literal["draft", "active", "archived"]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Anything inside a definition."""


class Variable(Part, kw_only=True, frozen=True):
    """A default that a run may override."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
    type: ValueType = "string"
    default_value: Any = None
    description: Text = ""


class Port(Part, kw_only=True, frozen=True):
    """A named input or output of a node, checked when it runs."""

    name: Name
    type: ValueType | Literal["any"] = "any"
    required: bool = True
    description: Text = ""


class Position(Part, kw_only=True, frozen=True):
    """Where the console draws the node; no meaning for running."""

    x: float
    y: float


class RetryPolicy(Part, kw_only=True, frozen=True):
    """`max_attempts` counts the first; the wait before attempt n+1 is delay * multiplier^(n-1), capped, with jitter."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    delay_ms: Milliseconds = 1_000
    backoff_multiplier: Annotated[float, Meta(ge=1.0, le=100.0)] = 2.0
    max_delay_ms: Milliseconds = 300_000
    jitter: bool = False
    retry_on_errors: list[str] = []


OnConflict = Literal["queue", "skip", "cancel_running"]


class Concurrency(Part, kw_only=True, frozen=True):
    """How many runs of the workflow may go on at once, for each value of `key` (a template over `input` and `variables`).

    `on_conflict`: what becomes of one too many. Workflows that name the same `pool` share its slots.
    """

    limit: Annotated[int, Meta(ge=1, le=100_000)] = 1
    key: str | None = None
    on_conflict: OnConflict = "queue"
    pool: Slug | None = None


class Settings(Part, kw_only=True, frozen=True):
    """How a run behaves as a whole. `queue_timeout_ms`: how long it may wait for a slot of `concurrency`."""

    max_parallel_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 5
    fail_fast: bool = True
    timeout_ms: PositiveMilliseconds | None = None
    queue_timeout_ms: PositiveMilliseconds | None = None
    concurrency: Concurrency | None = None
