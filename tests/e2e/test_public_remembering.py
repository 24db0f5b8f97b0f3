"""Triggers that remember, from outside: dependencies, batches, quiet, delays, limits, absence; and why a run started."""

from typing import Any

from tests.e2e.stranger import Object, Stranger, fresh, node_runs, transform, workflow
from tests.e2e.test_public_triggers import cloud_event, decisions, listening, publish, runs_of


def after(*upstreams: str, nodes: list[Object] | None = None, **config: Any) -> Object:
    """A workflow with one dependency trigger `t`."""
    named = [{"workflow_id": upstream} for upstream in upstreams]
    steps = nodes or [transform("a", expressions={"input": "${input}"})]
    return workflow(*steps, triggers=[{"id": "t", "type": "dependency", "config": {"upstreams": named, **config}}])


def saved(stranger: Stranger, definition: Object) -> str:
    return str(stranger.save(definition)["id"])


def simple(stranger: Stranger) -> str:
    return saved(
        stranger, workflow(transform("a", expressions={"n": "${input.n}"}), output_mapping={"n": "${input.n}"})
    )


def some(stranger: Stranger, slug: str, count: int, **filters: Any) -> list[Object]:
    """The decisions once there are so many; the test's own timeout ends the wait."""
    while len(found := decisions(stranger, slug, **filters)) < count:
        pass
    return found


def test_a_chain_of_workflows_runs_and_tells_its_causes_back_to_the_first_event(stranger: Stranger):
    kind = fresh("start")
    first = saved(stranger, listening(kind))
    second = saved(stranger, after(first))
    third = saved(stranger, after(second))
    publish(stranger, cloud_event(kind, {"n": 1}))
    [fired] = some(stranger, third, 1, decision="fired")
    run = stranger.ended(fired["run_id"])
    assert run["status"] == "completed"
    assert run["trigger"] == {"type": "dependency", "id": "t"}
    assert run["input_data"]["workflow_id"] == second
    steps = stranger.get(f"/api/runs/{run['run_id']}")["causes"]
    assert [step["workflow_id"] for step in steps] == [third, second, first]
    assert [step["cause"]["type"] for step in steps] == ["RunCompleted", "RunCompleted", kind]


def test_a_join_fires_once_for_all_and_every_cause_has_its_answer(stranger: Stranger):
    a, b = simple(stranger), simple(stranger)
    collect = transform(
        "a", expressions={"n": "${events.map(e, e.data.output.n)}", "last": "${event.data.workflow_id}"}
    )
    joined = saved(stranger, after(a, b, logic="all", nodes=[collect]))
    stranger.ended(stranger.execute(a, input_data={"n": 1}))
    [held] = some(stranger, joined, 1)
    assert (held["decision"], held["reason"]) == ("held", "upstreams")
    assert b in held["detail"]
    stranger.ended(stranger.execute(b, input_data={"n": 2}))
    answers = some(stranger, joined, 3)
    assert [answer["decision"] for answer in answers] == ["fired", "fired", "held"]
    assert len({answer["run_id"] for answer in answers[:2]}) == 1
    assert len(answers[0]["consumed"]) == 2
    run = stranger.ended(answers[0]["run_id"])
    assert node_runs(run)["a"]["output"] == {"n": [1, 2], "last": b}
    assert len(runs_of(stranger, joined)) == 1


def test_a_failed_upstream_is_not_a_success(stranger: Stranger):
    a = saved(stranger, workflow(transform("a", expressions={"n": "${input.missing}"})))
    then = saved(stranger, after(a))
    stranger.ended(stranger.execute(a))
    [decision] = some(stranger, then, 1)
    assert decision["decision"] == "not_matched"
    assert "failed" in decision["reason"]


def test_events_are_gathered_to_batches(stranger: Stranger):
    kind = fresh("row")
    slug = saved(stranger, listening(kind, batch={"count": 3, "window_ms": 60_000}))
    for number in range(3):
        publish(stranger, cloud_event(kind, {"n": number}))
    fired = some(stranger, slug, 3, decision="fired")
    run = stranger.ended(fired[0]["run_id"])
    assert [event["data"]["n"] for event in run["input_data"]["events"]] == [0, 1, 2]
    assert len(runs_of(stranger, slug)) == 1


def test_a_window_that_ends_fires_with_what_has_come(stranger: Stranger):
    kind = fresh("row")
    slug = saved(stranger, listening(kind, batch={"count": 100, "window_ms": 400}))
    publish(stranger, cloud_event(kind))
    publish(stranger, cloud_event(kind))
    fired = some(stranger, slug, 2, decision="fired")
    assert len({answer["run_id"] for answer in fired}) == 1


def test_quiet_is_waited_for_and_a_delay_after_it(stranger: Stranger):
    kind = fresh("save")
    slug = saved(stranger, listening(kind, trigger={"debounce_ms": 300, "delay_ms": 200}))
    for number in range(3):
        publish(stranger, cloud_event(kind, {"n": number}))
    [fired] = some(stranger, slug, 1, decision="fired")
    assert stranger.ended(fired["run_id"])["input_data"] == {"n": 2}
    assert [one["reason"] for one in decisions(stranger, slug, decision="suppressed")] == ["debounced", "debounced"]


def test_a_limit_suppresses_what_is_too_much(stranger: Stranger):
    kind = fresh("tick")
    slug = saved(stranger, listening(kind, trigger={"limit": {"max_fires": 2, "per_ms": 600_000}}))
    for _ in range(4):
        publish(stranger, cloud_event(kind))
    suppressed = some(stranger, slug, 2, decision="suppressed")
    assert {one["reason"] for one in suppressed} == {"limited"}
    assert len(some(stranger, slug, 2, decision="fired")) == 2
    assert stranger.get(f"/api/workflows/{slug}/triggers/t/stats")["suppressed"] == {"limited": 2}


def test_an_absence_fires(stranger: Stranger):
    kind = fresh("heartbeat")
    slug = saved(stranger, listening(kind, absent_for_ms=500))
    [fired] = some(stranger, slug, 1, decision="fired")
    assert stranger.ended(fired["run_id"])["status"] == "completed"


def test_a_circle_is_warned_about_with_its_path_and_so_is_the_archiving_of_an_upstream(stranger: Stranger):
    a = simple(stranger)
    b = saved(stranger, after(a))
    definition = stranger.get(f"/api/workflows/{a}")
    answer = stranger.send("POST", f"/api/workflows/{a}/triggers", {
        "id": "again", "type": "dependency", "config": {"upstreams": [{"workflow_id": b}]},
    })  # fmt: skip
    assert definition["version"] == 1
    [warning] = answer.json()["warnings"]
    assert f"{a} → {b} → {a}" in warning["message"]
    archived = stranger.send("DELETE", f"/api/workflows/{a}").json()
    assert any(b in warning["message"] for warning in archived["warnings"])
    [told] = some(stranger, b, 1)
    assert (told["cause"]["type"], told["reason"]) == ("WorkflowArchived", "upstream_archived")
