"""An example of whatever a schema describes: small, and the same every time."""

import re
from collections.abc import Mapping
from typing import Any, cast

_FORMATS: dict[str, Any] = {
    "uuid": "019ca945-2b5d-764f-be2e-79b6b73f502e",
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "uri": "urn:flowforge:problem:not-found",
}
_NAMED: dict[str, Any] = {
    "workflow_id": "daily-report",
    "node_id": "extract",
    "trigger_id": "nightly",
    "template_id": "report",
    "status": "completed",
    "actor": "ada",
    "created_by": "ada",
    "next_cursor": None,
    "labels": {"team": "blue"},
    "input_data": {"region": "eu"},
    "variables": {"region": "eu"},
    "output_data": {"rows": 3},
    "input": {"region": "eu"},
    "output": {"rows": 3},
    "error": None,
    "position": 4711,
    "duration_ms": 1_250,
    "percent": 100,
    "user": "ada",
    "subscription_id": "ledger",
    "prompt_id": "greet",
    "url": "https://ledger.example.com/flowforge",
    "archive": "runs-00000001",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "job_type": "extract",
    "queue": "default",
    "event_type": "RunFailed",
    "source": "/shop",
    "specversion": "1.0",
    "datacontenttype": "application/json",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "secret_ref": "k1:0f3a",
    "secret_before": "",
    "instance": "",
}
_INSTANT = re.compile(r"(.*_)?(at|since|until|before|time|deadline)")
_POSITION = re.compile(r".*_position")
_DEPTH_MAX = 6


class Sampler:
    """Makes examples. Their values are told by name where a name says more than a type."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self._components = components

    def of(self, schema: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
        """One value that the schema describes."""
        if "$ref" in schema:
            return self.of(self._components[schema["$ref"].rpartition("/")[2]], name, depth)
        for choices in (schema.get("oneOf"), schema.get("anyOf")):
            if choices:
                return self._chosen(choices, name, depth)
        if "example" in schema or schema.get("examples"):
            return schema.get("example") or schema["examples"][0]
        if schema.get("enum"):
            return schema["enum"][0]
        return self._typed(schema, name, depth)

    def _chosen(self, choices: list[dict[str, Any]], name: str, depth: int) -> Any:
        if {"type": "null"} in choices and (depth > 1 or (name in _NAMED and _NAMED[name] is None)):
            return None
        return self.of(next(choice for choice in choices if choice != {"type": "null"}), name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        given = schema.get("type")
        kind = (
            next((each for each in cast("list[str]", given) if each != "null"), None)
            if isinstance(given, list)
            else given
        )
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return [self.of(schema["items"], "", depth + 1)] if depth < _DEPTH_MAX and "items" in schema else []
            case "string":
                text = _text(name)
                return _FORMATS.get(schema.get("format", ""), text.replace(" ", "-") if "pattern" in schema else text)
            case "integer" | "number":
                value = _NAMED.get("position" if _POSITION.fullmatch(name) else name, 1)
                return value if isinstance(value, int) else schema.get("minimum", 1)
            case "boolean":
                return True
            case None:
                return _NAMED.get(name, {})
            case _:
                return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        chosen = {name: part for name, part in properties.items() if depth < 1 or name in required}
        return {name: self.of(part, name, depth + 1) for name, part in chosen.items()} if depth < _DEPTH_MAX else {}


def _text(name: str) -> str:
    value = _NAMED.get(name)
    if value is None and _INSTANT.fullmatch(name):
        return _FORMATS["date-time"]
    return value if isinstance(value, str) else name.replace("_", " ") or "text"
