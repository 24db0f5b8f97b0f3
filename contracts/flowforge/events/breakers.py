"""Circuit breakers: stream type `breaker`, one per job type or host that nodes with a `circuit_breaker` call; written by
execution. `breaker` is its name, `job:<job type>` or `host:<host>`."""

from datetime import datetime
from uuid import UUID

from flowforge.events.event import Event, Instance


class BreakerOpened(Event, kw_only=True, frozen=True):
    """So many failures in a row, the last that of `run_id`: nothing is handed out before `open_until`."""

    breaker: str
    open_until: datetime
    failures_count: int
    error: str = ""
    run_id: UUID
    node_id: str


class BreakerHalfOpened(Event, kw_only=True, frozen=True):
    """One attempt was let through, to try. Unless it ends before `trial_until`, another one follows."""

    breaker: str
    trial_until: datetime
    run_id: UUID
    node_id: str
    instance: Instance = ""
    attempt: int = 1


class BreakerClosed(Event, kw_only=True, frozen=True):
    """The trial went well: attempts are handed out again."""

    breaker: str
