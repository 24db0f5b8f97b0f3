"""Values: what templates see, what a node gets as input, what a run gives as output. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from flowforge.definition import Port
from flowforge.raw import NULL

from infra.expressions import EvaluationFault, Expression, Template
from services.execution.plan import Plan, PlanNode
from services.execution.settings import INPUT_INLINE_BYTES_MAX, VALUE_DEPTH_MAX
from services.execution.state import Frame, NodeState, Run, Unit
from services.execution.state.outputs import joined, listed

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_BLOB = b'{"$blob":'
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_TOO_DEEP = f"the value has lists and objects inside one another, more than {VALUE_DEPTH_MAX} deep"
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class TooLarge(ValueError):
    """A computed value is larger than may travel inline."""


class PortFault(ValueError):
    """A value does not fit a declared port."""


def blob_hash(value: msgspec.Raw) -> str | None:
    """The content hash, when the value travels by reference."""
    text = bytes(value)
    return _decode(text)["$blob"] if text.startswith(_BLOB) else None


def kept_values(run: Run) -> Iterable[msgspec.Raw]:
    """Values in the run's memory that may travel by reference."""
    yield run.triggered.input_data
    for frame in (run.root, *run.frames.values()):
        yield from (node.output for node in frame.nodes.values())
    yield from (unit.loop.previous for unit in run.loops if unit.loop is not None)


def value_of(run: Run, raw: msgspec.Raw) -> Any:
    """JSON text, or what it refers to, as data."""
    reference = blob_hash(raw)
    return _decode(raw) if reference is None else run.blobs.get(reference)


def output_value(run: Run, node_id: str, frame: Frame | None = None) -> Any:
    """A node's output as data, decoded once, as it is seen from `frame`; "" stands for the run's input."""
    node = None if not node_id else (frame or run.root).find(node_id)
    decoded = run.root.decoded if node is None else node.frame.decoded
    if node_id not in decoded:
        decoded[node_id] = value_of(run, run.triggered.input_data if node is None else node.output)
    return decoded[node_id]


def bindings(
    run: Run, of: Template | Expression, now: datetime, at: Unit | Frame | None = None, **more: Any
) -> dict[str, Any]:
    """What `of` may look at from its node (or instance, or graph), and nothing that it does not."""
    unit = at if isinstance(at, Unit) else None
    frame = at if isinstance(at, Frame) else run.root if unit is None else unit.frame
    names = of.names
    values: dict[str, Any] = {"now": now, **more}
    if "input" in names and "input" not in more:
        values["input"] = output_value(run, "")
    if "variables" in names:
        values["variables"] = run.variables
    if "nodes" in names:
        values["nodes"] = _visible_nodes(run, of, frame)
    if "run" in names:
        triggered = run.triggered
        values["run"] = {
            "id": str(run.id),
            "workflow_id": run.plan.workflow_id,
            "version": run.plan.version,
            "trigger": {"type": triggered.trigger.type, "id": triggered.trigger.id},
            "labels": run.labels,
        }
    if names & {"event", "events"} and "event" not in more:
        events = run.cause_events or [None]
        values["event"], values["events"] = events[-1], events
    if names & {"item", "index", "previous"}:
        values |= {**_item(run, unit, frame), **more}
    return values


def _visible_nodes(run: Run, of: Template | Expression, frame: Frame) -> dict[str, Any]:
    """Those of its own graph and of the graphs around it."""
    node_ids: Iterable[str] = of.node_ids
    if of.uses_all_nodes:
        node_ids = [node_id for around in frame.chain() for node_id in around.nodes]
    found = {node_id: frame.find(node_id) for node_id in node_ids}
    return {node_id: _node_view(run, node) for node_id, node in found.items() if node is not None}


def _node_view(run: Run, node: NodeState) -> dict[str, Any]:
    error = None if node.error is None else _decode(_encode(node.error))
    return {"output": output_value(run, node.node_id, node.frame), "status": node.status, "error": error}


def _item(run: Run, unit: Unit | None, frame: Frame) -> dict[str, Any]:
    """Of an instance of a map its item, else that of the iteration it stands in."""
    values: dict[str, Any] = {}
    if frame.loop is not None:
        values = {"item": frame.item, "index": frame.index, "previous": value_of(run, frame.previous)}
    if unit is not None and unit.index is not None:
        values |= {"item": unit.node.items[unit.index], "index": unit.index}
    return values


def render(run: Run, template: Template, now: datetime, at: Unit | Frame | None = None, **more: Any) -> Any:
    """Raises `EvaluationFault`."""
    if template.is_constant:
        return template.render({})
    return template.render(bindings(run, template, now, at, **more))


def render_for_worker(run: Run, template: Template, now: datetime, unit: Unit, **more: Any) -> Any:
    """As `render`, but secrets stay references that only the worker resolves."""
    return template.render_for_worker(bindings(run, template, now, unit, **more))


