"""What the standard variables of OpenTelemetry ask for. Off unless an exporter is named, or an address to export to.

What makes no sense is told once and left aside: nothing here may keep a service from running. How the exporters batch and
where they send is read by the SDK itself (`OTEL_BSP_…`, `OTEL_EXPORTER_OTLP_…`, `OTEL_RESOURCE_ATTRIBUTES`).
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from infra.telemetry.sampling import DEFAULT, SAMPLERS, Sampling, sampling

EXPORTERS = ("otlp", "console", "none")
PROTOCOLS = ("http/protobuf", "grpc")
TRACE_FILE = "FLOWFORGE_TRACE_FILE"
_ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_log = logging.getLogger(__name__)


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`exporters`: `otlp` and `console`; `file`: where spans are appended as OTLP JSON lines."""

    exporters: tuple[str, ...] = ()
    file: Path | None = None
    protocol: str = PROTOCOLS[0]
    sampling: Sampling = sampling(DEFAULT)
    service_name: str | None = None

    @property
    def is_on(self) -> bool:
        return bool(self.exporters or self.file)


def trace_settings(environ: Mapping[str, str]) -> TraceSettings:
    """The settings in force."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return TraceSettings()
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return TraceSettings(
        exporters=_exporters(environ),
        file=Path(environ[TRACE_FILE]) if environ.get(TRACE_FILE) else None,
        protocol=_one_of("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, PROTOCOLS, PROTOCOLS[0]),
        sampling=_sampling(environ),
        service_name=environ.get("OTEL_SERVICE_NAME") or None,
    )


def _exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    given = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not given:
        return ("otlp",) if any(environ.get(name) for name in _ADDRESSES) else ()
    named = (_one_of("OTEL_TRACES_EXPORTER", name.strip(), EXPORTERS, "none") for name in given.split(","))
    return tuple(name for name in dict.fromkeys(named) if name != "none")


def _sampling(environ: Mapping[str, str]) -> Sampling:
    name = _one_of("OTEL_TRACES_SAMPLER", environ.get("OTEL_TRACES_SAMPLER"), SAMPLERS, DEFAULT)
    given = environ.get("OTEL_TRACES_SAMPLER_ARG") or "1"
    try:
        ratio = float(given)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        _log.warning("OTEL_TRACES_SAMPLER_ARG: %r is no number from 0 to 1; 1 is taken", given)
        ratio = 1.0
    return sampling(name, ratio)


def _one_of(variable: str, given: str | None, known: tuple[str, ...], default: str) -> str:
    text = (given or "").strip().lower()
    if not text or text in known:
        return text or default
    _log.warning("%s: %r is not known here; known are %s. %r is taken", variable, given, ", ".join(known), default)
    return default
