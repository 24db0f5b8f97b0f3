"""Old event shapes become new ones when they are read; what is logged is never rewritten.

An upcaster turns the JSON of one schema version of one event type into that of the next. A reader applies the chain
until none is left, so a shape of five years ago costs five small steps and no special case anywhere else.
"""

from collections.abc import Callable, Mapping

Upcaster = Callable[[bytes], bytes]
Upcasters = Mapping[tuple[str, int], Upcaster]
"""(event type, schema version) -> what makes it the next schema version."""

UPCASTERS: Upcasters = {}
"""Every shape FlowForge ever wrote and no longer writes. Add an entry together with a frozen sample in the tests."""


def upcast(upcasters: Upcasters, event_type: str, schema_version: int, data: bytes) -> tuple[int, bytes]:
    """The newest schema version of the event and its data in that shape."""
    while (step := upcasters.get((event_type, schema_version))) is not None:
        data = step(data)
        schema_version += 1
    return schema_version, data
