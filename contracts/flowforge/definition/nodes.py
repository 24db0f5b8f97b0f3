"""Nodes, by type, and the edges between them (interface.md 1.1 and 1.2)."""

import atexit
import gc
import itertools
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, cast, get_args

from msgspec import UNSET, Meta, UnsetType

from flowforge.definition.shapes import (
    END,
    IDENTIFIER_PATTERN,
    LOOP_ITERATIONS_DEFAULT,
    LOOP_ITERATIONS_MAX,
    NODES_MAX,
    CircuitBreaker,
    Dependency,
    JobType,
    Part,
    Port,
    Position,
    PositiveMilliseconds,
    QueueName,
    Resources,
    RetryPolicy,
    RunIf,
    Slug,
    Template,
    Text,
)

atexit.register(gc.freeze)
"""A body holds nodes, which hold bodies. msgspec 0.22 reads freed memory when types that contain themselves are collected,
which happens as Python ends: one program in four would die of SIGSEGV with its work done. What is frozen is left alone."""

Status = Annotated[int, Meta(ge=100, le=599)]


class NodeFields(Part, kw_only=True, frozen=True):
    """What every node has."""

    id: Slug
    name: Text = ""
    description: Text = ""
    position: Position | None = None
    order_index: int | None = None
    inputs: list[Port] = []
    outputs: list[Port] = []
    input_mapping: dict[str, Template] | None = None
    output_mapping: dict[str, Template] = {}
    run_if: RunIf = "all_success"
    retry_policy: RetryPolicy | None = None
    timeout_ms: PositiveMilliseconds | None = None
    allow_failure: bool = False
    for_each: str | list[Any] | None = None
    max_parallel: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    cache_key: str | None = None
    pool: Slug | None = None
    resources: Resources | None = None
    circuit_breaker: CircuitBreaker | None = None


class StartNode(NodeFields, tag="start", kw_only=True, frozen=True):
    """An optional marker of the beginning; passes its input on."""


class EndNode(NodeFields, tag="end", kw_only=True, frozen=True):
    """An optional marker of the end; its output is `output`, else its input."""

    output: Template | UnsetType = UNSET


class JobNode(NodeFields, tag="job", kw_only=True, frozen=True):
    """Work for a worker that serves `job_type` on `queue`; handed over as `job.payload` and `job.input`."""

    job_type: JobType
    queue: QueueName = "default"
    payload: Template = {}


class ScriptNode(NodeFields, tag="script", kw_only=True, frozen=True):
    """A script run by the built-in worker in a process of its own."""

    language: Literal["bash", "python", "node"]
    source: Annotated[str, Meta(min_length=1, max_length=500_000)]
    env: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*" + END)], Template] = {}
    queue: QueueName = "default"
    isolation: Literal["process", "container"] = "process"
    image: str | None = None
    max_memory_mb: Annotated[int, Meta(ge=16, le=1_048_576)] | None = None
    max_file_mb: Annotated[int, Meta(ge=1, le=1_048_576)] | None = None


class DataTransformNode(NodeFields, tag="data_transform", kw_only=True, frozen=True):
    """Computes its output from expressions, name by name."""

    expressions: dict[str, Template]


