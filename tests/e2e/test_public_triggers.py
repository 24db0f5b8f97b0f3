"""Event and manual triggers as the public page promises them: every cause gets one recorded answer per trigger."""

import json
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, fresh, node_runs, problem, transform, workflow

DECISION_FIELDS = {
    "trigger_id", "trigger_version", "workflow_id", "cause", "decision", "reason", "consumed", "decided_at",
}  # fmt: skip


def listening(event_type: str, trigger: Object | None = None, **config: Any) -> Object:
    """A workflow with one event trigger `t`."""
    settings = {"event_type": event_type, **config}
    return workflow(
        transform("a", expressions={"input": "${input}"}),
        triggers=[{"id": "t", "type": "event", "config": settings, **(trigger or {})}],
    )


def cloud_event(event_type: str, data: Any = None, **attributes: Any) -> Object:
    return {
        "specversion": "1.0", "id": fresh("event"), "source": "/tests", "type": event_type,
        "data": {} if data is None else data, **attributes,
    }  # fmt: skip


def publish(stranger: Stranger, event: Any, media_type: str = "application/cloudevents+json") -> Any:
    answer = stranger.http.post("/api/events", content=json.dumps(event), headers={"Content-Type": media_type})
    assert answer.status_code == 202, answer.text
    stranger.notice(answer)
    return answer.json()


def decisions(stranger: Stranger, slug: str, trigger: str = "t", **filters: Any) -> list[Object]:
    return list(stranger.all(f"/api/workflows/{slug}/triggers/{trigger}/decisions", **filters))


def decided(stranger: Stranger, slug: str, trigger: str = "t", cause: Any = None) -> Object:
    """The one final decision, once it is there; the test's own timeout ends the wait."""
    while True:
        found = decisions(stranger, slug, trigger, **({"cause": cause} if cause else {}))
        final = [decision for decision in found if decision["decision"] != "held"]
        if final:
            assert len(final) == 1, final
            assert final[0].keys() >= DECISION_FIELDS
            return final[0]


def runs_of(stranger: Stranger, slug: str) -> list[Object]:
    return list(stranger.all("/api/runs", workflow_id=slug))


# --- firing -----------------------------------------------------------------------------------------------------------


def test_an_event_starts_a_run_whose_cause_it_is(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind))["id"]
    event = cloud_event(kind, {"n": 1}, subject="x", time="2026-01-02T03:04:05Z")
    told = publish(stranger, event)
    assert told["id"] == event["id"] or "event_id" in told or "id" in told
    decision = decided(stranger, slug)
    assert (decision["decision"], decision["workflow_id"], decision["trigger_id"]) == ("fired", slug, "t")
    assert decision["cause"]["type"] == kind
    run = stranger.ended(decision["run_id"])
    assert run["trigger"] == {"type": "event", "id": "t"}
    assert run["cause"]["type"] == kind
    assert run["status"] == "completed"
    assert runs_of(stranger, slug)[0]["run_id"] == run["run_id"]


def test_the_input_of_a_run_is_the_triggers_templates_over_its_event(stranger: Stranger):
    kind = fresh("order")
    templates = {"n": "${event.data.n}", "text": "got ${event.data.n} from ${event.source}", "all": "${event.data}"}
    slug = stranger.save(listening(kind, trigger={"input": templates}))["id"]
    publish(stranger, cloud_event(kind, {"n": 7}))
    run = stranger.ended(decided(stranger, slug)["run_id"])
    assert run["input_data"] == {"n": 7, "text": "got 7 from /tests", "all": {"n": 7}}


def test_without_templates_the_input_is_something_of_the_event_and_event_is_visible(stranger: Stranger):
    kind = fresh("order")
    definition = listening(kind)
    definition["nodes"] = [transform("a", expressions={"n": "${event.data.n}", "type": "${event.type}"})]
    stranger.save(definition)
    publish(stranger, cloud_event(kind, {"n": 7}))
    run = stranger.ended(decided(stranger, definition["id"])["run_id"])
    assert node_runs(run)["a"]["output"] == {"n": 7, "type": kind}
    assert "7" in json.dumps(run["input_data"])


def test_one_event_starts_every_workflow_that_listens(stranger: Stranger):
    kind = fresh("order")
    first, second = [str(stranger.save(listening(kind))["id"]) for _ in range(2)]
    both: Object = listening(kind)
    both["triggers"].append(both["triggers"][0] | {"id": "t2"})
    stranger.save(both)
    publish(stranger, cloud_event(kind))
    ids = {decided(stranger, slug, trigger)["run_id"] for slug, trigger in
           ((first, "t"), (second, "t"), (both["id"], "t"), (both["id"], "t2"))}  # fmt: skip
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("config", "matches", "does_not"),
    [
        ({"event_type": "KIND.*"}, {"type": "KIND.made"}, {"type": "other"}),
        ({"event_type": "KIND", "source": "/shop/*"}, {"source": "/shop/7"}, {"source": "/office"}),
        ({"event_type": "KIND", "source": "/shop"}, {"source": "/shop"}, {"source": "/shop/7"}),
    ],
)
def test_type_and_source_are_exact_or_with_a_star(
    stranger: Stranger, config: Object, matches: Object, does_not: Object
):
    kind = fresh("kind")

    def named(values: Object) -> Object:
        return {name: value.replace("KIND", kind) for name, value in values.items()}

    slug = stranger.save(listening(**named(config)))["id"]
    other = cloud_event(kind) | named(does_not)
    publish(stranger, other)
    publish(stranger, cloud_event(kind) | named(matches))
    assert decided(stranger, slug)["decision"] == "fired"
    assert len(runs_of(stranger, slug)) == 1


