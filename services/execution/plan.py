"""A definition made ready to run: graphs indexed, every template compiled on first use. Immutable, shared by runs."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec
from flowforge.definition import (
    ChildNode,
    ConditionNode,
    DataTransformNode,
    Edge,
    EndNode,
    JobNode,
    LoopNode,
    MergeNode,
    Node,
    ParallelNode,
    PromptNode,
    RetryPolicy,
    ScriptNode,
    Settings,
    SqlNode,
    WebhookNode,
    Workflow,
)
from msgspec import UNSET

from infra.expressions import Expression, Scope, Template, compile_lazily, compile_template

EXISTS_FOR_FAILURE = frozenset({"all_done", "at_least_one_failed", "all_failed"})
WORK = (JobNode, ScriptNode, WebhookNode, SqlNode, PromptNode)


class PlanEdge:
    """An edge with its condition compiled. `taken_on`: which result of a condition node takes it (None: either does)."""

    __slots__ = ("condition", "dependency", "source", "source_output", "taken_on", "target", "target_input")

    def __init__(self, edge: Edge) -> None:
        self.source = edge.source_node_id
        self.target = edge.target_node_id
        self.dependency = edge.dependency or "on_success"
        self.condition: Expression | None = compile_lazily(edge.condition, Scope.EDGE) if edge.condition else None
        self.source_output = edge.source_output
        self.target_input = edge.target_input
        self.taken_on: bool | None = None


class PlanNode:
    """A node with its place in its graph, and that graph's place among the bodies of loops."""

    def __init__(self, node: Node, graph: "Graph", incoming: list[PlanEdge], outgoing: list[PlanEdge]) -> None:
        self.id = node.id
        self.node = node
        self.graph = graph
        self.incoming = incoming
        self.outgoing = outgoing
        self.is_job = isinstance(node, WORK)
        self.is_map = node.for_each is not None
        self.is_loop = isinstance(node, LoopNode)
        self.job_type: str = node.job_type if isinstance(node, JobNode) else str(node.__struct_config__.tag)
        """Which handler serves it."""
        self.queue: str = node.queue if isinstance(node, WORK) else ""
        self.has_secrets = self.is_job and not isinstance(node, JobNode)
        """Whether its settings may name secrets, which stay references until the worker has them."""
        self.stored_prompt = node if isinstance(node, PromptNode) and node.prompt_id is not None else None
        self.body: Graph | None = None
        self.contests: list[Merge] = []
        """Merges with `any` or `count` that this node's branch competes for: a failure counts only if it does not lose."""
        self.merge: Merge | None = None
        """What a merge node joins."""
        self.upstream = list(dict.fromkeys(edge.source for edge in incoming))
        self.has_routes = any(edge.target_input or edge.source_output for edge in incoming)
        self.exists_for_failure = node.run_if in EXISTS_FOR_FAILURE or any(
            edge.dependency != "on_success" for edge in incoming
        )
        self.input_mapping = _optional(node.input_mapping, Scope.NODE)
        self.output_mapping = _optional(node.output_mapping or None, Scope.NODE_OUTPUT)
        self.for_each = _optional(node.for_each, Scope.NODE)
        self.given_input: Template | None = None
        """What the branch of a `parallel` gives to its first node."""
        self.retry_policy = node.retry_policy or _default_retry(node, graph.settings)

    @cached_property
    def own_bytes(self) -> int:
        """Of what a job takes along as the definition has it, whatever it is given: a script, a query, a schema."""
        match self.node:
            case ScriptNode(source=own) | SqlNode(query=own) | PromptNode(response_schema=own):
                return len(msgspec.json.encode(own))
            case _:
                return 0

    @cached_property
    def cache_key(self) -> Template | None:
        return _optional(self.node.cache_key, Scope.NODE)

    @cached_property
    def settings(self) -> Template | None:
        """The node type's own template: payload of a job, env of a script, expressions of a transform, output of an end."""
        node = self.node
        if isinstance(node, JobNode):
            return _optional(node.payload or None, Scope.NODE)
        if isinstance(node, ScriptNode):
            return _optional(node.env or None, Scope.NODE_WITH_SECRETS)
        if isinstance(node, WebhookNode):
            fields = {"url": node.url, "headers": node.headers, "body": node.body}
            return _fields(fields, Scope.NODE_WITH_SECRETS)
        if isinstance(node, SqlNode):
            return _fields({"parameters": node.parameters}, Scope.NODE_WITH_SECRETS)
        if isinstance(node, PromptNode):
            fields = {"prompt": node.prompt, "system": node.system, "options": node.options}
            return _fields(fields, Scope.NODE_WITH_SECRETS)
        if isinstance(node, DataTransformNode):
            return _optional(node.expressions, Scope.NODE)
        if isinstance(node, EndNode) and node.output is not UNSET:
            return compile_template(node.output, Scope.NODE, lazily=True)
        return None

    @cached_property
    def wanted(self) -> Template | None:
        """Templates of nodes that wait or repeat: what they wait for, the list or number of a loop."""
        node = self.node
        match node.__struct_config__.tag:
            case "delay":
                return _fields({"duration_ms": node.duration_ms, "until": node.until}, Scope.NODE)  # type: ignore[union-attr]
            case "wait_event":
                return _fields({"event_type": node.event_type, "source": node.source}, Scope.NODE)  # type: ignore[union-attr]
            case "human_approval":
                return _fields({"message": node.message, "approvers": node.approvers}, Scope.NODE)  # type: ignore[union-attr]
            case "loop":
                return _fields({"items": node.array_source, "count": node.count}, Scope.NODE)  # type: ignore[union-attr]
            case _:
                if isinstance(node, ChildNode) and node.input is not UNSET:
                    return compile_template(node.input, Scope.NODE, lazily=True)
                return None

    @cached_property
    def condition(self) -> Expression | None:
        """Of a condition node, or of a loop that goes on while it is true."""
        text = self.node.condition if isinstance(self.node, ConditionNode | LoopNode) else None
        return compile_lazily(text, Scope.NODE) if text else None

    @cached_property
    def filter(self) -> Expression | None:
        """Of a node that waits for an event."""
        text = getattr(self.node, "filter", None)
        return compile_lazily(text, Scope.NODE) if text else None

    def templates(self) -> Iterable[Template]:
        """All templates of the node."""
        parts = (self.input_mapping, self.output_mapping, self.for_each, self.settings, self.wanted, self.cache_key)
        return (part for part in (*parts, self.given_input) if part is not None)

    def expressions(self) -> Iterable[Expression]:
        """All expressions that stand alone."""
        alone = (self.condition, *(edge.condition for edge in self.incoming))
        return (part for part in alone if part is not None)


