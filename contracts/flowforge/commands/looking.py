"""Questions to projections, and a dead letter handled once more."""

from datetime import datetime
from uuid import UUID

from flowforge.command import Command


class RetryDeadLetter(Command, kw_only=True, frozen=True):
    """To the service that put the message aside: handle it once more. Answers `{id, service, position}`.

    `stream_id` is the stream of the dead letter. Refused until a message that was retried has failed again.
    """

    dead_letter_id: str
    service: str
    stream_id: UUID


class FindDeadLetter(Command, kw_only=True, frozen=True):
    """To projections: where a dead letter stands. Answers `{stream_id, service, status}`."""

    dead_letter_id: UUID


class FindRuns(Command, kw_only=True, frozen=True):
    """To projections: the newest runs that are like this, at most `limit`. Answers `{run_ids, unknown, has_more}`.

    A filter that is None asks for nothing; `labels` must all be there. `unknown` are those of `run_ids` that no run has.
    """

    workflow_id: str | None = None
    statuses: list[str] | None = None
    trigger_type: str | None = None
    labels: dict[str, str] = {}
    since: datetime | None = None
    until: datetime | None = None
    run_ids: list[UUID] | None = None
    limit: int