# --- not firing -------------------------------------------------------------------------------------------------------


def test_a_filter_that_is_false_is_a_decision_with_the_values_seen(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind, filter="event.data.price > 100 && event.data.kind == 'table'"))["id"]
    publish(stranger, cloud_event(kind, {"price": 42, "kind": "table"}))
    decision = decided(stranger, slug)
    assert decision["decision"] == "not_matched"
    assert "event.data.price > 100" in json.dumps(decision["reason"])
    assert "42" in json.dumps(decision["reason"])
    assert decision.get("run_id") is None
    publish(stranger, cloud_event(kind, {"price": 142, "kind": "table"}))
    assert {d["decision"] for d in iter_until(stranger, slug, 2)} == {"fired", "not_matched"}


def iter_until(stranger: Stranger, slug: str, count: int) -> list[Object]:
    while len(found := decisions(stranger, slug)) < count:
        pass
    return found


def test_an_equality_that_is_false_is_answered_for_its_cause(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind, filter="event.data.region == 'eu'"))["id"]
    event = cloud_event(kind, {"region": "us"})
    told = publish(stranger, event)
    last = publish(stranger, cloud_event(kind, {"region": "eu"}))
    assert last
    while not decisions(stranger, slug, decision="fired"):
        pass
    for cause in {event["id"], told.get("event_id", event["id"])}:
        answer = decided(stranger, slug, cause=cause)
        assert answer["decision"] == "not_matched"
        assert "us" in json.dumps(answer["reason"])


def test_a_disabled_trigger_tells_that_it_is(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind, trigger={"enabled": False}))["id"]
    publish(stranger, cloud_event(kind))
    decision = decided(stranger, slug)
    assert decision["decision"] == "suppressed"
    assert "disabled" in json.dumps(decision["reason"])
    assert runs_of(stranger, slug) == []


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_workflow_that_is_not_active_is_not_started(stranger: Stranger, status: str):
    kind = fresh("order")
    slug = stranger.save(listening(kind) | {"status": status})["id"]
    publish(stranger, cloud_event(kind))
    decision = decided(stranger, slug)
    assert decision["decision"] == "suppressed"
    assert "workflow_inactive" in json.dumps(decision["reason"])


def test_a_filter_that_cannot_be_evaluated_fails_with_expression_and_path(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind, filter="event.data.customer.age > 18"))["id"]
    publish(stranger, cloud_event(kind, {"n": 1}))
    decision = decided(stranger, slug)
    assert decision["decision"] == "failed"
    assert "event.data.customer" in json.dumps(decision["reason"])
    assert runs_of(stranger, slug) == []


def test_an_input_that_cannot_be_evaluated_fails_the_decision(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind, trigger={"input": {"x": "${event.data.ghost}"}}))["id"]
    publish(stranger, cloud_event(kind, {"n": 1}))
    decision = decided(stranger, slug)
    assert decision["decision"] == "failed"
    assert "event.data.ghost" in json.dumps(decision["reason"])


def test_an_input_that_the_workflows_schema_refuses_does_not_vanish(stranger: Stranger):
    kind = fresh("order")
    definition = listening(kind, trigger={"input": {"n": "${event.data.n}"}})
    definition["input_schema"] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    stranger.save(definition)
    publish(stranger, cloud_event(kind, {"n": "seven"}))
    decision = decided(stranger, definition["id"])
    if decision["decision"] == "fired":
        assert stranger.ended(decision["run_id"])["error"]["code"] == "INPUT_INVALID"
    else:
        assert decision["decision"] == "failed"


# --- once -------------------------------------------------------------------------------------------------------------


def test_the_same_source_and_id_start_one_run(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind))["id"]
    event = cloud_event(kind, {"n": 1})
    answers = [publish(stranger, event) for _ in range(4)]
    assert answers
    publish(stranger, [event, event])
    publish(stranger, event | {"source": "/elsewhere"})
    while len(runs_of(stranger, slug)) < 2:
        pass
    publish(stranger, last := cloud_event(kind))
    while last["id"] not in json.dumps([run["cause"] for run in runs_of(stranger, slug)]):
        pass
    assert len(runs_of(stranger, slug)) == 3


