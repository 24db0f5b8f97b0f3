"""What every event is."""

import msgspec

Instance = str
"""Which instance of a node inside a map: "" for the node itself, "3" for item 3 of its `for_each`."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Anything in the log."""
