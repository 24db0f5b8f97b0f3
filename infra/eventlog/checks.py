"""What no log takes, whatever is in it: mistakes of the caller, refused before anything is sent."""

from collections.abc import Sequence
from uuid import UUID

from infra.eventlog.types import Append


def checked_streams(groups: Sequence[Append]) -> set[UUID]:
    """The streams that the call names. Raises ValueError for a group without events, a stream named twice in the call
    or an identity twice in a group, and a `recorded_at` without a time zone.
    """
    named: set[UUID] = set()
    streams_count = 0
    for group in groups:
        streams = group.streams
        if not streams:
            raise ValueError("a group without streams appends nothing")
        if group.recorded_at.tzinfo is None:
            raise ValueError("recorded_at is without a time zone")
        for stream in streams:
            if not stream.events:
                raise ValueError(f"nothing to append to stream {stream.stream_id}")
            named.add(stream.stream_id)
        if len(streams) > 1:
            _check_identities(group)
        streams_count += len(streams)
    if len(named) != streams_count:
        raise ValueError("a stream is named twice in one call: merge its events into one append")
    return named


def _check_identities(group: Append) -> None:
    identities = [stream.identity for stream in group.streams if stream.identity is not None]
    if len(set(identities)) != len(identities):
        raise ValueError("an identity is named twice in one group")
