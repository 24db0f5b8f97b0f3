"""Spans of what came into the read models: one for each traced run (or other group) in a batch, below its own span."""

import time
from collections.abc import Sequence

from infra.eventlog import StoredEvent
from infra.telemetry import Kind, Tracing
from infra.telemetry.context import may_be_sampled
from infra.telemetry.tracing import new_span

SPANS_MAX = 100
"""Of one batch; a longer one is a rebuild that nobody follows."""


class ProjectorSpans:
    """Recorded once rows and checkpoint are committed."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    def taken(self, events: Sequence[StoredEvent], began_ns: int) -> None:
        """These events are in the read models."""
        traced: dict[str, list[StoredEvent]] = {}
        for event in events:
            if event.traceparent is not None and may_be_sampled(event.traceparent):
                traced.setdefault(event.traceparent, []).append(event)
        ended_ns = time.time_ns()
        for traceparent in list(traced)[:SPANS_MAX]:
            parent, its = self._tracing.followed(traceparent), traced[traceparent]
            if parent is not None:
                self._tracing.record(
                    "projections batch", parent.child(new_span()), parent, began_ns=began_ns, ended_ns=ended_ns,
                    kind=Kind.CONSUMER,
                    attributes={
                        "flowforge.position": its[-1].position,
                        "flowforge.events_count": len(its),
                        "flowforge.batch.events_count": len(events),
                    },
                )  # fmt: skip
