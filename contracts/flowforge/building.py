"""Workflows written in Python, step by step:

    flow = WorkflowBuilder("nightly", name="Nightly")
    extract = flow.add(JobNode(id="extract", job_type="extract"))
    check = flow.add(ScriptNode(id="check", language="python", source="..."))
    report = flow.add(JobNode(id="report", job_type="report"))
    extract >> [check, report]
    check.on_failure(flow.add(JobNode(id="alarm", job_type="alarm")))
    workflow = flow.build()

The nodes, triggers and settings are the types that the server checks; `build` looks at the whole as the server first does,
and names what is wrong with its place.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from flowforge.definition import Dependency, Edge, Node, Settings, Trigger, Variable, Workflow, parse
from flowforge.errors import DefinitionInvalid


class Step:
    """A node in its workflow. `a >> b` and `a >> [b, c]` are edges on success, and answer what they lead to."""

    def __init__(self, builder: "WorkflowBuilder", node: Node) -> None:
        self._builder, self.node = builder, node

    @property
    def id(self) -> str:
        """The node's id."""
        return self.node.id

    def __rshift__(self, other: "Step | Sequence[Step]") -> "Step | Steps":
        return Steps([self]) >> other

    def __rrshift__(self, others: Sequence["Step"]) -> "Step":
        for each in others:
            self._builder.edge(each, self)
        return self

    def on_failure(self, other: "Step") -> "Step":
        """Where this fails, the other runs; answers the other."""
        return self._builder.edge(self, other, dependency="on_failure")

    def on_completion(self, other: "Step") -> "Step":
        """However this ends, the other runs; answers the other."""
        return self._builder.edge(self, other, dependency="on_completion")

    def when(self, condition: str, other: "Step") -> "Step":
        """Where this succeeds and `condition` (CEL) is true, the other runs; answers the other."""
        return self._builder.edge(self, other, condition=condition)


class Steps(list[Step]):
    """Several steps, as `>>` leads to them."""

    def __rshift__(self, other: "Step | Sequence[Step]") -> "Step | Steps":
        targets = [other] if isinstance(other, Step) else list(other)
        for target in targets:
            self.__class__(self).into(target)
        return other if isinstance(other, Step) else Steps(other)

    def into(self, target: Step) -> Step:
        """An edge on success from each of these to the target."""
        return target.__rrshift__(self)


class WorkflowBuilder:
    """A workflow under construction; the keyword arguments are the fields of `Workflow`."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the word of the field
        name: str = "",
        *,
        settings: Settings | None = None,
        variables: Sequence[Variable] = (),
        **fields: Any,
    ) -> None:
        self._head: dict[str, Any] = {"id": id, "name": name or id, "variables": list(variables), **fields}
        if settings is not None:
            self._head["settings"] = settings
        self._nodes: list[Node] = []
        self._edges: list[Edge] = []
        self._triggers: list[Trigger] = []

    def add(self, node: Node) -> Step:
        """One more node. Raises DefinitionInvalid for an id that is taken."""
        if any(known.id == node.id for known in self._nodes):
            raise DefinitionInvalid(
                f"there is a node '{node.id}' already: give this one another id", f"$.nodes[{node.id}]"
            )
        self._nodes.append(node)
        return Step(self, node)

    def edge(
        self, source: Step, target: Step, *, dependency: Dependency | None = None, condition: str | None = None
    ) -> Step:
        """An edge, written once however often it is asked for; answers the target."""
        edge = Edge(source_node_id=source.id, target_node_id=target.id, dependency=dependency, condition=condition)
        if edge not in self._edges:
            self._edges.append(edge)
        return target

    def trigger(self, trigger: Trigger) -> "WorkflowBuilder":
        """One more trigger; answers the builder, so that several can be named in a row."""
        self._triggers.append(trigger)
        return self

    def build(self) -> Workflow:
        """The workflow. Raises DefinitionInvalid with the first fault, its path and what to do."""
        made = {**self._head, "nodes": self._nodes, "edges": self._edges, "triggers": self._triggers}
        try:
            plain = msgspec.to_builtins(made)
        except (TypeError, msgspec.ValidationError) as fault:
            raise DefinitionInvalid(f"this is no JSON data: {fault}") from fault
        workflow, faults = parse(plain)
        if workflow is None:
            first = faults[0]
            hint = f": {first.suggested_resolution}" if first.suggested_resolution else ""
            raise DefinitionInvalid(first.message + hint, first.path)
        return workflow
