"""What is kept for how long: stream type `retention`, one stream, written with the deed itself, in one transaction."""

from datetime import datetime
from uuid import UUID

from flowforge.events.event import Event


class RunsArchived(Event, kw_only=True, frozen=True):
    """The events of these runs, which have ended, are in a file now and no longer in the log. `sha256` is that of the file
    as it was written; the positions are those of its first and its last event, between which other events remain."""

    archive: str
    sha256: str
    runs: list[UUID]
    events_count: int
    first_position: int
    last_position: int


class RunsRestored(Event, kw_only=True, frozen=True):
    """They are in the log again, where they were."""

    archive: str
    runs: list[UUID]


class RetentionApplied(Event, kw_only=True, frozen=True):
    """What one pass of retention has removed. What was not to be removed at all has no limit here."""

    runs_ended_before: datetime | None = None
    runs_archived_count: int = 0
    decisions_before_position: int = 0
    """Decisions, and events that came in, are no longer listed from below it; the log has them still."""
    blobs_removed_count: int = 0
    blobs_removed_bytes: int = 0
