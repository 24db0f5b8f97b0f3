"""What the processes of the services count of themselves, as metric families: each service once, by its owner."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from infra.bus.health import ANSWERING, Health
from infra.telemetry.measures import BUCKETS_S, Measured, Times

READS = "reads"
SERVICE = "service"
_BOUNDS = (*map(str, BUCKETS_S), "+Inf")
_COUNTS = {
    "messages_total": "Messages that a service has turned.",
    "turns_failed_total": "Turns that came to nothing; their messages come again.",
    "appends_failed_total": "Tries to log something that the event log did not answer.",
    "publishes_repeated_total": "Messages published again, since nobody acknowledged them.",
    "publishes_refused_total": "Publications that NATS refused.",
    "quarantined_total": "Messages put aside as dead letters.",
    "bugs_total": "Messages whose handling failed for a bug.",
}
_TIMES = {
    "turn_duration_seconds": "How long turns took, from taking messages to having said what follows.",
    "http_request_duration_seconds": "How long requests took; of streams, until they began.",
}
_PROCESS = {
    "process_resident_memory_bytes": "Resident memory of a service's process.",
    "process_start_time_seconds": "When it was started, seconds since 1970.",
}


def process_families(processes: Sequence[Health], own: Measured, *, were_asked: bool) -> Iterator[Metric]:
    """Nothing is said of who is up unless all `were_asked`. `own` is the process that answers, which hosts the reads;
    whoever lives in it as well is told once."""
    owners = {one.service: one for one in processes if one.is_owner}
    yield _gauge(
        "flowforge_service_up", "Whether a service answers, and its process is the one that works.", [SERVICE],
        [([name], int(name in owners and owners[name].is_ready)) for name in ANSWERING if were_asked],
    )  # fmt: skip
    yield _gauge(
        "flowforge_service_processes", "Processes of a service that answer, stand-bys among them.", [SERVICE],
        [([name], sum(one.service == name for one in processes)) for name in ANSWERING if were_asked],
    )  # fmt: skip
    yield _gauge(
        "flowforge_service_waiting_messages", "Messages that a service has taken and not turned.", [SERVICE],
        [([name], one.waiting) for name, one in sorted(owners.items())],
    )  # fmt: skip
    apart = {name: one.measured for name, one in owners.items() if one.measured.pid != own.pid or name != "gateway"}
    yield from _measured({**apart, READS: own})


def _measured(processes: dict[str, Measured]) -> Iterator[Metric]:
    memory, started = (_gauge(f"flowforge_{name}", text, [SERVICE], ()) for name, text in _PROCESS.items())
    cpu = CounterMetricFamily("flowforge_process_cpu_seconds", "Processor time of a process.", labels=[SERVICE])
    for name, one in sorted(processes.items()):
        memory.add_metric([name], one.memory_bytes)
        started.add_metric([name], one.started_at_s)
        cpu.add_metric([name], one.cpu_s)
    yield from (memory, started, cpu)
    for name, text in _COUNTS.items():
        counter = CounterMetricFamily(f"flowforge_{name.removesuffix('_total')}", text, labels=[SERVICE])
        for service, one in sorted(processes.items()):
            counter.add_metric([service], sum(count.value for count in one.counts if count.name == name))
        yield counter
    for name, text in _TIMES.items():
        yield _histogram(f"flowforge_{name}", text, processes, name)


def _histogram(name: str, text: str, processes: dict[str, Measured], wanted: str) -> HistogramMetricFamily:
    found = [
        (service, times) for service, one in sorted(processes.items()) for times in one.times if times.name == wanted
    ]
    labels = [SERVICE, *(label for label, _ in found[0][1].labels)] if found else [SERVICE]
    family = HistogramMetricFamily(name, text, labels=labels)
    for service, times in found:
        family.add_metric([service, *(value for _, value in times.labels)], _cumulative(times), times.sum_s)
    return family


def _cumulative(times: Times) -> list[tuple[str, float]]:
    """As Prometheus has it: each bucket with all below it."""
    return list(zip(_BOUNDS, accumulate(times.counts), strict=True))


def _gauge(name: str, text: str, labels: list[str], samples: Iterable[tuple[list[str], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
