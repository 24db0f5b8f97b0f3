"""From a plain document to a workflow, with every reason why it is none; and back."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from flowforge.definition.nodes import NODE_TYPES, Edge, Node
from flowforge.definition.shapes import END, Part, Settings
from flowforge.definition.texts import from_text
from flowforge.definition.triggers import TRIGGER_TYPES, Trigger
from flowforge.definition.workflow import Workflow
from flowforge.errors import DefinitionInvalid
from flowforge.job_types import TRIGGER_TYPES as JOB_TRIGGER_TYPES
from flowforge.job_types import TriggerConfig, normalised, shown


class Fault(msgspec.Struct, frozen=True):
    """One reason why a document is no workflow: where (a JSON path), what, and how to mend it."""

    path: str
    message: str
    suggested_resolution: str = ""


_LISTS: dict[str, Any] = {"nodes": Node, "edges": Edge, "triggers": Trigger, "trigger_configs": TriggerConfig}
_AT_PATH = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_IN_BODY = re.compile(r"^\.body\.nodes\[(?P<index>\d+)\]")
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`")
_UNKNOWN_VALUE = re.compile(r"Invalid enum value '(?P<value>[^']*)'")
_UNKNOWN_TYPE = re.compile(r"Invalid value '(?P<value>[^']*)'")


def parse(document: object) -> tuple[Workflow | None, list[Fault]]:
    """The workflow, or every reason why the document is none; each node, edge and trigger is looked at."""
    if not isinstance(document, dict):
        return None, [Fault("$", f"a workflow is an object, not {_kind(document)}", "start with id, name and nodes")]
    fields = cast("dict[str, Any]", document)
    faults: list[Fault] = []
    lists: dict[str, list[Any]] = {}
    for name, item_type in _LISTS.items():
        lists[name] = list(_items(name, fields.get(name, []), item_type, faults))
    head = {name: value for name, value in fields.items() if name not in _LISTS}
    if "nodes" not in fields:
        faults.append(Fault("$", "Object missing required field `nodes`", "add `nodes`, a list with at least one node"))
    workflow = _convert({**head, "nodes": []}, Workflow, "$", faults)
    if workflow is None or faults:
        return None, faults
    return msgspec.structs.replace(workflow, **lists), faults


def parse_stored(document: object) -> tuple[Workflow | None, list[Fault]]:
    """As `parse`, of a definition that was stored: what an older version left in `trigger_configs` is no fault."""
    return parse(readable(cast("dict[str, Any]", document)) if isinstance(document, dict) else document)


def readable(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored definition as it is read: with all six `trigger_configs`."""
    return {**stored, "trigger_configs": shown(normalised(stored.get("trigger_configs")))}


def load(text: str | bytes) -> Workflow:
    """The workflow written in a JSON or YAML text. Raises `DefinitionInvalid` with the first fault."""
    workflow, faults = parse(from_text(text))
    if workflow is None:
        raise DefinitionInvalid(faults[0].message, faults[0].path)
    return workflow


def document(workflow: Workflow) -> dict[str, Any]:
    """The workflow as plain JSON data, defaults left out."""
    return cast("dict[str, Any]", msgspec.to_builtins(workflow))


def with_defaults(authored: Mapping[str, Any], workflow: Workflow) -> dict[str, Any]:
    """What is stored and shown: every top-level field, nodes and edges as their author wrote them."""
    full: dict[str, Any] = {
        name: msgspec.to_builtins(getattr(workflow, name)) for name in Workflow.__struct_fields__ if name not in _LISTS
    }
    full["settings"] = {name: getattr(workflow.settings, name) for name in Settings.__struct_fields__}
    full["nodes"] = authored.get("nodes", [])
    full["edges"] = authored.get("edges", [])
    full["triggers"] = [{"name": "", "enabled": True, "config": {}, **item} for item in authored.get("triggers", [])]
    full["trigger_configs"] = shown(normalised(workflow.trigger_configs))
    return full


