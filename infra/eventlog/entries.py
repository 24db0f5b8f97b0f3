"""An entry as it is stored (schema.sql), all that one group added to one stream, and the events in it."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from infra.eventlog.types import NewEvent, Place, StoredEvent
from infra.eventlog.upcast import Upcasters, upcast

TYPE_SEPARATOR = " "
DATA_SEPARATOR = b"\x1e"
"""JSON text cannot have it (RFC 7464)."""


def types_of(events: Sequence[NewEvent]) -> str:
    """Their types as one text."""
    return TYPE_SEPARATOR.join([event.type for event in events])


def patterns_of(types: Collection[str]) -> list[str]:
    """What `types_of` is like, with a blank on either side, where one of them is among these: for SQL's `like any`, which is
    cheaper than an array of them for every row."""
    escaped = (each.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for each in types)
    return [f"% {each} %" for each in escaped]


def data_of(events: Sequence[NewEvent]) -> bytes:
    """Their payloads as one text."""
    return DATA_SEPARATOR.join([event.data for event in events])


def schema_versions_of(events: Sequence[NewEvent]) -> list[int] | None:
    """None where all are 1."""
    versions = [event.schema_version for event in events]
    return None if versions.count(1) == len(versions) else versions


def last_place(position: int, joined_types: str, types: Collection[str]) -> Place:
    """The last event of an entry that is of these types, as one is; `position` is that of the entry."""
    each_type = joined_types.split(TYPE_SEPARATOR)
    at = max(number for number, event_type in enumerate(each_type, 1) if event_type in types)
    return Place(position - len(each_type) + at, each_type[at - 1])


def events_of(
    rows: Iterable[Sequence[Any]], upcasters: Upcasters, types: Collection[str] | None = None
) -> list[StoredEvent]:
    """The events of entries, in their order, upcast; with `types`, those of these types."""
    events: list[StoredEvent] = []
    for row in rows:
        position, stream_type, stream_id, version, joined_types, schema_versions, joined_data, *shared = row
        each_type = joined_types.split(TYPE_SEPARATOR)
        before = position - len(each_type)
        version_before = version - len(each_type)
        for n, (event_type, data) in enumerate(zip(each_type, joined_data.split(DATA_SEPARATOR), strict=True), 1):
            if types is not None and event_type not in types:
                continue
            schema_version = 1 if schema_versions is None else schema_versions[n - 1]
            if upcasters:
                schema_version, data = upcast(upcasters, event_type, schema_version, data)  # noqa: PLW2901
            events.append(
                StoredEvent(
                    before + n, stream_type, stream_id, version_before + n, event_type, schema_version, data, *shared
                )
            )
    return events
