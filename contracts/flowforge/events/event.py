"""What every event is."""

import msgspec

Instance = str
"""Which instance of a node: "" for the node itself, "3" for item 3 of its `for_each`, or for iteration 3 of the loop that
it stands in; "3.0" for item or iteration 0 within that, and so on."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything in the log."""
