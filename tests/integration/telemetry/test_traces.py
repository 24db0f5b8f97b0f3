"""One cause can be followed through triggers, execution, workers and read models, whatever brought it."""

import itertools
import secrets
import time
from typing import Any

import httpx
from flowforge.identity import new_uuid

from infra.embedded.cluster import Cluster
from tests.e2e.server import Server
from tests.e2e.stranger import Stranger, bash, edge, fresh, workflow
from tests.integration.telemetry.conftest import WAIT_S_MAX, Collector, Span, Spans

ALL = {"flowforge-gateway", "flowforge-triggers", "flowforge-execution", "flowforge-workers", "flowforge-projections"}


def trace(flags: str = "01") -> tuple[str, str]:
    """A trace that began elsewhere: its id, and its traceparent."""
    trace_id = secrets.token_hex(16)
    return trace_id, f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def one(spans: list[Span], service: str, name: str) -> Span:
    return next(span for span in spans if span.service == f"flowforge-{service}" and span.name == name)


def has(*names: str) -> Any:
    """Spans of these names, and all that they hang below: services send theirs by themselves, in any order."""

    def are_there(seen: list[Span]) -> bool:
        ids = {each.span_id: each for each in seen}
        named = [each for each in seen if each.name in names]
        return {each.name for each in named} == set(names) and all(_begins(each, ids) for each in named)

    return are_there


def _begins(span: Span, ids: dict[str, Span]) -> bool:
    """Whether the first above it is one with which traces begin here: a request's, or one below nothing."""
    while span.parent in ids:
        span = ids[span.parent]
    return span.service == "flowforge-gateway" or not span.parent


def execute(stranger: Stranger, workflow_id: str, traceparent: str) -> str:
    answer = stranger.send("POST", f"/api/workflows/{workflow_id}/execute", {}, traceparent=traceparent)
    assert answer.status_code == 202, answer.text
    return answer.json()["run_id"]


def post(stranger: Stranger, event_type: str, traceparent: str) -> None:
    body = {"specversion": "1.0", "id": new_uuid().hex, "source": "/t", "type": event_type, "data": {}}
    assert stranger.send("POST", "/api/events", body, traceparent=traceparent).status_code == 202


def test_a_cause_is_followed_through_all_services(stranger: Stranger, spans: Spans, server: Server):
    tells = 'printf \'"%s"\' "$TRACEPARENT" > "$FLOWFORGE_OUTPUT"'
    call = {"id": "call", "type": "webhook", "method": "POST", "url": server.url, "body": "x"}
    definition = workflow(bash("a", tells), call, bash("bad", "exit 3"), edges=[edge("a", "call"), edge("call", "bad")])
    stranger.save(definition)
    trace_id, traceparent = trace()
    run = stranger.ended(execute(stranger, definition["id"], traceparent))
    name = f"run {definition['id']}"
    found = spans(trace_id, lambda seen: has(name, "node bad")(seen) and _is_whole(seen))
    request = one(found, "gateway", "POST /api/workflows/{workflow_id}/execute")
    assert request.parent == traceparent.split("-")[2]
    decided = one(found, "triggers", "triggers RequestRun")
    assert decided.parent == request.span_id
    whole = one(found, "execution", name)
    assert whole.parent == decided.span_id
    assert whole.attributes["flowforge.run.id"] == run["run_id"]
    assert whole.attributes["flowforge.run.status"] == "failed"
    assert whole.status["code"] == 2
    for node in ("a", "call", "bad"):
        attempt = one(found, "execution", f"node {node}")
        assert attempt.parent == whole.span_id
        job = next(each for each in found if each.service == "flowforge-workers" and each.parent == attempt.span_id)
        assert job.name == ("job webhook" if node == "call" else "job script")
        assert attempt.began_ns <= job.began_ns <= job.ended_ns <= time.time_ns()
    assert whole.began_ns <= one(found, "execution", "node a").began_ns
    assert one(found, "execution", "node bad").status["code"] == 2
    read = [each for each in found if each.service == "flowforge-projections"]
    assert {each.parent for each in read} == {decided.span_id, whole.span_id}
    step = one(found, "execution", "execution WorkflowTriggered")
    assert (step.parent, step.links) == (whole.span_id, [(trace_id, decided.span_id)])
    node_a = next(row for row in run["node_runs"] if row["node_id"] == "a")
    assert node_a["output"] == f"00-{trace_id}-{_job_of(found, 'a').span_id}-01"
    asked = server.asked[-1]["headers"]["traceparent"]
    assert asked == f"00-{trace_id}-{_job_of(found, 'call').span_id}-01"


def _is_whole(seen: list[Span]) -> bool:
    """The services send their spans by themselves; the read models come last."""
    services = [each.service for each in seen]
    run = next(each for each in seen if each.name.startswith("run "))
    is_read = any(each.parent == run.span_id for each in seen if each.service == "flowforge-projections")
    return set(services) >= ALL and services.count("flowforge-workers") == 3 and is_read


