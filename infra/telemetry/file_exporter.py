"""Spans in a file, one line of OTLP JSON per batch, as the collector's file receiver reads them.

Source: the OpenTelemetry protocol's JSON encoding: ids in hexadecimal, 64-bit integers as strings, enums as numbers. All
processes may append to one file.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, StatusCode

_FIRST_KIND = 1
"""OTLP counts kinds from 1 (internal), the API from 0."""


class FileExporter(SpanExporter):
    """Appends to `file`. Raises OSError where it cannot be opened."""

    def __init__(self, file: Path) -> None:
        self._handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One write per batch, so that lines of several processes do not mix."""
        try:
            os.write(self._handle, msgspec.json.encode(traces_data(spans)) + b"\n")
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """The file is closed with the process: a late batch must not meet the file of somebody else."""

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002  nothing is kept back
        return True


def traces_data(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """`TracesData` of the protocol: all spans of one process have one resource."""
    resource: Mapping[str, Any] = spans[0].resource.attributes if spans else {}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": "flowforge"}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }


def _span(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None
    status: dict[str, Any] = {}
    if span.status.status_code is not StatusCode.UNSET:
        status = {"code": span.status.status_code.value, "message": span.status.description or ""}
    return {
        **_ids(span.context),
        "parentSpanId": "" if span.parent is None else f"{span.parent.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + _FIRST_KIND,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "links": [_ids(link.context) for link in span.links],
        "status": status,
    }


def _ids(context: SpanContext) -> dict[str, str]:
    return {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}


def _attributes(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in given.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_value(item) for item in value]}}