class WebhookNode(NodeFields, tag="webhook", kw_only=True, frozen=True):
    """One HTTP call. Its output is `{status, headers, body}`; a status that is not expected fails it, `HTTP_ERROR`.

    `expect_status`: one, or several (default any of 200 to 299). With `wait_for_callback` the node completes when its
    callback URL is posted to, with what was posted; `callback.url` in its templates is that address.
    """

    url: Annotated[str, Meta(min_length=1, max_length=8_000)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "POST"
    headers: dict[str, Template] = {}
    body: Template | UnsetType = UNSET
    expect_status: Status | list[Status] | None = None
    wait_for_callback: bool = False
    queue: QueueName = "default"


class SqlNode(NodeFields, tag="sql", kw_only=True, frozen=True):
    """One query to an external database; its output is `{rows, row_count, columns}`.

    `connection` names the secret that holds the database's URL. `parameters` go beside the query, never into it: a list
    for `$1, $2, …`, or an object for drivers with named ones. More than `max_rows` rows fail it.
    """

    connection: Annotated[str, Meta(pattern=IDENTIFIER_PATTERN)]
    query: Annotated[str, Meta(min_length=1, max_length=500_000)]
    parameters: list[Template] | dict[str, Template] = []
    max_rows: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    queue: QueueName = "default"


class PromptNode(NodeFields, tag="prompt_execution", kw_only=True, frozen=True):
    """One call to a language model; its output is `{text, json?, model, provider, usage {input_tokens, output_tokens}}`.

    Either `prompt`, or a stored one: `prompt_id` and `prompt_version` (default the newest when the node runs). With
    `response_schema` the answer must be JSON that fits it, and is the output's `json`.
    """

    provider_model: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+:.+" + END, max_length=300)]
    prompt: Template | UnsetType = UNSET
    prompt_id: Slug | None = None
    prompt_version: Annotated[int, Meta(ge=1)] | None = None
    system: Template | UnsetType = UNSET
    options: dict[str, Template] = {}
    response_schema: dict[str, Any] | None = None
    queue: QueueName = "default"


class ConditionNode(NodeFields, tag="condition", kw_only=True, frozen=True):
    """Takes one path: with a true `condition` the nodes of `true_path`, else those of `false_path`; the other is not taken.

    An edge to each of them is implied where none is written. Its output is `{result}`.
    """

    condition: Annotated[str, Meta(min_length=1)]
    true_path: Slug | list[Slug] | None = None
    false_path: Slug | list[Slug] | None = None

    @property
    def taken_if_true(self) -> list[str]:
        return _as_list(self.true_path)

    @property
    def taken_if_false(self) -> list[str]:
        return _as_list(self.false_path)


JoinMode = Literal["all", "any", "count"]


class Branch(Part, kw_only=True, frozen=True):
    """One branch of a `parallel`: where it begins, and what its first node gets as input (templates)."""

    target_node_id: Slug
    name: Text = ""
    input_data: Template | UnsetType = UNSET


class ParallelNode(NodeFields, tag="parallel", kw_only=True, frozen=True):
    """Starts its branches together; passes its input on to those without `input_data`. An edge to each target is implied
    where none is written. `wait_for` is what its `merge` waits for.
    """

    branches: Annotated[list[Branch], Meta(min_length=1, max_length=NODES_MAX)]
    wait_for: JoinMode | None = None
    required_count: Annotated[int, Meta(ge=1)] | None = None


class MergeNode(NodeFields, tag="merge", kw_only=True, frozen=True):
    """Joins the branches of a `parallel` as soon as its mode is met, or can no longer be met: then it fails.

    Its output is an object of the outputs of the completed nodes that lead to it, by node id. `mode` and `required_count`
    left out are the parallel's.
    """

    parallel_node_id: Slug
    mode: JoinMode | None = None
    required_count: Annotated[int, Meta(ge=1)] | None = None


class DelayNode(NodeFields, tag="delay", kw_only=True, frozen=True):
    """Waits for `duration_ms` (a number, or a template for one), or `until` an instant (RFC 3339). Passes its input on."""

    duration_ms: int | str | None = None
    until: str | None = None


class WaitEventNode(NodeFields, tag="wait_event", kw_only=True, frozen=True):
    """Waits for the first matching event that is received after it began to wait; its output is the event.

    `event_type` and `source` exact or with `*`, or templates; `filter` is CEL over `event`, and the run's names. After
    `timeout_ms` it fails with `EXECUTION_TIMEOUT`, or completes with null (`on_timeout: continue`).
    """

    event_type: Annotated[str, Meta(min_length=1, max_length=512)]
    source: Annotated[str, Meta(min_length=1, max_length=512)] = "*"
    filter: str | None = None
    on_timeout: Literal["fail", "continue"] = "fail"


class ApprovalNode(NodeFields, tag="human_approval", kw_only=True, frozen=True):
    """Waits for a person's decision; its output is `{decision, comment, decided_by, decided_at}`.

    `approvers` are names of users (or templates that give them); none: anybody who may approve. After `timeout_ms` it is
    decided by `on_timeout`: `fail` is `EXECUTION_TIMEOUT`, `reject` is `APPROVAL_REJECTED`.
    """

    message: Template = ""
    approvers: list[str] | str = []
    on_timeout: Literal["approve", "reject", "fail"] = "fail"


class ChildNode(NodeFields, tag="workflow", kw_only=True, frozen=True):
    """Runs another workflow as a child and waits for its end; its output is the child's. `input` left out is its own input."""

    workflow_id: Slug
    version: Annotated[int, Meta(ge=1)] | None = None
    input: Template | UnsetType = UNSET


class LoopNode(NodeFields, tag="loop", kw_only=True, frozen=True):
    """Runs its body once per iteration; its output is the list of the iterations' outputs.

    `for_each`: once per item of `array_source` (a template that gives a list). `count`: so many times (a number, or a
    template). `while`: as long as `condition` (CEL) is true, tested before each iteration. In the body `item`, `index`,
    and with `max_parallel: 1` (the default) `previous` may be used. An iteration's output is that of its body's last
    node (of several leaves, an object by node id).
    """

    loop_type: Literal["for_each", "while", "count"]
    body: "Body"
    array_source: str | list[Any] | None = None
    condition: str | None = None
    count: int | str | None = None
    max_iterations: Annotated[int, Meta(ge=1, le=LOOP_ITERATIONS_MAX)] = LOOP_ITERATIONS_DEFAULT


Node = (
    StartNode
    | EndNode
    | JobNode
    | ScriptNode
    | WebhookNode
    | SqlNode
    | PromptNode
    | ConditionNode
    | LoopNode
    | ParallelNode
    | MergeNode
    | DelayNode
    | WaitEventNode
    | DataTransformNode
    | ApprovalNode
    | ChildNode
)
NODE_TYPES: dict[str, type[Node]] = {cast("str", kind.__struct_config__.tag): kind for kind in get_args(Node)}
WorkNode = JobNode | ScriptNode | WebhookNode | SqlNode | PromptNode
"""Nodes whose work is a job for a worker."""


class Edge(Part, kw_only=True, frozen=True):
    """Leads from one node to another; see interface.md 1.3 for when it counts."""

    source_node_id: Slug
    target_node_id: Slug
    id: str | None = None
    source_output: str | None = None
    target_input: str | None = None
    dependency: Dependency | None = None
    condition: str | None = None


class Body(Part, kw_only=True, frozen=True):
    """What a loop repeats: a graph of its own. The ids of its nodes are used nowhere else in the workflow."""

    nodes: Annotated[list[Node], Meta(min_length=1, max_length=NODES_MAX)]
    edges: list[Edge] = []

    def effective_edges(self) -> list[Edge]:
        """As of a workflow."""
        return effective_edges(self.nodes, self.edges)


def effective_edges(nodes: list[Node], edges: list[Edge]) -> list[Edge]:
    """The edges as written, or the chain that `order_index` implies where none are written; and those that `condition` and
    `parallel` nodes imply."""
    if not edges and all(node.order_index is not None for node in nodes):
        chain = sorted(nodes, key=lambda node: cast("int", node.order_index))
        edges = [Edge(source_node_id=a.id, target_node_id=b.id) for a, b in itertools.pairwise(chain)]
    known: set[tuple[str, str]] | None = None
    implied: list[Edge] = []
    for node in nodes:
        if not isinstance(node, ConditionNode | ParallelNode):
            continue
        if known is None:
            known = {(edge.source_node_id, edge.target_node_id) for edge in edges}
        for target in named_targets(node):
            if (node.id, target) not in known:
                known.add((node.id, target))
                implied.append(Edge(source_node_id=node.id, target_node_id=target))
    return [*edges, *implied] if implied else edges


def every_node(nodes: Iterable[Node]) -> Iterator[Node]:
    """These nodes, and those in the bodies of loops among them."""
    for node in nodes:
        yield node
        if isinstance(node, LoopNode):
            yield from every_node(node.body.nodes)


def named_targets(node: ConditionNode | ParallelNode) -> list[str]:
    """The nodes that it names as its paths or branches."""
    if isinstance(node, ConditionNode):
        return [*node.taken_if_true, *node.taken_if_false]
    return [branch.target_node_id for branch in node.branches]


def _as_list(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value
