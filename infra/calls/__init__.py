"""HTTP calls to addresses that somebody else chose: where they may go (`targets`), and how they are made (`calling`).

Who makes such calls: the built-in workers, for nodes; subscriptions, for those who want to be told.
"""

from infra.calls.calling import Answer, Calls, Misled, Request, TooLarge, Unreached, Unusable, within
from infra.calls.targets import TargetRefused, Targets, read_entry

__all__ = [
    "Answer",
    "Calls",
    "Misled",
    "Request",
    "TargetRefused",
    "Targets",
    "TooLarge",
    "Unreached",
    "Unusable",
    "read_entry",
    "within",
]
