"""OpenTelemetry's SDK, in one place: finished spans go through its batches to its exporters.

They are made as `ReadableSpan`, not by a tracer: they are over when they are recorded and have the ids that they were known
under, and a tracer's span costs four times as much.
"""

import importlib
import os
import socket
from collections.abc import Sequence

from opentelemetry import context as current
from opentelemetry import trace as api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status, StatusCode

from infra.telemetry.context import TraceContext
from infra.telemetry.file_exporter import FileExporter
from infra.telemetry.settings import TraceSettings
from infra.telemetry.tracing import Attributes, Kind

_MODULES = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}
_KINDS = {kind: api.SpanKind(kind.value) for kind in Kind}
_UNSET = Status(StatusCode.UNSET)
_SAMPLED = api.TraceFlags(api.TraceFlags.SAMPLED)


class Exporting:
    """Batches of their own, beside whatever else the process may trace with. Raises ImportError, OSError."""

    def __init__(self, service: str, namespace: str, settings: TraceSettings) -> None:
        self._resource = Resource.create(
            {
                "service.name": settings.service_name or f"flowforge-{service}",
                "service.namespace": namespace,
                "service.instance.id": f"{socket.gethostname().partition('.')[0]}-{os.getpid()}",
            }
        )
        self._scope = InstrumentationScope("flowforge")
        self._processors = [BatchSpanProcessor(exporter) for exporter in _exporters(settings)]

    def record(
        self,
        name: str,
        own: TraceContext,
        parent: TraceContext | None,
        *,
        kind: Kind,
        attributes: Attributes,
        links: Sequence[TraceContext],
        error: str | None,
        began_ns: int,
        ended_ns: int,
    ) -> None:
        """Hand a span to the batches. Never waits: what is too much for them is dropped and told by the SDK."""
        span = ReadableSpan(
            name,
            context=_of(own),
            parent=None if parent is None else _of(parent),
            resource=self._resource,
            attributes=attributes,
            links=[api.Link(_of(link)) for link in links],
            kind=_KINDS[kind],
            instrumentation_scope=self._scope,
            status=_UNSET if error is None else Status(StatusCode.ERROR, error),
            start_time=began_ns,
            end_time=ended_ns,
        )
        for processor in self._processors:
            processor.on_end(span)

    def make_current(self, context: TraceContext) -> None:
        """What else in this task is traced with OpenTelemetry, such as clients of libraries, hangs below this span."""
        current.attach(api.set_span_in_context(api.NonRecordingSpan(_of(context))))

    def end(self) -> None:
        """Send what waits, and let go."""
        for processor in self._processors:
            processor.shutdown()


def _of(context: TraceContext) -> api.SpanContext:
    return api.SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=_SAMPLED)


def _exporters(settings: TraceSettings) -> list[SpanExporter]:
    found: list[SpanExporter] = []
    if settings.file is not None:
        found.append(FileExporter(settings.file))
    if "console" in settings.exporters:
        found.append(ConsoleSpanExporter())
    if "otlp" in settings.exporters:
        found.append(importlib.import_module(_MODULES[settings.protocol]).OTLPSpanExporter())
    return found