def _items(name: str, value: object, item_type: Any, faults: list[Fault]) -> Iterable[Any]:
    """The items of a list that can be read; all at once where all can, which is much quicker for long ones."""
    if not isinstance(value, list):
        faults.append(Fault(f"$.{name}", f"Expected `array`, got `{_kind(value)}`", f"make `{name}` a list"))
        return
    items = cast("list[object]", value)
    try:
        flat = [_flat(item) for item in items] if item_type is Node else items
        whole: list[Any] | None = msgspec.convert(flat, list[item_type])
    except (msgspec.ValidationError, ValueError, RecursionError):
        whole = None  # one after the other, for every fault
    if whole is not None:
        yield from whole
        return
    for index, item in enumerate(items):
        converted = _convert(item, item_type, f"$.{name}[{index}]", faults)
        if converted is not None:
            yield converted


def _flat(node: object) -> object:
    """A node whose own settings stand in `config`, with those beside its common fields; so too what is in a loop's body."""
    if not isinstance(node, dict):
        return node
    fields = cast("dict[str, Any]", node)
    if isinstance(fields.get("config"), dict):
        fields = dict(fields)
        fields = {**cast("dict[str, Any]", fields.pop("config")), **fields}
    body: object = fields.get("body")
    if fields.get("type") == "loop" and isinstance(body, dict) and isinstance(cast("Any", body).get("nodes"), list):
        inner = cast("dict[str, Any]", body)
        fields = {**fields, "body": {**inner, "nodes": [_flat(item) for item in inner["nodes"]]}}
    return fields


def _convert(value: object, kind: Any, path: str, faults: list[Fault]) -> Any:
    try:
        if kind is Node:
            value = _flat(value)
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as fault:
        faults.append(_fault(str(fault), value, kind, path))
        return None


def _fault(text: str, value: object, kind: Any, path: str) -> Fault:
    match = _AT_PATH.match(text)
    message = match["message"] if match else text
    below = (match["path"] or "$")[1:] if match else ""
    value, within = _innermost(value, below) if kind is Node else (value, below)
    kinds: Mapping[str, Any] = NODE_TYPES if kind is Node else TRIGGER_TYPES if kind is Trigger else {}
    if unknown := _UNKNOWN_FIELD.search(message):
        return Fault(path + below, message, _did_you_mean(unknown["field"], _field_names(kind, value, within)))
    if within == ".type" and kinds and (wrong := _UNKNOWN_TYPE.search(message)):
        return Fault(path + below, f"unknown type '{wrong['value']}'", _did_you_mean(wrong["value"], kinds))
    if below == ".trigger_type" and (named := _UNKNOWN_VALUE.search(message)):
        hint = _did_you_mean(named["value"], JOB_TRIGGER_TYPES)
        return Fault(path + below, f"unknown type '{named['value']}' of a job-type trigger", hint)
    if "matching regex" in message:
        message = message.replace(END.replace("\\", "\\\\"), "$")  # what people know as the end
        return Fault(path + below, message, "use lower-case letters, digits, `-` and `_`, at most 63 characters")
    return Fault(path + below, message, _missing_hint(message))


def _innermost(value: object, below: str) -> tuple[object, str]:
    """The node inside loops' bodies that a path leads to, and the rest of the path."""
    while (step := _IN_BODY.match(below)) is not None:
        value = cast("Any", value)["body"]["nodes"][int(step["index"])]
        below = below[step.end() :]
    return value, below


def _missing_hint(message: str) -> str:
    if "missing required field" in message:
        return "add the field"
    return "give a value of the expected type" if message.startswith("Expected") else ""


def _field_names(kind: Any, value: object, below: str) -> Iterable[str]:
    if below or not isinstance(value, dict):
        return [name for struct in (*Part.__subclasses__(),) for name in struct.__struct_fields__]
    tag = str(cast("dict[str, Any]", value).get("type", ""))
    struct = NODE_TYPES.get(tag) if kind is Node else TRIGGER_TYPES.get(tag) if kind is Trigger else kind
    return getattr(struct, "__struct_fields__", ())


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(names)}"


_KINDS: dict[type, str] = {dict: "object", list: "array", type(None): "null"}
"""What JSON calls a type otherwise than Python does."""


def _kind(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)
