"""One version of a workflow, whole."""

import itertools
from typing import Annotated, Any, cast

from msgspec import Meta

from flowforge.definition.nodes import Edge, Node
from flowforge.definition.shapes import NODES_MAX, Name, Part, Settings, Slug, Template, Text, Variable, WorkflowStatus
from flowforge.definition.triggers import Trigger
from flowforge.job_types import TriggerConfig


class Workflow(Part, kw_only=True, frozen=True):
    """One version of a definition."""

    id: Slug
    name: Name
    nodes: Annotated[list[Node], Meta(max_length=NODES_MAX)]
    description: Text = ""
    experiment_id: Annotated[str, Meta(max_length=200)] | None = None
    tags: list[Annotated[str, Meta(min_length=1, max_length=100)]] = []
    status: WorkflowStatus = "active"
    variables: list[Variable] = []
    input_schema: dict[str, Any] | None = None
    output_mapping: dict[str, Template] | None = None
    settings: Settings = Settings()
    edges: list[Edge] = []
    triggers: list[Trigger] = []
    trigger_configs: list[TriggerConfig] = []

    def effective_edges(self) -> list[Edge]:
        """The edges as written, or the chain that `order_index` implies where none are written."""
        if self.edges or any(node.order_index is None for node in self.nodes):
            return self.edges
        chain = sorted(self.nodes, key=lambda node: cast("int", node.order_index))
        return [Edge(source_node_id=a.id, target_node_id=b.id) for a, b in itertools.pairwise(chain)]
