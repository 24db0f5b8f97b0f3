"""Values of events as columns can hold them. Pure."""

from typing import Any

import msgspec
from flowforge.errors import RunError
from flowforge.events import Cause
from flowforge.raw import present

from services.projections.state import Json

PRIORITY_MAX = 2**31 - 1

_encode = msgspec.json.encode


def bounded(priority: int) -> int:
    return max(-PRIORITY_MAX, min(priority, PRIORITY_MAX))


def text(raw: msgspec.Raw) -> Json:
    return Json(str(raw, "utf-8"))


def as_json(value: object) -> Json:
    return Json(_encode(value).decode()) if value else Json("{}")


def object_of(value: object) -> Json | None:
    """An object that may be missing."""
    return None if value is None else Json(_encode(value).decode())


def listed(items: list[Any]) -> Json | None:
    """A list; null where it is empty."""
    return Json(_encode(items).decode()) if items else None


def error_of(error: RunError) -> Json:
    """All fields of interface.md, section 9, whether they were logged or not."""
    full: dict[str, object] = {
        "code": error.code,
        "message": error.message,
        "affected_nodes": error.affected_nodes,
        "dependency_chain": error.dependency_chain,
        "suggested_resolution": error.suggested_resolution,
        "retryable": error.retryable,
    }
    if (details := present(error.details)) is not None:
        full["details"] = details
    return Json(_encode(full).decode())


def names(cause: Cause) -> tuple[str, str, str]:
    return kept(cause.id), kept(cause.type), kept(cause.source)


def labels_of(labels: dict[str, str]) -> Json:
    return as_json({kept(name): kept(value) for name, value in labels.items()})


def kept(text: str) -> str:
    """Text as a column can hold it: Postgres has no character zero."""
    return text if "\x00" not in text else text.replace("\x00", "\ufffd")


def clean(text: str | None) -> str | None:
    return None if text is None else kept(text)
