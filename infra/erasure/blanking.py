"""What is left of an event whose payload is erased: its shape, but nothing of what was given, said or made. Pure."""

from typing import Any, cast

import msgspec
from flowforge.errors import RunError
from flowforge.events import EVENT_TYPES, MessageQuarantined, NodeSkipped, WorkflowTriggered, decode
from flowforge.raw import NULL

ERASED = "erased"
"""Stands where a text had to stand."""
_WORDS = frozenset({"message", "comment", "detail", "reason", "body", "subject", "cache_key", "worker"})
"""Fields of free text, and names of what a payload was."""
_STRUCTURE = frozenset(
    {"type", "status", "for", "action", "decision", "purpose", "instance", "job_type", "queue", "service", "code"}
)
_DEFINITIONS = ("Workflow", "Template", "Prompt", "Secret", "Subscription", "User")
_encode = msgspec.json.Encoder().encode


class StaysInStructure(ValueError):
    """The text is part of what holds events together: a name of a workflow, a node, a type."""


def is_erasable(event_type: str) -> bool:
    """Whether it is something that happened, and no definition: those are changed by saving them anew."""
    if event_type not in EVENT_TYPES or event_type == "PayloadErased":
        return False
    return event_type == WorkflowTriggered.__name__ or not event_type.startswith(_DEFINITIONS)


def blanked(event_type: str, data: bytes, texts: tuple[str, ...] = ()) -> bytes:
    """The event without payloads and free text; where one of `texts` still stands, `erased` does.

    It reads as the same type, so that every fold of it goes on as before. Raises `StaysInStructure` for a text in a name
    that other events refer to.
    """
    event = decode(event_type, data)
    left = _blank(event, keeps_reason=isinstance(event, NodeSkipped))
    if isinstance(left, WorkflowTriggered):
        left = msgspec.structs.replace(left, is_erased=True)
    if isinstance(left, MessageQuarantined):
        left = msgspec.structs.replace(left, body_encoding="text")
    encoded = _encode(left)
    if texts and any(text in encoded.decode() for text in texts):
        encoded = _encode(_without(msgspec.json.decode(encoded), texts, ""))
        decode(event_type, encoded)
    return encoded


def _blank(value: Any, *, keeps_reason: bool = False) -> Any:
    if isinstance(value, RunError):
        return RunError(value.code, ERASED, value.affected_nodes, value.dependency_chain, "", value.retryable)
    if isinstance(value, msgspec.Raw):
        return value if not bytes(value) else NULL
    if isinstance(value, list):
        return [_blank(each) for each in cast("list[Any]", value)]
    if not isinstance(value, msgspec.Struct):
        return value
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        held = getattr(value, name)
        if isinstance(held, str):
            if name in _WORDS and held and not (name == "reason" and keeps_reason):
                changes[name] = ""
        elif name == "node_outputs":
            changes[name] = dict.fromkeys(held, NULL)
        elif isinstance(held, dict) and name != "reasons":
            changes[name] = {}
        else:
            blank = _blank(held)
            if blank is not held:
                changes[name] = blank
    return msgspec.structs.replace(value, **changes) if changes else value


def _without(value: Any, texts: tuple[str, ...], name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(each, texts, key) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_without(each, texts, name) for each in cast("list[Any]", value)]
    if isinstance(value, str) and any(text in value for text in texts):
        if name in _STRUCTURE or name.endswith(("_id", "_ids")):
            raise StaysInStructure(f"it is part of {name} = {value!r}, by which events are found")
        return ERASED
    return value
