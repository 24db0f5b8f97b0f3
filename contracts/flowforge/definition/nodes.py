"""Nodes, by type, and the edges between them (interface.md 1.1 and 1.2)."""

from typing import Annotated, Any, Literal, cast, get_args

from msgspec import UNSET, Meta, UnsetType

from flowforge.definition.shapes import (
    Dependency,
    JobType,
    Part,
    Port,
    Position,
    PositiveMilliseconds,
    QueueName,
    RetryPolicy,
    RunIf,
    Slug,
    Template,
    Text,
)


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
    env: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Template] = {}
    queue: QueueName = "default"
    isolation: Literal["process", "container"] = "process"
    image: str | None = None


class DataTransformNode(NodeFields, tag="data_transform", kw_only=True, frozen=True):
    """Computes its output from expressions, name by name."""

    expressions: dict[str, Template]


Node = StartNode | EndNode | JobNode | ScriptNode | DataTransformNode
NODE_TYPES: dict[str, type[Node]] = {cast("str", kind.__struct_config__.tag): kind for kind in get_args(Node)}


class Edge(Part, kw_only=True, frozen=True):
    """Leads from one node to another; see interface.md 1.3 for when it counts."""

    source_node_id: Slug
    target_node_id: Slug
    id: str | None = None
    source_output: str | None = None
    target_input: str | None = None
    dependency: Dependency | None = None
    condition: str | None = None
