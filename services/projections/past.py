"""What the read models were at a past moment: the same fold over a stream as far as it went then. Pure.

A moment is a position of the log, or an instant: then everything counts that was recorded until then.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from flowforge.events import decode

from infra.eventlog import StoredEvent
from services.projections.fold import fold
from services.projections.state import ReadModels

Moment = int | datetime
FOLD_COUNT_MAX = 1_000
"""So many events are folded before others have their turn."""


def until(events: Sequence[StoredEvent], moment: Moment) -> Sequence[StoredEvent]:
    """What of a stream was there at that moment."""
    for count, event in enumerate(events):
        if is_after(event, moment):
            return events[:count]
    return events


def is_after(event: StoredEvent, moment: Moment) -> bool:
    """Whether it was logged after that moment."""
    return event.position > moment if isinstance(moment, int) else event.recorded_at > moment


def folded(events: Sequence[StoredEvent]) -> Iterator[ReadModels]:
    """The read models of one stream: the same ones again and again, further each time."""
    models = ReadModels()
    for number, event in enumerate(events, 1):
        fold(models, event, decode(event.type, event.data))
        if number % FOLD_COUNT_MAX == 0:
            yield models
    yield models
