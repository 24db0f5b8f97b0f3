"""What no log takes, whatever is in it: mistakes of the caller, refused before anything is sent."""

from collections.abc import Sequence
from uuid import UUID

from infra.eventlog.types import Append


def check_call(groups: Sequence[Append]) -> None:
    """Raise ValueError when a group has nothing to append or a stream is named twice in the call."""
    named: set[UUID] = set()
    streams_count = 0
    for group in groups:
        if not group.streams:
            raise ValueError("a group without streams appends nothing")
        if group.recorded_at.tzinfo is None:
            raise ValueError("recorded_at is without a time zone")
        for stream in group.streams:
            if not stream.events:
                raise ValueError(f"nothing to append to stream {stream.stream_id}")
            named.add(stream.stream_id)
        streams_count += len(group.streams)
    if len(named) != streams_count:
        raise ValueError("a stream is named twice in one call: merge its events into one append")
