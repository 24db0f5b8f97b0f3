"""One call of `eventlog.append` (append.sql): groups as parallel arrays, and its row of arrays as answers.

The smallest call, a few events for one stream, has a function and parameters of its own, for less than two thirds of the
server's time.
"""

import os
from collections.abc import Sequence
from typing import Any

from infra.eventlog.entries import data_of, schema_versions_of, types_of
from infra.eventlog.types import Answer, Append, Appended, Conflict, DefinitionsChanged, Duplicate

SALT_BYTES = 16
APPEND = f"select * from eventlog.append({', '.join(f'${number}' for number in range(1, 20))})"  # noqa: S608
"""Its parameters are what `arguments` gives."""
APPEND_ONE = f"select * from eventlog.append_one({', '.join(f'${number}' for number in range(1, 13))})"  # noqa: S608
"""Its parameters are what `arguments_of_one` gives."""
ENTRY_EVENTS_MAX = 100
"""More that are added to a stream at once become several entries: who reads a few of them need not take apart all."""
ONE_EVENTS_MAX = 32
"""It takes its events one by one, which is dearer for many."""


def arguments(groups: Sequence[Append]) -> tuple[Any, ...]:
    """The parameters of `APPEND`; the salts are made here, where randomness is cheap."""
    stream_group: list[int] = []
    streams = [stream for group in groups for stream in group.streams]
    for group_number, group in enumerate(groups, 1):
        stream_group.extend([group_number] * len(group.streams))
    entries = [
        (number, stream.events[begin : begin + ENTRY_EVENTS_MAX])
        for number, stream in enumerate(streams, 1)
        for begin in range(0, len(stream.events), ENTRY_EVENTS_MAX)
    ]
    return (
        [group.recorded_at for group in groups],
        [group.correlation_id for group in groups],
        [group.causation_id for group in groups],
        [group.actor for group in groups],
        [group.traceparent for group in groups],
        [group.definitions_position for group in groups],
        [group.changes_definitions for group in groups],
        stream_group,
        [stream.stream_type for stream in streams],
        [stream.stream_id for stream in streams],
        [stream.expected_version for stream in streams],
        [len(stream.events) for stream in streams],
        [stream.identity for stream in streams],
        [number for number, _ in entries],
        [len(events) for _, events in entries],
        [types_of(events) for _, events in entries],
        [data_of(events) for _, events in entries],
        [_as_text(schema_versions_of(events)) for _, events in entries],
        os.urandom(SALT_BYTES * sum(len(events) for _, events in entries)),
    )


def _as_text(versions: Sequence[int] | None) -> str | None:
    return None if versions is None else " ".join(map(str, versions))


def is_one(groups: Sequence[Append]) -> bool:
    """Whether `APPEND_ONE` can take the call."""
    if len(groups) != 1:
        return False
    [group] = groups
    if len(group.streams) != 1 or group.definitions_position is not None or group.changes_definitions:
        return False
    [stream] = group.streams
    return stream.identity is None and len(stream.events) <= ONE_EVENTS_MAX


def arguments_of_one(group: Append) -> tuple[Any, ...]:
    """The parameters of `APPEND_ONE`."""
    [stream] = group.streams
    events = stream.events
    return (
        group.recorded_at,
        group.correlation_id,
        group.causation_id,
        group.actor,
        group.traceparent,
        stream.stream_type,
        stream.stream_id,
        stream.expected_version,
        types_of(events),
        schema_versions_of(events),
        data_of(events),
        os.urandom(SALT_BYTES * len(events)),
    )


def answer_of_one(group: Append, row: Sequence[Any]) -> Answer:
    """The row that `APPEND_ONE` gave."""
    first_position, actual_version = row
    if first_position is None:
        return Conflict(group.streams[0].stream_id, actual_version)
    return Appended([first_position])


def answers(groups: Sequence[Append], row: Sequence[Any]) -> list[Answer]:
    """The row that `APPEND` gave, as one answer per group."""
    positions, refusals, refused_at, refused_stream = row
    given: list[Answer] = []
    first_stream = 0
    for number, group in enumerate(groups):
        next_stream = first_stream + len(group.streams)
        refusal = refusals[number] if refusals is not None else "-"
        match refusal:
            case "-":
                given.append(Appended(positions[first_stream:next_stream]))
            case "c":
                conflicting = group.streams[refused_stream[number] - 1 - first_stream]
                given.append(Conflict(conflicting.stream_id, refused_at[number]))
            case "d":
                given.append(Duplicate(refused_at[number]))
            case "o":
                given.append(DefinitionsChanged(refused_at[number]))
            case _:
                raise AssertionError(f"eventlog.append answered {refusal!r}")
        first_stream = next_stream
    return given
