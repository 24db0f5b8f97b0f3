"""Traces and logs of a process: OpenTelemetry where an exporter is named, JSON lines where nobody sits in front of them.

`context` (W3C Trace Context, and ids that derive from causes) and `sampling` are pure; `settings` reads `OTEL_*`; `tracing`
records spans, `exporting` sends them; `jobs` are the spans of a worker; `logs` is how a record is written.
"""

from infra.telemetry.context import TraceContext, derived_span, derived_trace, parse
from infra.telemetry.tracing import Kind, Tracing, start_tracing

__all__ = ["Kind", "TraceContext", "Tracing", "derived_span", "derived_trace", "parse", "start_tracing"]
