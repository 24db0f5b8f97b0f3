"""What Prometheus is told: valid text, counts that grow with what happens, and who is behind or away."""

import time
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from infra.embedded.cluster import Cluster
from tests.e2e.stranger import Stranger, bash, fresh, problem, transform, workflow

WAIT_S_MAX = 20.0
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(stranger: Stranger) -> Samples:
    answer = stranger.http.get("/metrics", params={"after": stranger.get("/api/stats")["log_position"]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


def until(stranger: Stranger, is_so: Any) -> Samples:
    deadline = time.monotonic() + WAIT_S_MAX
    while not is_so(samples := scraped(stranger)):
        assert time.monotonic() < deadline, samples
    return samples


def test_counts_grow_with_what_happens(stranger: Stranger):
    before = scraped(stranger)
    kind = fresh("metrics")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind, "filter": "event.data.n > 1"}}
    definition = workflow(transform("a"), bash("b", "sleep 0.02"), triggers=[trigger])
    failing = workflow(bash("b", "exit 3"))
    stranger.run(definition)
    stranger.run(failing)
    for n in (1, 2):
        body = {"specversion": "1.0", "id": fresh("id"), "source": "/m", "type": kind, "data": {"n": n}}
        assert stranger.send("POST", "/api/events", body).status_code == 202
    after = until(
        stranger, lambda now: value(now, "flowforge_runs_ended_total", status="completed")
        >= value(before, "flowforge_runs_ended_total", status="completed") + 2,
    )  # fmt: skip

    def grew(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grew("flowforge_runs_ended_total", status="failed") == 1
    assert grew("flowforge_decisions_total", decision="fired", reason="") == 3
    assert grew("flowforge_decisions_total", decision="not_matched", reason="") == 1
    assert grew("flowforge_events_total", type="EventReceived") == 2
    assert grew("flowforge_node_duration_seconds_count", job_type="script", status="completed") == 2
    assert grew("flowforge_node_duration_seconds_count", job_type="script", status="failed") == 1
    assert grew("flowforge_node_duration_seconds_bucket", job_type="script", status="completed", le="3600.0") == 2
    assert grew("flowforge_node_duration_seconds_sum", job_type="script", status="completed") >= 0.04


def test_how_things_stand_is_told(stranger: Stranger):
    job_type = fresh("nobody")
    waits = workflow(
        {"id": "w", "type": "job", "job_type": job_type}, {"id": "ask", "type": "human_approval", "message": "?"}
    )
    stranger.save(waits)
    run = stranger.execute(waits["id"])
    told = until(stranger, lambda now: value(now, "flowforge_queue_depth", consumer=f"default--{job_type}") == 1)
    assert value(told, "flowforge_active_runs", status="running") >= 1
    assert value(told, "flowforge_approvals_open") >= 1
    assert value(told, "flowforge_nats_up") == 1
    assert {name: value(told, "flowforge_service_up", service=name) for name in ("triggers", "execution", "scheduler")} == {
        "triggers": 1, "execution": 1, "scheduler": 1,
    }  # fmt: skip
    assert value(told, "flowforge_log_position") > 0
    assert ("flowforge_consumer_lag_messages", (("consumer", "execution"), ("stream", "REPORTS"))) in told
    until(stranger, lambda now: ("flowforge_cursor_lag_events", (("cursor", "said:execution"),)) in now)
    stranger.send("POST", f"/api/runs/{run}/cancel", {})


def test_a_scraper_needs_a_key(cluster: Cluster, stranger: Stranger):
    with httpx.Client(base_url=cluster.endpoints.http) as nobody:
        problem(nobody.get("/metrics"), 401)
