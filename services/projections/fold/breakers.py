"""Circuit breakers: each event says all that there is to know of its breaker."""

from flowforge.events import BreakerClosed, BreakerHalfOpened, BreakerOpened

from infra.eventlog import StoredEvent
from services.projections.fold.values import clean
from services.projections.state import BreakerRow, ReadModels


def breaker_changed(
    models: ReadModels, stored: StoredEvent, event: BreakerOpened | BreakerHalfOpened | BreakerClosed
) -> None:
    """It opened, lets one attempt through, or closed."""
    state, until, failures_count, error = "closed", None, None, None
    if isinstance(event, BreakerOpened):
        state, until, failures_count, error = "open", event.open_until, event.failures_count, clean(event.error) or None
    elif isinstance(event, BreakerHalfOpened):
        state, until = "half_open", event.trial_until
    run_id, node_id = (None, None) if isinstance(event, BreakerClosed) else (event.run_id, event.node_id)
    models.changes.breakers[event.breaker] = BreakerRow(
        event.breaker, state, stored.recorded_at, until, failures_count, error, run_id, node_id, stored.position
    )
