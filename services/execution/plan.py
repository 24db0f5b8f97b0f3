"""A definition made ready to run: the graph indexed, every template compiled on first use. Immutable, shared by runs."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from flowforge.definition import DataTransformNode, Edge, EndNode, JobNode, Node, ScriptNode, Workflow
from msgspec import UNSET

from infra.expressions import Expression, Scope, Template, compile_lazily, compile_template

EXISTS_FOR_FAILURE = frozenset({"all_done", "at_least_one_failed", "all_failed"})


class PlanEdge:
    """An edge with its condition compiled."""

    __slots__ = ("condition", "dependency", "source", "source_output", "target", "target_input")

    def __init__(self, edge: Edge) -> None:
        self.source = edge.source_node_id
        self.target = edge.target_node_id
        self.dependency = edge.dependency or "on_success"
        self.condition: Expression | None = compile_lazily(edge.condition, Scope.EDGE) if edge.condition else None
        self.source_output = edge.source_output
        self.target_input = edge.target_input


class PlanNode:
    """A node with its place in the graph."""

    def __init__(self, node: Node, incoming: list[PlanEdge], outgoing: list[PlanEdge]) -> None:
        self.id = node.id
        self.node = node
        self.incoming = incoming
        self.outgoing = outgoing
        self.is_job = isinstance(node, JobNode | ScriptNode)
        self.is_map = node.for_each is not None
        self.upstream = list(dict.fromkeys(edge.source for edge in incoming))
        self.has_routes = any(edge.target_input or edge.source_output for edge in incoming)
        self.exists_for_failure = node.run_if in EXISTS_FOR_FAILURE or any(
            edge.dependency != "on_success" for edge in incoming
        )
        self.input_mapping = _optional(node.input_mapping, Scope.NODE)
        self.output_mapping = _optional(node.output_mapping or None, Scope.NODE_OUTPUT)
        self.for_each = _optional(node.for_each, Scope.NODE)

    @property
    def job_type(self) -> str:
        """Which handler serves it."""
        return self.node.job_type if isinstance(self.node, JobNode) else "script"

    @property
    def queue(self) -> str:
        return self.node.queue if isinstance(self.node, JobNode | ScriptNode) else ""

    @cached_property
    def settings(self) -> Template | None:
        """The node type's own template: payload of a job, env of a script, expressions of a transform, output of an end."""
        node = self.node
        if isinstance(node, JobNode):
            return _optional(node.payload or None, Scope.NODE)
        if isinstance(node, ScriptNode):
            return _optional(node.env or None, Scope.NODE_WITH_SECRETS)
        if isinstance(node, DataTransformNode):
            return _optional(node.expressions, Scope.NODE)
        if isinstance(node, EndNode) and node.output is not UNSET:
            return compile_template(node.output, Scope.NODE, lazily=True)
        return None

    def templates(self) -> Iterable[Template]:
        """All templates of the node."""
        parts = (self.input_mapping, self.output_mapping, self.for_each, self.settings)
        return (part for part in parts if part is not None)


class Plan:
    """One version of one workflow."""

    def __init__(self, workflow: Workflow, version: int) -> None:
        self.workflow = workflow
        self.workflow_id = workflow.id
        self.version = version
        edges = [PlanEdge(edge) for edge in workflow.effective_edges()]
        incoming: dict[str, list[PlanEdge]] = {node.id: [] for node in workflow.nodes}
        outgoing: dict[str, list[PlanEdge]] = {node.id: [] for node in workflow.nodes}
        for edge in edges:
            incoming[edge.target].append(edge)
            outgoing[edge.source].append(edge)
        self.nodes = {node.id: PlanNode(node, incoming[node.id], outgoing[node.id]) for node in workflow.nodes}
        self.roots = [node.id for node in self.nodes.values() if not node.incoming]
        self.leaves = [node.id for node in self.nodes.values() if not node.outgoing]
        self.ends = [node.id for node in self.nodes.values() if isinstance(node.node, EndNode)]
        self.output_mapping = _optional(workflow.output_mapping, Scope.RUN_OUTPUT)
        self.defaults: dict[str, Any] = {variable.name: variable.default_value for variable in workflow.variables}

    @cached_property
    def uses_event(self) -> bool:
        """Whether anything in it looks at the event that caused the run."""
        names: set[str] = set()
        for node in self.nodes.values():
            for template in node.templates():
                names |= template.names
            for edge in node.incoming:
                names |= edge.condition.names if edge.condition else frozenset()
        names |= self.output_mapping.names if self.output_mapping else frozenset()
        return bool(names & {"event", "events"})

    def below(self, sources: Iterable[str]) -> set[str]:
        """Every node that can be reached from one of these."""
        found: set[str] = set()
        stack = list(sources)
        while stack:
            for edge in self.nodes[stack.pop()].outgoing:
                if edge.target not in found:
                    found.add(edge.target)
                    stack.append(edge.target)
        return found

    def chain_to(self, node_id: str) -> list[str]:
        """A shortest path from a root to the node, for errors."""
        chain, seen = [node_id], {node_id}
        while True:
            above = next((edge.source for edge in self.nodes[chain[-1]].incoming if edge.source not in seen), None)
            if above is None:
                return chain[::-1]
            chain.append(above)
            seen.add(above)


def _optional(value: object, scope: Scope) -> Template | None:
    return None if value is None else compile_template(value, scope, lazily=True)
