"""One version of a workflow, whole."""

from typing import Annotated, Any

from msgspec import Meta

from flowforge.definition.nodes import Edge, Node, effective_edges
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
        """The edges as written, and those that are implied."""
        return effective_edges(self.nodes, self.edges)

    def to_svg(self) -> str:
        """Its graph as an SVG document, which a notebook shows by itself."""
        from flowforge.diagram import of_workflow  # noqa: PLC0415  which knows this type
        from flowforge.diagram.svg import svg  # noqa: PLC0415

        return svg(of_workflow(self))

    def to_mermaid(self) -> str:
        """Its graph as a Mermaid flowchart."""
        from flowforge.diagram import of_workflow  # noqa: PLC0415  which knows this type
        from flowforge.diagram.mermaid import mermaid  # noqa: PLC0415

        return mermaid(of_workflow(self))

    def _repr_svg_(self) -> str:
        return self.to_svg()
