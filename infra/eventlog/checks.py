"""What no log takes, whatever is in it: mistakes of the caller, refused before anything is sent."""

from collections.abc import Sequence
from uuid import UUID

from infra.eventlog.types import Append


def checked_streams(groups: Sequence[Append]) -> set[UUID]:
    """The streams that the call names. Raises ValueError for a group without events, a stream or an identity named twice
    in a group, and a `recorded_at` without a time zone.
    """
    named: set[UUID] = set()
    for group in groups:
        streams = group.streams
        if not streams:
            raise ValueError("a group without streams appends nothing")
        if group.recorded_at.tzinfo is None:
            raise ValueError("recorded_at is without a time zone")
        for stream in streams:
            if not stream.events:
                raise ValueError(f"nothing to append to stream {stream.stream_id}")
            for event in stream.events:
                if not event.type or " " in event.type:
                    raise ValueError(f"{event.type!r} is no event type: it must be one word, without blanks")
            named.add(stream.stream_id)
        if len(streams) > 1:
            _check_names(group)
    return named


def _check_names(group: Append) -> None:
    if len({stream.stream_id for stream in group.streams}) != len(group.streams):
        raise ValueError("a stream is named twice in one group: merge its events into one append")
    identities = [stream.identity for stream in group.streams if stream.identity is not None]
    if len(set(identities)) != len(identities):
        raise ValueError("an identity is named twice in one group")
