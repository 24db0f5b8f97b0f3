"""Answers that must be JSON of a certain shape."""

import re
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


class Misfit(ValueError):
    """The answer is no JSON, or not of the shape that was asked for; says where."""


def check(schema: dict[str, Any]) -> None:
    """Raises ValueError for what is no schema, or needs one from elsewhere: nothing is fetched for it."""
    try:
        _validator(msgspec.json.encode(schema).decode())
    except (ValueError, jsonschema_rs.ReferencingError) as fault:
        raise ValueError(str(fault).partition("\n")[0]) from None


def fitted(text: str, schema: dict[str, Any]) -> Any:
    """The JSON of the answer, also where it stands in a fence of Markdown. Raises Misfit."""
    found = _FENCED.search(text)
    try:
        value = msgspec.json.decode((found[1] if found else text).strip())
    except (msgspec.DecodeError, RecursionError) as fault:
        raise Misfit(f"the answer is no JSON: {fault}") from None
    fault = next(iter(_validator(msgspec.json.encode(schema).decode()).iter_errors(value)), None)
    if fault is not None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.instance_path)
        raise Misfit(f"the answer does not fit response_schema: $.json{place}: {fault.message}")
    return value


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    return jsonschema_rs.Draft202012Validator(msgspec.json.decode(schema), offline=True)