class Merge:
    """What a merge node waits for: which nodes belong to which branch of its `parallel`, and how many have to come."""

    __slots__ = ("branches", "is_contest", "mode", "node_id", "parallel_id", "required_count", "targets")

    def __init__(self, node: MergeNode, parallel: ParallelNode, branches: list[frozenset[str]]) -> None:
        self.node_id = node.id
        self.parallel_id = parallel.id
        self.targets = [branch.target_node_id for branch in parallel.branches]
        """The first node of each branch."""
        self.branches = branches
        self.mode = node.mode or parallel.wait_for or "all"
        count = node.required_count or parallel.required_count or 1
        self.required_count = {"all": len(branches), "any": 1}.get(self.mode, count)
        self.is_contest = self.mode != "all"

    def members(self, targets: Iterable[str] | None = None) -> frozenset[str]:
        """All nodes of all branches, or of those that begin with these."""
        wanted = self.targets if targets is None else set(targets)
        found = (branch for target, branch in zip(self.targets, self.branches, strict=True) if target in wanted)
        return frozenset[str]().union(*found)


class Graph:
    """The workflow's own graph, or the body of a loop."""

    def __init__(self, nodes: list[Node], edges: list[Edge], settings: Settings, loop: PlanNode | None) -> None:
        self.settings = settings
        self.loop = loop
        """The loop whose body this is."""
        self.depth: int = 0 if loop is None else loop.graph.depth + 1 + loop.is_map
        """How many parts the instance of one of its nodes has."""
        incoming: dict[str, list[PlanEdge]] = {node.id: [] for node in nodes}
        outgoing: dict[str, list[PlanEdge]] = {node.id: [] for node in nodes}
        for edge in map(PlanEdge, edges):
            incoming[edge.target].append(edge)
            outgoing[edge.source].append(edge)
        self.nodes = {node.id: PlanNode(node, self, incoming[node.id], outgoing[node.id]) for node in nodes}
        self.roots = [node.id for node in self.nodes.values() if not node.incoming]
        self.leaves = [node.id for node in self.nodes.values() if not node.outgoing]
        self.ends = [node.id for node in self.nodes.values() if isinstance(node.node, EndNode)]
        for plan in self.nodes.values():
            node = plan.node
            if isinstance(node, ConditionNode):
                self._take_paths(plan, node)
            elif isinstance(node, ParallelNode):
                self._give_inputs(node)
            elif isinstance(node, MergeNode):
                self._join(plan, node)

    def below(self, sources: Iterable[str], without: str = "") -> set[str]:
        """Every node that can be reached from one of these, not through the node `without`."""
        found: set[str] = set()
        stack = list(sources)
        while stack:
            for edge in self.nodes[stack.pop()].outgoing:
                if edge.target not in found and edge.target != without:
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

    def _take_paths(self, plan: PlanNode, node: ConditionNode) -> None:
        for edge in plan.outgoing:
            if edge.target in node.taken_if_true:
                edge.taken_on = True
            elif edge.target in node.taken_if_false:
                edge.taken_on = False

    def _give_inputs(self, node: ParallelNode) -> None:
        for branch in node.branches:
            if branch.input_data is not UNSET:
                target = self.nodes[branch.target_node_id]
                target.given_input = compile_template(branch.input_data, Scope.NODE, lazily=True)

    def _join(self, plan: PlanNode, node: MergeNode) -> None:
        parallel = self.nodes[node.parallel_node_id].node
        assert isinstance(parallel, ParallelNode)
        branches = [
            frozenset({branch.target_node_id} | self.below([branch.target_node_id], without=node.id))
            for branch in parallel.branches
        ]
        merge = plan.merge = Merge(node, parallel, branches)
        for member in merge.members():
            if merge.is_contest:
                self.nodes[member].contests.append(merge)


