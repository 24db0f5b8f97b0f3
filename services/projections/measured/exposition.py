"""Metric families in the text format of Prometheus. Names end with their unit; counters begin anew with the process."""

from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from infra.telemetry.measures import Measured
from services.projections.measured.gathered import Standing
from services.projections.measured.processes import process_families
from services.projections.measured.tally import Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BREAKER_STATES = ("closed", "half_open", "open")


def exposed(tally: Tally, standing: Standing, own: Measured) -> bytes:
    """The whole page. `own`: what the process that answers counted of itself."""
    registry = CollectorRegistry()
    processes = process_families(standing.processes, own, were_asked=standing.is_nats_up)
    families = (*_counted(tally), *_stands(standing), *_listens(standing), *processes)
    registry.register(_Families([*families]))
    return generate_latest(registry)


class _Families:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _counted(tally: Tally) -> Iterator[Metric]:
    events = CounterMetricFamily("flowforge_events", "Events logged, by type.", labels=["type"])
    for kind, count in sorted(tally.events.items()):
        events.add_metric([kind], count)
    yield events
    decisions = CounterMetricFamily(
        "flowforge_decisions", "Decisions of triggers, by decision and reason.", labels=["decision", "reason"]
    )
    for (decision, reason), count in sorted(tally.decisions.items()):
        decisions.add_metric([decision, reason], count)
    yield decisions
    runs = CounterMetricFamily("flowforge_runs_ended", "Runs that ended, by status.", labels=["status"])
    for status, count in sorted(tally.runs.items()):
        runs.add_metric([status], count)
    yield runs
    durations = HistogramMetricFamily(
        "flowforge_node_duration_seconds",
        "How long attempts took from their beginning to the end of their node, by job type and status.",
        labels=["job_type", "status"],
    )
    for (job_type, status), each in sorted(tally.durations.items()):
        durations.add_metric([job_type, status], each.cumulative(), each.sum_s)
    yield durations
    yield CounterMetricFamily(
        "flowforge_events_not_counted",
        "Events left out of the counts, since too many came at once.",
        value=tally.skipped,
    )


def _stands(standing: Standing) -> Iterator[Metric]:
    yield GaugeMetricFamily("flowforge_log_position", "Position of the last event of the log.", standing.log_position)
    yield GaugeMetricFamily(
        "flowforge_projections_lag_events", "Events that the read models do not have yet.",
        max(standing.log_position - standing.projected_position, 0),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "flowforge_projections_lag_seconds", "Age of the first event that the read models do not have yet.",
        standing.projected_lag_s,
    )  # fmt: skip
    yield _labelled(
        "flowforge_cursor_lag_events", "Events after the position that a service has kept.", ["cursor"],
        [([name], max(standing.log_position - position, 0)) for name, position in sorted(standing.cursors.items())],
    )  # fmt: skip
    yield _labelled(
        "flowforge_active_runs", "Runs that have not ended, by status.", ["status"],
        [([status], count) for status, count in standing.active_runs.items()],
    )  # fmt: skip
    yield _labelled(
        "flowforge_breaker_state", "Circuit breakers: 1 for the state that each is in.", ["breaker", "state"],
        [([name, state], int(state == status)) for name, status in standing.breakers for state in _BREAKER_STATES],
    )  # fmt: skip
    yield GaugeMetricFamily("flowforge_dead_letters_open", "Messages put aside and not retried.", standing.dead_letters)
    yield GaugeMetricFamily("flowforge_approvals_open", "Approvals that wait for a person.", standing.approvals)
    yield _labelled(
        "flowforge_slots", "Slots of workflows and pools that are held, and runs that wait for one.", ["of", "state"],
        [([of, state], count) for of, state, count, _ in standing.slots],
    )  # fmt: skip
    yield _labelled(
        "flowforge_slots_limit", "How many slots there are.", ["of"],
        [([of], limit) for of, limit in {of: limit for of, _, _, limit in standing.slots}.items()],
    )  # fmt: skip
    yield _labelled(
        "flowforge_queue_depth", "Jobs that wait in a queue for a worker.", ["consumer"],
        [([one.name], one.pending) for one in standing.queues],
    )  # fmt: skip
    yield _labelled(
        "flowforge_queue_taken", "Jobs of a queue that workers have.", ["consumer"],
        [([one.name], one.unacknowledged) for one in standing.queues],
    )  # fmt: skip
    yield _labelled(
        "flowforge_queue_workers_waiting", "Requests of workers for a job.", ["consumer"],
        [([one.name], one.waiting) for one in standing.queues],
    )  # fmt: skip


def _listens(standing: Standing) -> Iterator[Metric]:
    yield GaugeMetricFamily("flowforge_nats_up", "Whether NATS answers.", int(standing.is_nats_up))
    yield _labelled(
        "flowforge_consumer_lag_messages", "Messages that a service has yet to handle.", ["stream", "consumer"],
        [([one.stream, one.name], one.pending + one.unacknowledged) for one in standing.consumers],
    )  # fmt: skip


def _labelled(name: str, text: str, labels: list[str], samples: Iterable[tuple[list[str], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
