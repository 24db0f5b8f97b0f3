"""What the read models were at a past moment: the same fold over a stream as far as it went then. Pure."""

from collections.abc import Iterator, Sequence

from flowforge.events import decode

from infra.eventlog import StoredEvent
from services.projections.fold import fold
from services.projections.state import ReadModels

FOLD_COUNT_MAX = 1_000
"""So many events are folded before others have their turn."""


def folded(events: Sequence[StoredEvent]) -> Iterator[ReadModels]:
    """The read models of one stream: the same ones again and again, further each time."""
    models = ReadModels()
    for number, event in enumerate(events, 1):
        fold(models, event, decode(event.type, event.data))
        if number % FOLD_COUNT_MAX == 0:
            yield models
    yield models
