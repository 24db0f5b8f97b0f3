"""What the parts of a definition are made of: names, ports, policies, the settings of a run."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

END = r"$(?!\n)"
"""The very end of a text: `$` alone matches before a last line end too, and an id with one would cut a subject in two."""
SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}" + END
NODES_MAX = 10_000
LOOP_ITERATIONS_DEFAULT = 1_000
LOOP_ITERATIONS_MAX = 100_000
DEFINITION_BYTES_MAX = 4 * 1024 * 1024
PROMPT_BYTES_MAX = 256 * 1024
"""Of a stored prompt, its system prompt included, as JSON."""

Slug = Annotated[str, Meta(pattern=SLUG_PATTERN)]
Text = Annotated[str, Meta(max_length=10_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)]
PositiveMilliseconds = Annotated[int, Meta(ge=1, le=10 * 366 * 86_400_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
QueueName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}" + END)]
IDENTIFIER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}" + END
"""A name of CEL's, as secrets have: `secrets.<name>`."""
JobType = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}" + END)]
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

    name: Annotated[str, Meta(pattern=IDENTIFIER_PATTERN)]
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


class Recovery(Part, kw_only=True, frozen=True):
    """Defaults for what becomes of failures; a node's own `retry_policy` comes first.

    `continue_on_node_failure`: as `fail_fast: false`. `retry_failed_nodes` with `max_retry_attempts`: a retry policy for
    nodes that have none (so many further attempts). `skip_failed_branches`: as `fail_fast: false`, and what lies below a
    failure does not count: the run may end `partial`. `fallback_to_partial_execution`: without fail_fast, a run ends
    `partial` rather than `failed` when at least one leaf completed.
    """

    continue_on_node_failure: bool = False
    retry_failed_nodes: bool = False
    max_retry_attempts: Annotated[int, Meta(ge=0, le=99)] = 0
    skip_failed_branches: bool = False
    fallback_to_partial_execution: bool = False


class OnFailure(Part, kw_only=True, frozen=True):
    """The workflow that is started with the failed run as its input."""

    workflow_id: Slug


class CircuitBreaker(Part, kw_only=True, frozen=True):
    """After `failure_threshold` failures in a row (none older than `window_ms`) nothing is handed out for `open_ms`, then
    one attempt is let through to try. It is shared by all nodes of the same job type, of webhooks by those to one host.
    """

    failure_threshold: Annotated[int, Meta(ge=1, le=10_000)] = 5
    window_ms: PositiveMilliseconds = 60_000
    open_ms: PositiveMilliseconds = 30_000


class Resources(Part, kw_only=True, frozen=True):
    """What an attempt takes of what its worker offers."""

    slots: Annotated[int, Meta(ge=1, le=10_000)] = 1
    memory_mb: Annotated[int, Meta(ge=0, le=16_777_216)] = 0


class Settings(Part, kw_only=True, frozen=True):
    """How a run behaves as a whole. `queue_timeout_ms`: how long it may wait for a slot of `concurrency`.

    `recovery` may take `fail_fast` back.
    """

    max_parallel_jobs: Annotated[int, Meta(ge=1, le=100_000)] = 5
    fail_fast: bool = True
    timeout_ms: PositiveMilliseconds | None = None
    queue_timeout_ms: PositiveMilliseconds | None = None
    sla_ms: PositiveMilliseconds | None = None
    concurrency: Concurrency | None = None
    recovery: Recovery = Recovery()
    on_failure: OnFailure | None = None

    @property
    def is_fail_fast(self) -> bool:
        """Whether the first failure stops the run."""
        recovery = self.recovery
        return self.fail_fast and not (recovery.continue_on_node_failure or recovery.skip_failed_branches)

    @property
    def may_end_partial(self) -> bool:
        """Whether a run with failed nodes and completed leaves is `partial`."""
        recovery = self.recovery
        return not self.is_fail_fast and (recovery.skip_failed_branches or recovery.fallback_to_partial_execution)