class Plan:
    """One version of one workflow. `nodes` are those of its own graph; `all_nodes` those inside of loops as well."""

    def __init__(self, workflow: Workflow, version: int) -> None:
        self.workflow = workflow
        self.workflow_id = workflow.id
        self.version = version
        self.all_nodes: dict[str, PlanNode] = {}
        self.graph = self._graph(workflow.nodes, workflow.effective_edges(), None)
        self.nodes = self.graph.nodes
        self.output_mapping = _optional(workflow.output_mapping, Scope.RUN_OUTPUT)
        self.defaults: dict[str, Any] = {variable.name: variable.default_value for variable in workflow.variables}

    def _graph(self, nodes: list[Node], edges: list[Edge], loop: PlanNode | None) -> Graph:
        graph = Graph(nodes, edges, self.workflow.settings, loop)
        self.all_nodes |= graph.nodes
        for plan in graph.nodes.values():
            node = plan.node
            if isinstance(node, LoopNode):
                plan.body = self._graph(node.body.nodes, node.body.effective_edges(), plan)
        return graph

    @cached_property
    def prompts(self) -> frozenset[tuple[str, int | None]]:
        """The stored prompts that its nodes use: id, and the version where one is named."""
        nodes = (plan.node for plan in self.all_nodes.values())
        return frozenset((n.prompt_id, n.prompt_version) for n in nodes if isinstance(n, PromptNode) and n.prompt_id)

    @cached_property
    def uses_event(self) -> bool:
        """Whether anything in it looks at the event that caused the run."""
        names: set[str] = set()
        for node in self.all_nodes.values():
            for part in (*node.templates(), *node.expressions()):
                names |= part.names
        names |= self.output_mapping.names if self.output_mapping else frozenset()
        return bool(names & {"event", "events"})

    @cached_property
    def asks_around(self) -> bool:
        """Whether a node of it has a say in what runs share: a pool, a circuit breaker, outputs that are used again."""
        nodes = (plan.node for plan in self.all_nodes.values())
        return any(node.pool or node.circuit_breaker or node.cache_key for node in nodes)

    def chain_to(self, node_id: str) -> list[str]:
        """A path from a root of the workflow to the node, through the loops that it stands in."""
        graph = self.all_nodes[node_id].graph
        chain = graph.chain_to(node_id)
        return chain if graph.loop is None else self.chain_to(graph.loop.id) + chain

    def outermost(self, node_id: str) -> str:
        """The node of the workflow's own graph that this is, or is inside of."""
        graph = self.all_nodes[node_id].graph
        return node_id if graph.loop is None else self.outermost(graph.loop.id)

    def inside(self, node_id: str) -> Iterable[str]:
        """Every node in the body of a loop, however deep."""
        body = self.all_nodes[node_id].body
        for inner in () if body is None else body.nodes:
            yield inner
            yield from self.inside(inner)


def _default_retry(node: Node, settings: Settings) -> RetryPolicy | None:
    recovery = settings.recovery
    if not recovery.retry_failed_nodes or not recovery.max_retry_attempts or not isinstance(node, (*WORK, ChildNode)):
        return None
    return RetryPolicy(max_attempts=recovery.max_retry_attempts + 1)


def _optional(value: object, scope: Scope) -> Template | None:
    return None if value is None else compile_template(value, scope, lazily=True)


def _fields(fields: dict[str, Any], scope: Scope) -> Template:
    return compile_template({name: value for name, value in fields.items() if value is not UNSET}, scope, lazily=True)
