"""Spans of this process. What happened is recorded once it is over, with the ids that it was known under meanwhile.

A service that is not asked for traces has no `Tracing`, and spends one comparison with None per turn. Where it has one, what
is not sampled costs a look at a `traceparent`; the SDK is called for sampled spans only.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

from infra.telemetry.context import TraceContext, derived_trace, may_be_sampled, parse
from infra.telemetry.sampling import Sampling
from infra.telemetry.settings import TraceSettings, trace_settings

if TYPE_CHECKING:
    from infra.telemetry.exporting import Exporting

END_WAIT_S = 1.0
LINKS_MAX = 128
"""As many as the SDK keeps of one span."""
REMEDY = "install what is missing (pip install 'flowforge-server[otlp]'), or unset OTEL_EXPORTER_OTLP_ENDPOINT"
Attribute = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Attribute]
_log = logging.getLogger(__name__)


class Kind(Enum):
    """What a span is to its neighbours, as OpenTelemetry has it."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2
    PRODUCER = 3
    CONSUMER = 4


class Tracing:
    """Records spans of the traces that are sampled."""

    def __init__(self, sampling: Sampling, exporting: "Exporting") -> None:
        self.sampling = sampling
        self._exporting = exporting

    def followed(self, traceparent: str | None) -> TraceContext | None:
        """The span that this is sent along by, where its trace is recorded; else None."""
        if traceparent is None or (self.sampling.follows_parent and not may_be_sampled(traceparent)):
            return None
        given = parse(traceparent)
        if given is None or not self.sampling.goes_on(given):
            return None
        return TraceContext(given.trace_id, given.span_id)

    def begun(self, first_cause: UUID) -> int | None:
        """The id of the trace that begins with this cause, where it is recorded."""
        trace_id = derived_trace(first_cause)
        return trace_id if self.sampling.takes(trace_id) else None

    def record(
        self,
        name: str,
        own: TraceContext,
        parent: TraceContext | None,
        *,
        began_ns: int,
        ended_ns: int | None = None,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[TraceContext] = (),
        error: str | None = None,
    ) -> None:
        """A span that is over: from `began_ns` to `ended_ns` (now), nanoseconds since 1970; failed with an `error`."""
        ended_ns = time.time_ns() if ended_ns is None else ended_ns
        self._exporting.record(
            name, own, parent, kind=kind, attributes=attributes or {}, links=links[:LINKS_MAX], error=error,
            began_ns=min(began_ns, ended_ns), ended_ns=ended_ns,
        )  # fmt: skip

    def make_current(self, context: TraceContext) -> None:
        """Until the task ends, what it traces with OpenTelemetry of its own hangs below this span."""
        self._exporting.make_current(context)

    def end(self) -> None:
        """Send what is recorded; waits for the exporter, `END_WAIT_S` at most: a collector may be away."""
        ending = threading.Thread(target=self._exporting.end, daemon=True, name="flowforge-spans-end")
        ending.start()
        ending.join(END_WAIT_S)


def new_span() -> int:
    """The id of a span that nobody needs to compute."""
    return random.getrandbits(64) or 1


def start_tracing(service: str, namespace: str, environ: Mapping[str, str] | None = None) -> Tracing | None:
    """The spans of this process as the environment asks for them; None where it does not, or where they cannot be had."""
    settings = trace_settings(os.environ if environ is None else environ)
    return started(service, namespace, settings) if settings.is_on else None


def started(service: str, namespace: str, settings: TraceSettings) -> Tracing | None:
    """The same for these settings; that it cannot be done is told, and keeps nothing from running."""
    try:
        from infra.telemetry.exporting import Exporting  # noqa: PLC0415  the SDK takes its time, and may not be there

        return Tracing(settings.sampling, Exporting(service, namespace, settings))
    except ImportError as missing:
        _log.warning("no traces are recorded, %s is not installed: %s", missing.name, REMEDY)
    except OSError as fault:
        _log.warning("no traces are recorded, %s cannot be written: %s", settings.file, fault)
    return None