def test_a_trigger_is_in_force_once_its_save_is_answered(stranger: Stranger):
    expected: dict[str, str] = {}
    for _ in range(100):
        kind = fresh("race")
        slug = stranger.save(listening(kind))["id"]
        publish(stranger, cloud_event(kind))
        expected[slug] = kind
    for slug in expected:
        assert decided(stranger, slug)["decision"] == "fired"


def test_a_changed_trigger_is_in_force_once_its_save_is_answered(stranger: Stranger):
    kind = fresh("race")
    definition = listening(kind)
    stranger.save(definition)
    fired: list[bool] = []
    events: list[str] = []
    for turn in range(40):
        enabled = turn % 2 == 0
        definition["triggers"][0]["enabled"] = enabled
        answer = stranger.send("PUT", f"/api/workflows/{definition['id']}", definition)
        assert answer.status_code == 200
        event = cloud_event(kind)
        publish(stranger, event)
        fired.append(enabled)
        events.append(event["id"])
    for event_id, enabled in zip(events, fired, strict=True):
        decision = decided(stranger, definition["id"], cause=event_id)
        assert decision["decision"] == ("fired" if enabled else "suppressed"), event_id


# --- asking -----------------------------------------------------------------------------------------------------------


def test_decisions_are_found_by_cause_and_by_answer_and_counted(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind, filter="event.data.n > 1"))["id"]
    events = [cloud_event(kind, {"n": n}) for n in (1, 2, 3)]
    publish(stranger, events)
    assert len(iter_until(stranger, slug, 3)) == 3
    assert len(decisions(stranger, slug, decision="fired")) == 2
    assert len(decisions(stranger, slug, decision="not_matched")) == 1
    assert len(decisions(stranger, slug, limit=1)) == 3
    decision = decided(stranger, slug, cause=events[1]["id"])
    assert decision["decision"] == "fired"
    assert decided(stranger, slug, cause=decision["cause"]["event_id"]) == decision
    problem(stranger.http.get(f"/api/workflows/{slug}/triggers/t/decisions?decision=maybe"), 400, 422)
    problem(stranger.http.get(f"/api/workflows/{slug}/triggers/ghost/decisions"), 404)
    stats = json.dumps(stranger.get(f"/api/workflows/{slug}/triggers/t/stats"))
    assert "fired" in stats
    assert "2" in stats


def test_triggers_of_a_workflow_are_listed(stranger: Stranger):
    slug = stranger.save(listening(fresh("order")))["id"]
    listed = stranger.get(f"/api/workflows/{slug}/triggers")["items"]
    assert [(trigger["id"], trigger["type"], trigger["enabled"]) for trigger in listed] == [("t", "event", True)]


# --- events in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["application/json", "application/cloudevents+json"])
def test_one_event_or_an_array_is_taken_with_either_content_type(stranger: Stranger, media_type: str):
    kind = fresh("order")
    slug = stranger.save(listening(kind))["id"]
    one, two, three = (cloud_event(kind, {"n": n}) for n in range(3))
    publish(stranger, one, media_type)
    publish(stranger, [two, three], media_type)
    assert {d["decision"] for d in iter_until(stranger, slug, 3)} == {"fired"}


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"}, {"id": ""}, {"type": 7}, {"source": None}, {"time": "yesterday"},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_is_no_cloud_event_is_refused(stranger: Stranger, change: Object):
    event = {name: value for name, value in (cloud_event("x") | change).items() if value is not None}
    told = problem(stranger.send("POST", "/api/events", event), 400, 422)
    assert told["detail"] or told["errors"]


def test_an_array_with_a_wrong_event_names_its_index_and_starts_nothing(stranger: Stranger):
    kind = fresh("order")
    slug = stranger.save(listening(kind))["id"]
    good = cloud_event(kind)
    told = problem(stranger.send("POST", "/api/events", [good, {"type": kind}]), 400, 422)
    assert "1" in json.dumps(told["errors"]) + told["detail"]
    publish(stranger, last := cloud_event(kind))
    assert decided(stranger, slug, cause=last["id"])["decision"] == "fired"
    assert len(runs_of(stranger, slug)) == 1


def test_an_empty_array_and_broken_json_are_refused(stranger: Stranger):
    for content in (b"{", b'"text"', b"\xff"):
        answer = stranger.http.post("/api/events", content=content, headers={"Content-Type": "application/json"})
        problem(answer, 400, 422)
    assert stranger.send("POST", "/api/events", []).status_code in {202, 400, 422}


def test_an_event_over_one_mib_is_refused_with_413_or_taken(stranger: Stranger):
    kind = fresh("large")
    definition = listening(kind) | {"nodes": [bash("a", "true")]}
    slug = stranger.save(definition)["id"]
    answer = stranger.send("POST", "/api/events", cloud_event(kind, {"text": "x" * 1_500_000}))
    if answer.status_code == 413:
        problem(answer, 413)
    else:
        assert answer.status_code == 202
        assert decided(stranger, slug)["decision"] == "fired"