def _job_of(found: list[Span], node: str) -> Span:
    attempt = one(found, "execution", f"node {node}")
    return next(each for each in found if each.parent == attempt.span_id and each.service == "flowforge-workers")


def test_a_run_that_several_events_started_links_to_each(stranger: Stranger, spans: Spans):
    kind = fresh("batch")
    trigger = {"id": "t", "type": "event", "config": {"event_type": kind, "batch": {"count": 3, "window_ms": 60000}}}
    definition = workflow(bash("a", "true"), triggers=[trigger])
    stranger.save(definition)
    traces = [trace() for _ in range(3)]
    for _, traceparent in traces:
        post(stranger, kind, traceparent)
    found = spans(traces[-1][0], has(f"run {definition['id']}"))
    run = one(found, "execution", f"run {definition['id']}")
    assert {link[0] for link in run.links} == {trace_id for trace_id, _ in traces}


def test_what_follows_from_a_run_is_in_its_trace(stranger: Stranger, spans: Spans):
    first = workflow(bash("a", "true"))
    config = {"upstreams": [{"workflow_id": first["id"], "condition": "on_success"}]}
    child = workflow(bash("c", "true"))
    then = workflow(
        {"id": "w", "type": "workflow", "workflow_id": child["id"]},
        triggers=[{"id": "d", "type": "dependency", "config": config}],
    )
    for definition in (first, child, then):
        stranger.save(definition)
    trace_id, traceparent = trace()
    execute(stranger, first["id"], traceparent)
    names = [f"run {definition['id']}" for definition in (first, then, child)]
    found = spans(trace_id, has(*names))
    runs = [one(found, "execution", name) for name in names]
    ids = {each.span_id: each for each in found}
    for above, below in itertools.pairwise(runs):
        assert ids[ids[below.parent].parent].span_id == above.span_id


def test_an_event_without_a_trace_begins_one(stranger: Stranger, spans: Spans):
    definition = workflow(
        bash("a", "true"), triggers=[{"id": "s", "type": "schedule", "config": {"cron": "* * * * * *"}}]
    )
    stranger.save(definition)
    name = f"run {definition['id']}"
    found = spans("", has(name))
    stranger.send("DELETE", f"/api/workflows/{definition['id']}")
    run = one(found, "execution", name)
    ids = {each.span_id: each for each in found if each.trace_id == run.trace_id}
    decided = ids[run.parent]
    assert decided.name == "triggers ScheduleFired"
    assert ids[decided.parent].service == "flowforge-scheduler"
    assert not ids[decided.parent].parent


def test_a_trace_that_is_not_recorded_elsewhere_is_handed_on_and_not_recorded_here(stranger: Stranger, spans: Spans):
    definition = workflow(bash("a", 'printf \'"%s"\' "$TRACEPARENT" > "$FLOWFORGE_OUTPUT"'))
    stranger.save(definition)
    trace_id, traceparent = trace("00")
    run = stranger.ended(execute(stranger, definition["id"], traceparent))
    assert run["node_runs"][0]["output"] == traceparent
    later, with_it = trace()
    execute(stranger, definition["id"], with_it)
    spans(later, has(f"run {definition['id']}"))
    assert not spans(trace_id, lambda _: True)


def test_what_is_no_trace_is_not_handed_on(stranger: Stranger):
    definition = workflow(bash("a", 'printf \'"%s"\' "$TRACEPARENT" > "$FLOWFORGE_OUTPUT"'))
    stranger.save(definition)
    run = stranger.ended(execute(stranger, definition["id"], "00-nonsense"))
    assert "nonsense" not in run["node_runs"][0]["output"]


def test_a_collector_is_sent_the_same(stranger: Stranger, spans: Spans, collector: Collector):
    definition = workflow(bash("a", "true"))
    stranger.run(definition)
    deadline = time.monotonic() + WAIT_S_MAX
    while f"run {definition['id']}" not in collector.names:
        assert time.monotonic() < deadline


def test_requests_and_processes_are_measured(stranger: Stranger, traced: Cluster):
    stranger.run(workflow(bash("a", "true")))
    page = stranger.http.get("/metrics").text
    for wanted in (
        'flowforge_service_up{service="gateway"} 1.0', 'flowforge_service_up{service="catalog"} 1.0',
        'flowforge_turn_duration_seconds_count{service="execution"}', 'flowforge_messages_total{service="triggers"}',
        'flowforge_process_resident_memory_bytes{service="reads"}', 'method="POST",route="/api/workflows",',
    ):  # fmt: skip
        assert wanted in page, page
    with httpx.Client(base_url=traced.endpoints.http) as nobody:
        assert nobody.get("/metrics").status_code == 401
