"""Values: what templates see, what a node gets as input, what a run gives as output. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from flowforge.definition import Port
from flowforge.raw import NULL

from infra.expressions import EvaluationFault, Expression, Template
from services.execution.plan import Plan, PlanNode
from services.execution.settings import INPUT_INLINE_BYTES_MAX
from services.execution.state import NodeState, Run, Unit

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_BLOB = b'{"$blob":'
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


def output_value(run: Run, node_id: str) -> Any:
    """A node's output as data, decoded once; "" stands for the run's input."""
    if node_id not in run.decoded:
        raw = run.nodes[node_id].output if node_id else run.triggered.input_data
        reference = blob_hash(raw)
        run.decoded[node_id] = _decode(raw) if reference is None else run.blobs.get(reference)
    return run.decoded[node_id]


def bindings(
    run: Run, of: Template | Expression, now: datetime, unit: Unit | None = None, **more: Any
) -> dict[str, Any]:
    """What `of` may look at, and nothing that it does not."""
    names = of.names
    values: dict[str, Any] = {"now": now, **more}
    if "input" in names and "input" not in more:
        values["input"] = output_value(run, "")
    if "variables" in names:
        values["variables"] = run.variables
    if "nodes" in names:
        node_ids: Iterable[str] = run.nodes if of.uses_all_nodes else of.node_ids & run.nodes.keys()
        values["nodes"] = {node_id: _node_view(run, node_id) for node_id in node_ids}
    if "run" in names:
        triggered = run.triggered
        values["run"] = {
            "id": str(run.id),
            "workflow_id": run.plan.workflow_id,
            "version": run.plan.version,
            "trigger": {"type": triggered.trigger.type, "id": triggered.trigger.id},
            "labels": triggered.labels,
        }
    if names & {"event", "events"}:
        events = run.cause_events or [None]
        values["event"], values["events"] = events[-1], events
    if unit is not None and unit.index is not None:
        values["item"] = run.nodes[unit.node_id].items[unit.index]
        values["index"] = unit.index
    return values


def _node_view(run: Run, node_id: str) -> dict[str, Any]:
    node = run.nodes[node_id]
    error = None if node.error is None else _decode(_encode(node.error))
    return {"output": output_value(run, node_id), "status": node.status, "error": error}


def render(run: Run, template: Template, now: datetime, unit: Unit | None = None, **more: Any) -> Any:
    """Raises `EvaluationFault`."""
    if template.is_constant:
        return template.render({})
    return template.render(bindings(run, template, now, unit, **more))


def render_for_worker(run: Run, template: Template, now: datetime, unit: Unit | None = None, **more: Any) -> Any:
    """As `render`, but secrets stay references that only the worker resolves."""
    return template.render_for_worker(bindings(run, template, now, unit, **more))


def node_input(
    run: Run, node: PlanNode, now: datetime, unit: Unit | None = None
) -> tuple[msgspec.Raw | None, str | None]:
    """A node's input: its `input_mapping`, else what edges route, else upstream output, else the run's input.

    Either the JSON text, or the id of the node whose output it is ("" for the run's input). Raises `EvaluationFault`,
    `TooLarge`, `PortFault`.
    """
    text: msgspec.Raw | None = None
    source: str | None = None
    if node.input_mapping is not None:
        text = encoded(render(run, node.input_mapping, now, unit))
    elif node.has_routes:
        text = encoded(_routed(run, node))
    elif not node.upstream:
        source = ""
    elif len(node.upstream) == 1:
        source = node.upstream[0]
    else:
        text = _joined(run, node.upstream)
    if node.node.inputs:
        value = _decode(text) if text is not None else output_value(run, source or "")
        check_ports(node.node.inputs, value, "input")
    return text, source


def own_input(run: Run, node: PlanNode, given: msgspec.Raw | None) -> dict[str, Any]:
    """What `input` means in the node's own settings: the run's input, and over it what was mapped or routed to the node."""
    if given is None or (node.input_mapping is None and not node.has_routes):
        return {}
    mine, whole = _decode(given), output_value(run, "")
    return {"input": {**whole, **mine} if isinstance(mine, dict) and isinstance(whole, dict) else mine}


def _routed(run: Run, node: PlanNode) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for edge in node.incoming:
        source = run.nodes[edge.source]
        name = edge.target_input or edge.source_output
        if name is None or source.status != "completed":
            continue
        output = output_value(run, edge.source)
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


def _joined(run: Run, upstream: Iterable[str]) -> msgspec.Raw:
    """An object of the outputs by node id, of those that completed."""
    parts = [
        b'"%s":%s' % (node_id.encode(), bytes(run.nodes[node_id].output))
        for node_id in upstream
        if run.nodes[node_id].status == "completed"
    ]
    text = b"{" + b",".join(parts) + b"}"
    if len(text) > INPUT_INLINE_BYTES_MAX:
        raise TooLarge(f"the joined outputs have {len(text)} bytes, the limit is {INPUT_INLINE_BYTES_MAX}")
    return msgspec.Raw(text)


def encoded(value: Any) -> msgspec.Raw:
    """A computed value as JSON text. Raises `TooLarge`."""
    text = _encode(value)
    if len(text) > INPUT_INLINE_BYTES_MAX:
        raise TooLarge(f"the value has {len(text)} bytes, the limit is {INPUT_INLINE_BYTES_MAX}")
    return msgspec.Raw(text)


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
    return msgspec.Raw(b"[" + b",".join(bytes(unit.output) for unit in node.instances) + b"]")


def run_output(run: Run, plan: Plan, now: datetime) -> msgspec.Raw:
    """`output_mapping`, else the end node's output, else the one leaf's, else an object of the leaves'."""
    if plan.output_mapping is not None:
        return encoded(render(run, plan.output_mapping, now))
    sources = [node_id for node_id in (plan.ends or plan.leaves) if run.nodes[node_id].status == "completed"]
    if len(plan.ends or plan.leaves) == 1:
        return run.nodes[sources[0]].output if sources else NULL
    return _joined(run, sources)
