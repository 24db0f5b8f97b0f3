"""What a `PUT` of `trigger_configs` must name: each of the six job types exactly once, with booleans. Pure."""

import difflib
from collections.abc import Iterator
from typing import Any, cast

from flowforge.job_types import TRIGGER_TYPES, TriggerConfig

_FLAGS = ("is_enabled", "on_failure", "across_experiments")
_NAME_CHARS_MAX = 200
_WORD_CHARS_MAX = 60
Error = dict[str, Any]
_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number"}


def errors_of(configs: object) -> list[Error]:
    """Everything that is missing, doubled, unknown or of a wrong type, each with its path in the request."""
    if not isinstance(configs, list):
        what = "configs is missing" if configs is None else f"configs is {_kind(configs)}, no list"
        return [_error("WRONG_TYPE", "$.configs", what, f"name each of {', '.join(TRIGGER_TYPES)} exactly once")]
    items = cast("list[object]", configs)
    found = [error for number, item in enumerate(items) for error in _errors_in(item, f"$.configs[{number}]")]
    return found + list(_errors_of_names(items))


def _errors_in(item: object, path: str) -> Iterator[Error]:
    if not isinstance(item, dict):
        yield _error("WRONG_TYPE", path, f"expected an object, got {_kind(item)}", "write {trigger_type, is_enabled}")
        return
    fields = cast("dict[str, object]", item)
    yield from _errors_of_type(fields, path)
    if "is_enabled" not in fields:
        yield _error("MISSING_FIELD", f"{path}.is_enabled", "is_enabled is missing", "add true or false")
    for name in _FLAGS:
        if name in fields and not isinstance(fields[name], bool):
            message = f"{name} is {_shown(fields[name])}, which is no boolean"
            yield _error("WRONG_TYPE", f"{path}.{name}", message, "write true or false")
    pattern = fields.get("job_name")
    if pattern is not None and not (isinstance(pattern, str) and 0 < len(pattern) <= _NAME_CHARS_MAX):
        message = f"job_name is {_shown(pattern)}"
        mend = f"write a text of 1 to {_NAME_CHARS_MAX} characters, in which * stands for any others, or leave it out"
        yield _error("WRONG_TYPE", f"{path}.job_name", message, mend)
    for name in (field for field in fields if field not in TriggerConfig.__struct_fields__):
        mend = _nearest(name, TriggerConfig.__struct_fields__)
        yield _error("UNKNOWN_FIELD", f"{path}.{name}", f"there is no field '{name}'", mend)


def _errors_of_type(fields: dict[str, object], path: str) -> Iterator[Error]:
    name = fields.get("trigger_type")
    if "trigger_type" not in fields:
        yield _error("MISSING_FIELD", f"{path}.trigger_type", "trigger_type is missing", f"add one of {_ALL}")
    elif not isinstance(name, str):
        message = f"trigger_type is {_shown(name)}, which is no text"
        yield _error("WRONG_TYPE", f"{path}.trigger_type", message, f"write one of {_ALL}")
    elif name not in TRIGGER_TYPES:
        message = f"unknown type '{name[:_WORD_CHARS_MAX]}' of a job-type trigger"
        yield _error("UNKNOWN_TYPE", f"{path}.trigger_type", message, _nearest(name, TRIGGER_TYPES))


def _errors_of_names(items: list[object]) -> Iterator[Error]:
    first: dict[str, int] = {}
    for number, item in enumerate(items):
        name = cast("dict[str, object]", item).get("trigger_type") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in TRIGGER_TYPES:
            continue
        if first.setdefault(name, number) != number:
            message = f"{name} is named twice, first at $.configs[{first[name]}]"
            yield _error("DUPLICATE_TYPE", f"$.configs[{number}].trigger_type", message, "name each type once")
    for name in TRIGGER_TYPES:
        if name not in first:
            mend = f'add {{"trigger_type": "{name}", "is_enabled": false}}, or true'
            yield _error("MISSING_TYPE", "$.configs", f"{name} is missing", mend)


_ALL = ", ".join(TRIGGER_TYPES)


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1) or difflib.get_close_matches(word.upper(), known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"


def _error(kind: str, path: str, message: str, mend: str) -> Error:
    return {"type": kind, "path": path, "message": message, "suggested_resolution": mend}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return "a boolean" if isinstance(value, bool) else _KINDS.get(type(value), "something else")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"the text '{value[:_WORD_CHARS_MAX]}'"
    return f"the number {value}" if isinstance(value, int | float) and not isinstance(value, bool) else _kind(value)
