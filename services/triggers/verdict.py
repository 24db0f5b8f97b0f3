"""Why a trigger does not start a run (pure)."""

import msgspec
from flowforge.events import Decision


class NotFired(msgspec.Struct, frozen=True, gc=False):
    """The answer of a trigger that starts no run, or not now: a reason in the words of interface.md 2.1, and more of it."""

    decision: Decision
    reason: str
    detail: str = ""


class Wanted(LookupError):
    """What a decision needs and is not in memory: causes of long ago, by event id. The next `load` has it."""


class Unsettled(LookupError):
    """The answer rests on what is decided in this turn and not logged yet: to be asked again once it is."""
