"""The event log: the only truth. Appended to, read, verified; never changed.

`MemoryEventLog` gives the same answers without a server, for tests.
"""

from infra.eventlog.connections import UnsuitableServer
from infra.eventlog.memory import MemoryEventLog
from infra.eventlog.moments import Moment, beyond, moment_of, until
from infra.eventlog.postgres import PostgresEventLog
from infra.eventlog.types import (
    Answer,
    Append,
    Appended,
    Conflict,
    DefinitionsChanged,
    Duplicate,
    EventLog,
    Head,
    NewEvent,
    PartUnavailable,
    Place,
    Snapshot,
    StoredEvent,
    StreamAppend,
    Unavailable,
)
from infra.eventlog.upcast import UPCASTERS, Upcasters, upcast

__all__ = [
    "UPCASTERS",
    "Answer",
    "Append",
    "Appended",
    "Conflict",
    "DefinitionsChanged",
    "Duplicate",
    "EventLog",
    "Head",
    "MemoryEventLog",
    "Moment",
    "NewEvent",
    "PartUnavailable",
    "Place",
    "PostgresEventLog",
    "Snapshot",
    "StoredEvent",
    "StreamAppend",
    "Unavailable",
    "UnsuitableServer",
    "Upcasters",
    "beyond",
    "moment_of",
    "until",
    "upcast",
]
