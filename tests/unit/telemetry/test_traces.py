"""What a traceparent says, which traces are recorded, and what the environment asks for."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from infra.telemetry import TraceContext, Tracing, derived_span, derived_trace, parse, start_tracing
from infra.telemetry.context import may_be_sampled
from infra.telemetry.sampling import SAMPLERS, sampling
from infra.telemetry.settings import trace_settings

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_is_read_and_written_alike():
    context = parse(GOOD)
    assert context == TraceContext(int(TRACE, 16), int(SPAN, 16))
    assert context is not None
    assert context.traceparent == GOOD
    assert context.child(1).traceparent == f"00-{TRACE}-0000000000000001-01"


@pytest.mark.parametrize(
    ("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_the_last_bit_says_whether_it_is_recorded(flags: str, is_sampled: bool):
    context = parse(f"00-{TRACE}-{SPAN}-{flags}")
    assert context is not None
    assert context.is_sampled is is_sampled
    assert may_be_sampled(f"00-{TRACE}-{SPAN}-{flags}") is is_sampled


@pytest.mark.parametrize(
    "text",
    [
        None, "", "nonsense", GOOD.upper(), GOOD[:-1], f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"{GOOD}-more", f"{GOOD}\n", f" {GOOD}",
    ],
)  # fmt: skip
def test_what_is_not_well_formed_is_no_trace(text: str | None):
    assert parse(text) is None


def test_a_later_version_may_say_more():
    assert parse(f"01-{TRACE}-{SPAN}-01-more") == parse(GOOD)


def test_ids_derive_from_what_they_stand_for():
    cause = uuid4()
    assert derived_trace(cause) == derived_trace(UUID(cause.hex))
    assert derived_trace(cause) != derived_trace(uuid4())
    assert derived_span(cause, "a", 1) == derived_span(cause, "a", "1")
    assert len({derived_span(cause), derived_span(cause, "a", 1), derived_span(cause, "a", 2)}) == 3


def test_a_tenth_is_about_a_tenth_of_time_ordered_causes():
    tenth = sampling("parentbased_traceidratio", 0.1)
    start = 0x0190_0000_0000_7000_8000_0000_0000_0000
    taken = sum(tenth.takes(derived_trace(UUID(int=start + (n << 80) + n))) for n in range(5_000))
    assert 400 < taken < 600


@pytest.mark.parametrize("name", SAMPLERS)
def test_each_sampler_decides_as_its_name_says(name: str):
    chosen = sampling(name, 0.5)
    assert chosen.takes(0) is not name.endswith("always_off")
    assert chosen.takes((1 << 64) - 1) is name.endswith("always_on")
    above = TraceContext((1 << 64) - 1, 1, is_sampled=True)
    assert chosen.goes_on(above) is (name.startswith("parentbased") or name == "always_on")
    assert chosen.goes_on(TraceContext(1, 1, is_sampled=False)) is (name in {"always_on", "traceidratio"})


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, ()),
    ],
)
def test_traces_are_off_unless_an_exporter_or_an_address_is_named(environ: dict[str, str], exporters: tuple[str, ...]):
    assert trace_settings(environ).exporters == exporters
    assert trace_settings(environ).is_on is bool(exporters)


def test_what_makes_no_sense_is_told_and_keeps_nothing_from_running(caplog: pytest.LogCaptureFixture):
    found = trace_settings({"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_TRACES_SAMPLER_ARG": "many"})
    assert found.sampling == sampling("parentbased_always_on")
    assert "'sometimes' is not known" in caplog.text
    assert "'many' is no number" in caplog.text


def test_a_service_without_traces_has_no_tracing():
    assert start_tracing("x", "ns", {}) is None


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert start_tracing("x", "ns", {"FLOWFORGE_TRACE_FILE": str(tmp_path / "no" / "file")}) is None
    assert "cannot be written" in caplog.text


def test_an_exporter_that_is_not_installed_is_told_with_the_remedy(caplog: pytest.LogCaptureFixture):
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert start_tracing("x", "ns", asked) is None
    assert "pip install 'flowforge-server[otlp]'" in caplog.text


def test_only_recorded_traces_are_followed(tmp_path: Path):
    tracing = start_tracing("x", "ns", {"FLOWFORGE_TRACE_FILE": str(tmp_path / "t")})
    assert isinstance(tracing, Tracing)
    assert tracing.followed(GOOD) == parse(GOOD)
    assert tracing.followed(f"{GOOD[:-1]}0") is None
    assert tracing.followed("00-x-01") is None
    assert tracing.followed(None) is None
    tracing.end()


def test_a_collector_that_is_away_keeps_the_end_from_nothing(tmp_path: Path):
    tracing = start_tracing("x", "ns", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert tracing is not None
    context = parse(GOOD)
    assert context is not None
    tracing.record("a", context.child(1), context, began_ns=1)
    tracing.end()
