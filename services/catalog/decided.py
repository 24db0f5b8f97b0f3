"""What follows from a command about something that is saved under an id. Pure."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from services.catalog.validation import Finding

EventT_co = TypeVar("EventT_co", covariant=True)


class Decided(msgspec.Struct, Generic[EventT_co], frozen=True):
    """What is to be logged (nothing, where nothing would change), and what the author should look at."""

    events: Sequence[EventT_co]
    warnings: list[Finding] = []
