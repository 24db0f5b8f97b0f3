"""Definitions as documents: what of one is stored, and how one that is unsound is refused. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
from flowforge.definition import with_defaults
from flowforge.refusals import Refusal, invalid, too_large

from services.catalog.settings import definition_bytes_max
from services.catalog.validation import Checked, Finding

Error = dict[str, Any]
SET_BY_SERVER = ("version", "created_at", "updated_at", "created_by")
"""Fields of a workflow as read that are no part of its definition: whoever saves what they read sends them back."""


def stored(checked: Checked) -> msgspec.Raw | Refusal:
    """A sound document as it is logged."""
    assert checked.workflow is not None
    encoded = msgspec.json.encode(with_defaults(checked.document, checked.workflow))
    if len(encoded) > definition_bytes_max:
        limit = definition_bytes_max // 1024
        return too_large(f"the definition has {len(encoded) // 1024} KiB, the limit is {limit} KiB")
    return msgspec.Raw(encoded)


def unsound(checked: Checked, errors: Sequence[Finding]) -> Refusal:
    """The refusal of a definition for these errors of it, with all else that its report says."""
    further = cast("dict[str, Any]", msgspec.to_builtins(checked.report))
    further.pop("errors")
    return refused("Definition invalid", msgspec.to_builtins(errors), **further)


def refused(title: str, errors: Sequence[Error], **further: Any) -> Refusal:
    """A refusal for these errors, of which its text tells the first; each has a `message` and a `path`."""
    first = errors[0]
    others = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return invalid(title, f"{first['message']} (at {first['path']}){others}", list(errors), **further)


def webhooks(document: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and settings of each webhook trigger that can be read so far."""
    triggers = cast("dict[str, Any]", document).get("triggers") if isinstance(document, dict) else None
    for trigger in cast("list[object]", triggers) if isinstance(triggers, list) else ():
        if not isinstance(trigger, dict):
            continue
        fields = cast("dict[str, Any]", trigger)
        name, config = fields.get("id"), fields.get("config")
        if fields.get("type") == "webhook" and isinstance(name, str) and isinstance(config, dict):
            yield name, cast("dict[str, Any]", config)
