"""Definitions to be validated, in a few words each, and what was found in them."""

from typing import Any

from services.catalog.validation import Report, validate

Sound = dict[str, dict[str, Any]]
"""Definitions without any finding, by what they show."""
Bad = dict[str, tuple[dict[str, Any], str]]
"""Definitions with one mistake, and what is told of it."""


def start(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "start", **fields}


def job(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "job", "job_type": "x", **fields}


def node(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": kind, **fields}


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    return {"source_node_id": source, "target_node_id": target, **fields}


def edges(*pairs: str) -> list[dict[str, Any]]:
    """`a b` is an edge from a to b."""
    return [edge(*pair.split()) for pair in pairs]


def workflow(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "w", "name": "W", "nodes": list(nodes), **fields}


def loop(name: str, *nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"nodes": list(nodes), **({} if edges is None else {"edges": edges})}
    return node(name, "loop", **{"loop_type": "for_each", "array_source": "${input.items}", "body": body, **fields})


def split(*targets: str, **fields: Any) -> dict[str, Any]:
    return node("p", "parallel", branches=[{"target_node_id": name} for name in targets], **fields)


def merge(**fields: Any) -> dict[str, Any]:
    return node("m", "merge", **{"parallel_node_id": "p", **fields})


def forked(parallel: dict[str, Any] | None = None, joined: dict[str, Any] | None = None, *more: str) -> dict[str, Any]:
    """p splits into a and b, which meet in m."""
    nodes = [split("a", "b", **(parallel or {})), job("a"), job("b"), merge(**(joined or {}))]
    return workflow(*nodes, edges=edges("a m", "b m", *more))


def told(report: Report) -> list[str]:
    found = [*report.errors, *report.warnings]
    return [f"{item.severity} {item.type} {item.path}: {item.message}; {item.suggested_resolution}" for item in found]


def brief(report: Report) -> list[str]:
    return [f"{item.severity} {item.type} {item.path}" for item in (*report.errors, *report.warnings)]


def without_nothing(value: Any) -> Any:
    """Fields that a case took away again."""
    if isinstance(value, dict):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def assert_sound(document: dict[str, Any]) -> None:
    report = validate(without_nothing(document))
    assert told(report) == []
    assert report.is_valid


def assert_told(document: dict[str, Any], text: str) -> None:
    """This one mistake, and what it makes unreachable."""
    found = [item for item in told(validate(without_nothing(document))) if "UNREACHABLE" not in item]
    assert found == [text]
