"""A small picture of a workflow or a run: boxes for nodes, arrows for edges, colours for how they stand.

    Workflow.to_svg(), Run.to_mermaid()

The same picture as an SVG (which a notebook shows by itself) and as Mermaid text (for documents). Colours are chosen so
that both are readable on light and on dark pages.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from flowforge.definition import ConditionNode, Edge, LoopNode, Node, Workflow, every_node, parse_stored

BOXES_MAX = 200
"""More nodes than these are counted, not drawn."""
Kind = Literal["plain", "failure", "completion"]


class Box(msgspec.Struct, frozen=True):
    """One node: what it is called, a second line, how it stands (None: it was not run), and all of it for a tooltip."""

    id: str
    label: str
    detail: str = ""
    status: str | None = None
    hint: str = ""


class Arrow(msgspec.Struct, frozen=True):
    """One edge; `kind` is what its target waits for: success, failure, or any end."""

    source: str
    target: str
    label: str = ""
    kind: Kind = "plain"


class Diagram(msgspec.Struct, frozen=True):
    """What is drawn, whatever the way; `note` says what was left out."""

    title: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    status: str | None = None
    note: str = ""


def of_workflow(workflow: Workflow) -> Diagram:
    """The workflow's own graph; what a loop repeats is told by number."""
    boxes = [Box(node.id, node.name or node.id, _detail(node), hint=_hint(node)) for node in workflow.nodes]
    return _limited(workflow.name or workflow.id, boxes, _arrows(workflow.nodes, workflow.effective_edges()), None)


def of_definition(document: Mapping[str, Any]) -> Diagram:
    """A definition as the server answers it; of one that cannot be read, its nodes alone."""
    head = {"id", "name", "nodes", "edges"}
    workflow, _ = parse_stored({name: value for name, value in document.items() if name in head})
    if workflow is not None:
        return of_workflow(workflow)
    nodes: Iterable[Mapping[str, Any]] = document.get("nodes") or []
    boxes = [Box(str(node.get("id")), str(node.get("id")), str(node.get("type", ""))) for node in nodes]
    return _limited(str(document.get("name") or document.get("id") or ""), boxes, [], None)


def of_run(run: Mapping[str, Any]) -> Diagram:
    """A run as the server answers it: how each node stands, and how long it took."""
    rows: Sequence[Mapping[str, Any]] = run.get("node_runs") or []
    boxes = [
        Box(str(row["node_id"]), str(row["node_id"]), _run_detail(row), str(row["status"]), _run_hint(row))
        for row in rows
    ]
    arrows = [Arrow(str(up), str(row["node_id"])) for row in rows for up in row.get("dependencies") or []]
    return _limited(_run_title(run), boxes, arrows, str(run.get("status") or ""))


def _limited(title: str, boxes: Sequence[Box], arrows: Iterable[Arrow], status: str | None) -> Diagram:
    drawn = boxes[:BOXES_MAX]
    known = {box.id for box in drawn}
    note = f"and {len(boxes) - BOXES_MAX:,} more nodes" if len(boxes) > BOXES_MAX else ""
    kept = [arrow for arrow in arrows if arrow.source in known and arrow.target in known]
    return Diagram(title, drawn, kept, status, note)


def _arrows(nodes: Sequence[Node], edges: Iterable[Edge]) -> list[Arrow]:
    paths = {node.id: node for node in nodes if isinstance(node, ConditionNode)}
    return [
        Arrow(edge.source_node_id, edge.target_node_id, _label(edge, paths.get(edge.source_node_id)), _kind(edge))
        for edge in edges
    ]


def _kind(edge: Edge) -> Kind:
    match edge.dependency:
        case "on_failure":
            return "failure"
        case "on_completion":
            return "completion"
        case _:
            return "plain"


def _label(edge: Edge, condition: ConditionNode | None) -> str:
    if edge.condition is not None:
        return edge.condition
    if condition is not None and edge.target_node_id in condition.taken_if_true:
        return "true"
    if condition is not None and edge.target_node_id in condition.taken_if_false:
        return "false"
    return {"on_failure": "failure", "on_completion": "any end"}.get(edge.dependency or "", "")


def _detail(node: Node) -> str:
    kind = str(node.__struct_config__.tag)
    job_type = getattr(node, "job_type", None) or getattr(node, "language", None)
    words = [kind, *([str(job_type)] if job_type and job_type != node.id else [])]
    if isinstance(node, LoopNode):
        words.append(f"{sum(1 for _ in every_node(node.body.nodes))} inside")
    if node.for_each is not None:
        words.append("per item")
    return " · ".join(words)


def _hint(node: Node) -> str:
    return f"{node.id}: {node.description}" if node.description else node.id


def _run_detail(row: Mapping[str, Any]) -> str:
    words = [str(row["status"])]
    if row.get("duration_ms") is not None:
        words.append(_duration(int(row["duration_ms"])))
    if int(row.get("attempt") or 0) > 1:
        words.append(f"attempt {row['attempt']}")
    if row.get("instances_count") is not None:
        words.append(f"{row['instances_count']:,} times")
    return " · ".join(words)


def _run_hint(row: Mapping[str, Any]) -> str:
    error = row.get("error")
    reason = error.get("message") if isinstance(error, Mapping) else row.get("skip_reason")
    return f"{row['node_id']} ({row['type']}): {reason}" if reason else f"{row['node_id']} ({row['type']})"


def _run_title(run: Mapping[str, Any]) -> str:
    took = run.get("duration_ms")
    words = [str(run.get("workflow_id") or ""), str(run.get("status") or "")]
    return " · ".join([*words, *([_duration(int(took))] if took is not None else [])])


def _duration(ms: int) -> str:
    if ms < 1_000:
        return f"{ms} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
