"""What edges and mappings carry into typed inputs."""

from flowforge.definition import Edge, LoopNode, Node, Port

from services.catalog.validation.draft import Draft, Placed
from services.catalog.validation.report import Findings
from services.catalog.validation.structure import Shape, Shapes

_JSON_TYPES: dict[type, str] = {
    str: "string", bool: "boolean", int: "number", float: "number", dict: "object", list: "array",
}  # fmt: skip


def type_of(value: object) -> str:
    """The word for the type of a JSON value."""
    return _JSON_TYPES.get(type(value), "null")


def check_ports(draft: Draft, shapes: Shapes, findings: Findings) -> None:
    """Named outputs and inputs: that they exist, agree in type, and that required inputs come from somewhere."""
    for placed in draft.nodes():
        for kind in ("inputs", "outputs"):
            _check_unique(placed, kind, findings)
    for shape in shapes.all:
        _check_routes(shape, findings)


def _check_routes(shape: Shape, findings: Findings) -> None:
    routed: dict[int, dict[str, str]] = {}
    for source, target, edge in shape.edges:
        _check_edge(shape.nodes[source].item, shape.nodes[target].item, edge, findings)
        if edge.item.target_input is not None:
            _check_single(shape.nodes[target].item, edge, routed.setdefault(target, {}), findings)
    for number, placed in enumerate(shape.nodes):
        _check_mapping(placed, findings)
        _check_required(placed, routed.get(number, {}), findings)


def _check_unique(placed: Placed[Node], kind: str, findings: Findings) -> None:
    seen: set[str] = set()
    for index, port in enumerate(getattr(placed.item, kind)):
        if port.name in seen:
            path = f"{placed.path(kind)}[{index}].name"
            message = f"'{port.name}' stands twice in {kind} of '{placed.item.id}'"
            findings.error("DUPLICATE_PORT", path, message, "give one of them another name", [placed.item.id])
        seen.add(port.name)


def _check_edge(source: Node, target: Node, edge: Placed[Edge], findings: Findings) -> None:
    if edge.item.source_output is None and edge.item.target_input is None:
        return
    if edge.item.source_output is not None and _gives_list(source):
        _refuse_part_of_list(source, target, edge, findings)
        return
    given = _port(source, source.outputs, edge.item.source_output, f"{edge.at}.source_output", "output", findings)
    wanted = _port(target, target.inputs, edge.item.target_input, f"{edge.at}.target_input", "input", findings)
    if given is None or wanted is None or "any" in (given.type, wanted.type) or given.type == wanted.type:
        return
    findings.error(
        "TYPE_MISMATCH",
        edge.at,
        f"the output '{given.name}' of '{source.id}' is of type {given.type}, the input '{wanted.name}' of "
        f"'{target.id}' of type {wanted.type}",
        "make the types equal, or convert the value with input_mapping",
        [source.id, target.id],
    )


def _gives_list(node: Node) -> bool:
    """Whether its output is a list, one item per instance or iteration, which has no named parts."""
    return node.for_each is not None or isinstance(node, LoopNode)


def _refuse_part_of_list(source: Node, target: Node, edge: Placed[Edge], findings: Findings) -> None:
    name, repeated = edge.item.source_output, "a loop" if isinstance(source, LoopNode) else "a node with for_each"
    findings.error(
        "TYPE_MISMATCH",
        f"{edge.at}.source_output",
        f"'{source.id}' is {repeated}, so its output is a list and has no '{name}' of its own",
        f"map it in '{target.id}': input_mapping: {{{name}: ${{nodes.{source.id}.output.map(x, x.{name})}}}}",
        [source.id, target.id],
    )


def _port(node: Node, ports: list[Port], name: str | None, path: str, kind: str, findings: Findings) -> Port | None:
    """The declared port of that name; a node that declares none of a kind takes and gives any."""
    if name is None or not ports:
        return None
    port = next((port for port in ports if port.name == name), None)
    if port is None:
        mend = findings.did_you_mean(name, [port.name for port in ports], f"add it to {kind}s of '{node.id}'")
        findings.error("MISSING_PORT", path, f"the node '{node.id}' has no {kind} '{name}'", mend, [node.id])
    return port


def _check_single(target: Node, edge: Placed[Edge], routed: dict[str, str], findings: Findings) -> None:
    name = str(edge.item.target_input)
    if routed.setdefault(name, edge.at) != edge.at:
        findings.warning(
            "INPUT_TWICE",
            f"{edge.at}.target_input",
            f"the input '{name}' of '{target.id}' also comes from {routed[name]}; if both edges are taken, one wins",
            "route each input from one place",
            [target.id],
        )
    if target.input_mapping is not None:
        findings.warning(
            "INPUT_UNUSED",
            f"{edge.at}.target_input",
            f"'{target.id}' has an input_mapping, so what the edge routes to its input '{name}' is not used",
            "leave out input_mapping or target_input",
            [target.id],
        )


def _check_mapping(placed: Placed[Node], findings: Findings) -> None:
    """Constants in input_mapping against the types of the inputs they are for."""
    node = placed.item
    for port in node.inputs:
        value = (node.input_mapping or {}).get(port.name)
        if value is None or port.type == "any" or (isinstance(value, str) and "${" in value):
            continue
        if type_of(value) != port.type:
            findings.error(
                "TYPE_MISMATCH",
                f"{placed.path('input_mapping')}.{port.name}",
                f"the input '{port.name}' of '{node.id}' is of type {port.type}, this is of type {type_of(value)}",
                "give a value of the declared type",
                [node.id],
            )


def _check_required(placed: Placed[Node], routed: dict[str, str], findings: Findings) -> None:
    node = placed.item
    if node.input_mapping is None and not routed:
        return  # its input is what comes from upstream or the run: known when it runs
    for index, port in enumerate(node.inputs):
        if not port.required or port.name in routed or port.name in (node.input_mapping or {}):
            continue
        is_certain = node.input_mapping is not None
        report = findings.error if is_certain else findings.warning
        report(
            "MISSING_INPUT",
            f"{placed.path('inputs')}[{index}]",
            f"nothing gives the required input '{port.name}' of '{node.id}'",
            "map it in input_mapping" if is_certain else "route it with an edge's target_input, or map it",
            [node.id],
        )
