"""What follows from a cause: the cause itself, one decision per trigger it concerns, and the runs that start (pure).

Deciding looks at the index, at what triggers remember, at the cause and at nothing else, so that the same question has the
same answer whenever it is asked: for a redelivered event, for a dry run, for "why not?".

`evaluating` is one trigger before one cause; `deciding` all that a cause concerns, with what they remember; `decided` is
what comes of it.
"""

from services.triggers.decide.decided import Decided
from services.triggers.decide.deciding import Chains, Deciding, Memories, SlotBook, decide_received
from services.triggers.decide.evaluating import FIRST_DEPTH, declined, evaluate, findings_of, told

__all__ = [
    "FIRST_DEPTH",
    "Chains",
    "Decided",
    "Deciding",
    "Memories",
    "SlotBook",
    "decide_received",
    "declined",
    "evaluate",
    "findings_of",
    "told",
]
