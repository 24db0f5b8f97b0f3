"""JSON schemas of our types, JSON text within them included."""

from collections.abc import Callable, Iterable
from typing import Any, cast
from unittest.mock import patch

import msgspec


def _anything(_: type) -> dict[str, Any]:
    """Values that have no type of their own."""
    return {"description": "any JSON value"}


def schemas(types: Iterable[Any], ref_template: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Of each type, and of all that they are made of by name."""
    plain = cast("Callable[..., Any]", msgspec.to_builtins)

    def default(value: Any, **options: Any) -> Any:
        """msgspec has no default for JSON that stays text: the value itself, or none at all."""
        if isinstance(value, msgspec.Raw):
            return msgspec.json.decode(value) if bytes(value) else None
        return plain(value, **options)

    with patch("msgspec._json_schema.to_builtins", default):
        found, components = msgspec.json.schema_components(types, ref_template=ref_template, schema_hook=_anything)
    return list(found), components
