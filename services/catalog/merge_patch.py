"""JSON merge patch (RFC 7396)."""

from typing import Any, cast


def merged(target: object, patch: object) -> object:
    """The target with the patch applied; neither is changed. A null removes a field, a list replaces a list."""
    if not isinstance(patch, dict):
        return patch
    result = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    for name, value in cast("dict[str, Any]", patch).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