def node_input(run: Run, unit: Unit, now: datetime) -> tuple[msgspec.Raw | None, str | None]:
    """A node's input: its `input_mapping`, else what edges route, else what its branch is given, else upstream output,
    else the run's input, which is also given to the node that the run begins at.

    Either the JSON text, or the id of the node whose output it is ("" for the run's input). Raises `EvaluationFault`,
    `TooLarge`, `PortFault`.
    """
    node = unit.plan
    text: msgspec.Raw | None = None
    source: str | None = None
    if run.begins_at(unit):
        source = ""
    elif node.input_mapping is not None:
        text = encoded(render(run, node.input_mapping, now, unit))
    elif node.has_routes:
        text = encoded(_routed(run, unit))
    elif node.given_input is not None:
        text = encoded(render(run, node.given_input, now, unit))
    elif not node.upstream:
        source = ""
    elif len(node.upstream) == 1:
        source = node.upstream[0]
    else:
        text = small(joined(unit.frame, node.upstream))
    if node.node.inputs:
        value = _decode(text) if text is not None else output_value(run, source or "", unit.frame)
        check_ports(node.node.inputs, value, "input")
    return text, source


def own_input(run: Run, node: PlanNode, given: msgspec.Raw | None) -> dict[str, Any]:
    """What `input` means in the node's own settings: the run's input, and over it what was given to the node."""
    if given is None or (node.input_mapping is None and not node.has_routes and node.given_input is None):
        return {}
    mine, whole = _decode(given), output_value(run, "")
    return {"input": {**whole, **mine} if isinstance(mine, dict) and isinstance(whole, dict) else mine}


def _routed(run: Run, unit: Unit) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for edge in unit.plan.incoming:
        source = unit.frame.nodes[edge.source]
        name = edge.target_input or edge.source_output
        if name is None or source.status != "completed":
            continue
        output = output_value(run, edge.source, unit.frame)
        if edge.source_output is not None:
            if not isinstance(output, dict) or edge.source_output not in output:
                raise EvaluationFault(
                    f"nodes.{edge.source}.output.{edge.source_output}",
                    f"the output of '{edge.source}' has no '{edge.source_output}'",
                    f"nodes.{edge.source}.output.{edge.source_output}",
                )
            output = output[edge.source_output]
        value[name] = output
    return value


def small(text: msgspec.Raw) -> msgspec.Raw:
    """The same. Raises `TooLarge`."""
    if len(bytes(text)) > INPUT_INLINE_BYTES_MAX:
        raise TooLarge(f"the joined outputs have {len(bytes(text))} bytes, the limit is {INPUT_INLINE_BYTES_MAX}")
    return text


def encoded(value: Any) -> msgspec.Raw:
    """A computed value as JSON text. Raises `TooLarge`."""
    try:
        text = _encode(value)
    except RecursionError:
        raise TooLarge(_TOO_DEEP) from None
    if len(text) > INPUT_INLINE_BYTES_MAX:
        raise TooLarge(f"the value has {len(text)} bytes, the limit is {INPUT_INLINE_BYTES_MAX}")
    check_depth(text)
    return msgspec.Raw(text)


def check_depth(text: bytes) -> None:
    """Raises `TooLarge` where lists and objects stand inside one another so deeply that nobody could read it any more."""
    if text.count(b"[") + text.count(b"{") <= VALUE_DEPTH_MAX:
        return
    brackets = text.translate(None, _NO_BRACKETS)
    if _is_deep(brackets) and _is_deep(_STRING.sub(b"", text).translate(None, _NO_BRACKETS)):
        raise TooLarge(_TOO_DEEP)


def _is_deep(brackets: bytes) -> bool:
    """Takes the innermost away, again and again."""
    for _ in range(VALUE_DEPTH_MAX):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return bool(brackets)


def check_ports(ports: Iterable[Port], value: Any, what: str) -> None:
    """Raises `PortFault` naming the port that is missing or has another type."""
    if not isinstance(value, dict):
        raise PortFault(f"the {what} must be an object with its declared names, got {type(value).__name__}")
    for port in ports:
        if port.name not in value:
            if port.required:
                raise PortFault(f"required {what} '{port.name}' is missing")
            continue
        given = value[port.name]
        if port.type == "any":
            continue
        expected = _PYTHON_TYPES[port.type]
        if not isinstance(given, expected) or (isinstance(given, bool) and port.type == "number"):
            raise PortFault(f"{what} '{port.name}' must be {port.type}, got {type(given).__name__}")


def map_output(node: NodeState) -> msgspec.Raw:
    """The list of the instances' outputs, in order; null for one that failed and was allowed to."""
    return listed(unit.output for unit in node.instances)


def run_output(run: Run, plan: Plan, now: datetime) -> msgspec.Raw:
    """`output_mapping`, else the end node's output, else the one leaf's, else an object of the leaves'."""
    if plan.output_mapping is not None:
        return encoded(render(run, plan.output_mapping, now))
    candidates = plan.graph.ends or plan.graph.leaves
    if len(candidates) > 1:
        return small(joined(run.root, candidates))
    only = run.nodes[candidates[0]]
    return only.output if only.status == "completed" else NULL
