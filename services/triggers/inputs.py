"""Whether a run's input and variables are what the workflow says they are (pure).

Source of the rules: JSON Schema 2020-12. Schemas are never fetched from anywhere: only references within the schema
itself are followed.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import msgspec
from flowforge.definition import Variable

Finding = dict[str, Any]
"""`{path, message}`."""
_FINDINGS_MAX = 20
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class InputSchema:
    """A compiled schema. One that is not valid itself finds fault with every input, and says so."""

    __slots__ = ("_fault", "_validator")

    def __init__(self, schema: dict[str, Any]) -> None:
        self._fault = ""
        try:
            self._validator = jsonschema_rs.Draft202012Validator(schema, offline=True)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as problem:
            self._fault = f"the workflow's input_schema is not valid: {str(problem).splitlines()[0]}"

    def findings(self, value: object, at: str) -> list[Finding]:
        """What is wrong with the input; paths begin with `at`."""
        if self._fault:
            return [{"path": at, "message": self._fault}]
        if self._validator.is_valid(value):
            return []
        found: list[Finding] = []
        for error in self._validator.iter_errors(value):
            found.append({"path": at + "".join(map(_step, error.instance_path)), "message": error.message})
            if len(found) == _FINDINGS_MAX:
                break
        return found


def variable_findings(declared: list[Variable], given: Mapping[str, msgspec.Raw]) -> list[Finding]:
    """Which given variables the workflow does not have, and which are of another type."""
    by_name = {variable.name: variable for variable in declared}
    found: list[Finding] = []
    for name, raw in given.items():
        variable = by_name.get(name)
        if variable is None:
            known = ", ".join(sorted(by_name)) or "none"
            found.append({"path": f"$.variables.{name}", "message": f"there is no variable '{name}'; known: {known}"})
        elif (wrong := _wrong_type(variable, raw)) is not None:
            found.append({"path": f"$.variables.{name}", "message": wrong})
    return found


def default_findings(declared: list[Variable]) -> list[Finding]:
    """Which defaults are of another type than declared. A default of null is none."""
    return [
        {"path": f"$.variables.{variable.name}", "message": f"its default is no {variable.type}"}
        for variable in declared
        if variable.default_value is not None and not _is_of(variable.type, variable.default_value)
    ]


def _wrong_type(variable: Variable, raw: msgspec.Raw) -> str | None:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return f"cannot be read: {problem}"
    if _is_of(variable.type, value):
        return None
    return f"expected {variable.type}, got {_kind(value)}"


def _is_of(kind: str, value: object) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return next((kind for kind in ("boolean", *_KINDS) if _is_of(kind, value)), type(value).__name__)


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"
