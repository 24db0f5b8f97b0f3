"""OpenTelemetry's SDK, in one place: finished spans go through its tracer and its batches to the exporters."""

import importlib
import os
import socket
from collections.abc import Sequence

from opentelemetry import context as current
from opentelemetry import trace as api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from infra.telemetry.context import TraceContext
from infra.telemetry.file_exporter import FileExporter
from infra.telemetry.settings import TraceSettings
from infra.telemetry.tracing import Attributes, Kind

_MODULES = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}
_KINDS = {kind: api.SpanKind(kind.value) for kind in Kind}
_SAMPLED = api.TraceFlags(api.TraceFlags.SAMPLED)


class _Given(IdGenerator):
    """Ids are computed by us; the tracer asks for the one it is to take."""

    trace_id = span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class Exporting:
    """A tracer of its own, beside whatever else the process may trace with. Raises ImportError, OSError."""

    def __init__(self, service: str, namespace: str, settings: TraceSettings) -> None:
        self._ids = _Given()
        resource = Resource.create(
            {
                "service.name": settings.service_name or f"flowforge-{service}",
                "service.namespace": namespace,
                "service.instance.id": f"{socket.gethostname().partition('.')[0]}-{os.getpid()}",
            }
        )
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        for exporter in _exporters(settings):
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("flowforge")

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
        self._ids.trace_id, self._ids.span_id = own.trace_id, own.span_id
        span = self._tracer.start_span(
            name,
            context=api.set_span_in_context(_distant(parent)),
            kind=_KINDS[kind],
            attributes=attributes,
            links=[api.Link(_of(link)) for link in links],
            start_time=began_ns,
        )
        if error is not None:
            span.set_status(api.StatusCode.ERROR, error)
        span.end(ended_ns)

    def make_current(self, context: TraceContext) -> None:
        """What else in this task is traced with OpenTelemetry, such as clients of libraries, hangs below this span."""
        current.attach(api.set_span_in_context(_distant(context)))

    def end(self) -> None:
        """Send what waits, and let go."""
        self._provider.shutdown()


def _of(context: TraceContext) -> api.SpanContext:
    return api.SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=_SAMPLED)


def _distant(context: TraceContext | None) -> api.Span:
    return api.INVALID_SPAN if context is None else api.NonRecordingSpan(_of(context))


def _exporters(settings: TraceSettings) -> list[SpanExporter]:
    found: list[SpanExporter] = []
    if settings.file is not None:
        found.append(FileExporter(settings.file))
    if "console" in settings.exporters:
        found.append(ConsoleSpanExporter())
    if "otlp" in settings.exporters:
        found.append(importlib.import_module(_MODULES[settings.protocol]).OTLPSpanExporter())
    return found
