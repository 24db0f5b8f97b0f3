"""Steps back in time, and runs that go on from there: what was is told as it was read, and what is changed runs anew."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, node_runs, problem, statuses, transform, workflow


def chain(count_in: Path, **fields: Any) -> Object:
    """Three nodes; the second counts how often it ran, in a file, and fails where the input says so."""
    script = f'echo x >> {count_in}; [ "$(cat "$FLOWFORGE_INPUT")" != \'{{"n":1}}\' ] || exit 1; echo 7 > "$FLOWFORGE_OUTPUT"'
    return workflow(
        transform("a", expressions={"n": "${input.n}"}),
        bash("b", script),
        transform("c", expressions={"m": "${nodes.b.output + 1}", "v": "${variables.v}"}),
        edges=[edge("a", "b"), edge("b", "c")],
        variables=[{"name": "v", "type": "number", "default_value": 1}],
        **fields,
    )


def ran(count_in: Path) -> int:
    return len(count_in.read_text().splitlines()) if count_in.exists() else 0


def forked(stranger: Stranger, run_id: str, at: Any = None, **changes: Any) -> Object:
    answer = stranger.send("POST", f"/api/runs/{run_id}/fork", {"at": at, "changes": changes})
    assert answer.status_code == 202, answer.text
    return stranger.ended(answer.json()["run_id"])


def position_of(stranger: Stranger, run_id: str, kind: str, node_id: str | None = None) -> int:
    return next(
        event["position"]
        for event in stranger.history(run_id)
        if event["type"] == kind and (node_id is None or event["data"]["node_id"] == node_id)
    )


# --- as it was --------------------------------------------------------------------------------------------------------


def test_every_moment_of_a_run_is_told_as_it_was(stranger: Stranger, tmp_path: Path):
    run = stranger.run(chain(tmp_path / "count"), input_data={"n": 2})
    run_id = run["run_id"]
    history = stranger.history(run_id)
    seen = [stranger.get(f"/api/runs/{run_id}/state", at=event["position"]) for event in history]
    assert [state["as_of"]["position"] for state in seen] == [event["position"] for event in history]
    assert [state["as_of"]["type"] for state in seen] == [event["type"] for event in history]
    assert (seen[0]["status"], statuses(seen[0])) == ("pending", {"a": "idle", "b": "idle", "c": "idle"})
    queued = next(state for state in seen if statuses(state)["b"] == "queued")
    assert statuses(queued) == {"a": "completed", "b": "queued", "c": "idle"}
    assert queued["output_data"] is None
    last = dict(seen[-1])
    assert last.pop("as_of")["position"] == run["position"]
    assert last == run | {"estimated_time_remaining_ms": None}
    assert stranger.get(f"/api/runs/{run_id}/state") == seen[-1]
    by_time = stranger.get(f"/api/runs/{run_id}/state", at=history[0]["recorded_at"])
    assert by_time["as_of"]["at"] == history[0]["recorded_at"]


def test_moments_that_are_none_are_refused_and_say_why(stranger: Stranger):
    first = stranger.run(workflow(transform("a")))
    run = stranger.run(workflow(transform("a")))
    path = f"/api/runs/{run['run_id']}/state"
    told = problem(stranger.http.get(path, params={"at": first["position"]}), 404)
    assert "began at position" in told["detail"]
    assert told["began_position"] == stranger.history(run["run_id"])[0]["position"]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for wrong in ("yesterday", "-1", "999999999999", later, ""):
        assert "at" in problem(stranger.http.get(path, params={"at": wrong}), 400)["detail"]
    problem(stranger.http.get("/api/runs/01a00000-0000-7000-8000-000000000000/state"), 404)


def test_a_workflow_and_its_triggers_are_told_as_they_were(stranger: Stranger):
    trigger = {"id": "on-x", "type": "event", "config": {"event_type": fresh("x")}}
    definition = workflow(transform("a"), triggers=[trigger])
    before = stranger.run(workflow(transform("a")))["position"]
    saved = stranger.save(definition)
    changed = stranger.send("PUT", f"/api/workflows/{definition['id']}", definition | {"name": "other", "triggers": []})
    path = f"/api/workflows/{definition['id']}"
    assert stranger.get(path)["version"] == 2
    then = stranger.get(path, at=saved["position"])
    assert (then["version"], then["name"], len(then["triggers"])) == (1, definition["name"], 1)
    assert [one["id"] for one in stranger.get(f"{path}/triggers", at=saved["position"])["items"]] == ["on-x"]
    assert stranger.get(f"{path}/triggers", at=changed.json()["position"])["items"] == []
    assert "was not there yet" in problem(stranger.http.get(path, params={"at": before}), 404)["detail"]
    problem(stranger.http.get(path, params={"at": before, "version": 1}), 400)


def test_what_was_active_at_a_moment_is_listed_as_it_was(stranger: Stranger, tmp_path: Path):
    slug = stranger.save(chain(tmp_path / "count"))["id"]
    runs = [stranger.ended(stranger.execute(slug, input_data={"n": 2})) for _ in range(2)]
    moment = position_of(stranger, runs[0]["run_id"], "NodeQueued")

    def active(at: Any) -> list[tuple[str, str]]:
        return [(run["run_id"], run["status"]) for run in stranger.all("/api/runs", workflow_id=slug, active_at=at)]

    assert active(moment) == [(runs[0]["run_id"], "running")]
    assert active(runs[0]["position"]) == []
    assert active(stranger.history(runs[1]["run_id"])[0]["position"]) == [(runs[1]["run_id"], "pending")]
    assert active(stranger.history(runs[1]["run_id"])[-1]["recorded_at"]) == []


# --- and on from there ------------------------------------------------------------------------------------------------


def test_a_fork_takes_over_what_had_completed_and_runs_the_rest(stranger: Stranger, tmp_path: Path):
    count = tmp_path / "count"
    run = stranger.run(chain(count), input_data={"n": 2}, labels={"team": "red"})
    fork = forked(stranger, run["run_id"], position_of(stranger, run["run_id"], "NodeCompleted", "b"))
    assert (fork["status"], ran(count)) == ("completed", 1)
    assert fork["forked_from"] == {
        "run_id": run["run_id"], "position": position_of(stranger, run["run_id"], "NodeCompleted", "b"),
    }  # fmt: skip
    assert fork["trigger"] == {"type": "fork", "id": run["run_id"]}
    assert (fork["labels"], fork["input_data"]) == ({"team": "red"}, {"n": 2})
    rows = node_runs(fork)
    assert [rows[name]["cached_from"] for name in ("a", "b", "c")] == [
        {"run_id": run["run_id"], "node_id": "a"}, {"run_id": run["run_id"], "node_id": "b"}, None,
    ]  # fmt: skip
    assert [rows[name]["output"] for name in "abc"] == [node_runs(run)[name]["output"] for name in "abc"]
    assert rows["b"]["input"] == node_runs(run)["b"]["input"]
    assert fork["execution_path"] == ["a", "b", "c"]
    again = forked(stranger, fork["run_id"])
    assert (ran(count), node_runs(again)["b"]["cached_from"]["run_id"]) == (1, run["run_id"])


def test_what_is_changed_runs_anew_and_so_does_all_below_it(stranger: Stranger, tmp_path: Path):
    count = tmp_path / "count"
    run = stranger.run(chain(count), input_data={"n": 2})
    given = forked(stranger, run["run_id"], node_outputs={"b": 41})
    assert (ran(count), node_runs(given)["c"]["output"]) == (1, {"m": 42, "v": 1})
    assert node_runs(given)["b"]["by_hand"]["comment"] == "given with the fork"
    other = forked(stranger, run["run_id"], variables={"v": 5})
    assert (ran(count), node_runs(other)["c"]["output"]) == (1, {"m": 8, "v": 5})
    rerun = forked(stranger, run["run_id"], rerun=["b"])
    assert (ran(count), node_runs(rerun)["a"]["cached_from"] is not None) == (2, True)
    anew = forked(stranger, run["run_id"], input_data={"n": 3}, labels={"why": "other"}, priority=4)
    assert (ran(count), node_runs(anew)["a"]["output"], anew["labels"], anew["priority"]) == (
        3, {"n": 3}, {"why": "other"}, 4,
    )  # fmt: skip


def test_a_failed_run_is_mended_by_a_fork_with_another_version(stranger: Stranger, tmp_path: Path):
    count = tmp_path / "count"
    definition = chain(count)
    run = stranger.run(definition, input_data={"n": 1})
    assert (run["status"], ran(count)) == ("failed", 1)
    mended = [bash("b", 'echo 9 > "$FLOWFORGE_OUTPUT"') if node["id"] == "b" else node for node in definition["nodes"]]
    stranger.send("PUT", f"/api/workflows/{definition['id']}", definition | {"nodes": mended})
    assert forked(stranger, run["run_id"])["status"] == "failed"
    fork = forked(stranger, run["run_id"], version="latest")
    assert (fork["status"], fork["workflow_version"], ran(count)) == ("completed", 2, 2)
    assert (node_runs(fork)["a"]["cached_from"] is not None, node_runs(fork)["c"]["output"]["m"]) == (True, 10)


def test_branches_that_were_not_taken_and_contests_that_were_lost_stay_as_they_were(stranger: Stranger):
    definition = workflow(
        {"id": "which", "type": "condition", "condition": "input.n > 1", "true_path": "yes", "false_path": "no"},
        transform("yes"), transform("no"),
        {"id": "race", "type": "parallel", "wait_for": "any", "branches": [
            {"name": "fast", "target_node_id": "fast"}, {"name": "slow", "target_node_id": "slow"}]},
        transform("fast"),
        {"id": "slow", "type": "delay", "duration_ms": 3_600_000},
        {"id": "first", "type": "merge", "parallel_node_id": "race", "mode": "any"},
        transform("last", expressions={"x": "${1}"}),
        edges=[edge("yes", "race"), edge("fast", "first"), edge("slow", "first"), edge("first", "last")],
    )  # fmt: skip
    run = stranger.run(definition, input_data={"n": 2})
    fork = forked(stranger, run["run_id"], rerun=["last"])
    assert (fork["status"], statuses(fork)) == ("completed", statuses(run))
    assert [row["node_id"] for row in fork["node_runs"] if row["status"] == "completed" and not row["cached_from"]] == [
        "last"
    ]


def test_maps_and_loops_that_had_completed_are_taken_over_whole(stranger: Stranger, tmp_path: Path):
    count = tmp_path / "count"
    body = {"nodes": [bash("each", f'echo x >> {count}; echo 1 > "$FLOWFORGE_OUTPUT"')]}
    definition = workflow(
        bash("map", f'echo x >> {count}; echo 2 > "$FLOWFORGE_OUTPUT"', for_each="${[1, 2]}"),
        {"id": "loop", "type": "loop", "loop_type": "count", "count": 2, "body": body},
        transform("sum", expressions={"all": "${nodes.map.output + nodes.loop.output}"}),
        edges=[edge("map", "loop"), edge("loop", "sum")],
    )
    run = stranger.run(definition)
    fork = forked(stranger, run["run_id"], rerun=["sum"])
    assert (ran(count), node_runs(fork)["sum"]["output"]) == (4, {"all": [2, 2, 1, 1]})
    anew = forked(stranger, run["run_id"], rerun=["loop"])
    assert (ran(count), node_runs(anew)["sum"]["output"]) == (6, {"all": [2, 2, 1, 1]})


def test_forks_that_make_no_sense_are_refused(stranger: Stranger):
    run = stranger.run(workflow(transform("a"), variables=[{"name": "v", "type": "number", "default_value": 1}]))
    before = stranger.history(run["run_id"])[0]["position"] - 1

    def refused(body: Any, *statuses: int, run_id: str = run["run_id"]) -> str:
        told = problem(stranger.send("POST", f"/api/runs/{run_id}/fork", body), *statuses)
        return str(told)

    assert "began at position" in refused({"at": before}, 422)
    assert "beyond the end" in refused({"at": 10**15}, 422)
    assert "neither a position" in refused({"at": "soon"}, 422)
    assert "future" in refused({"at": "2999-01-01T00:00:00Z"}, 422)
    assert "ghost" in refused({"changes": {"node_outputs": {"ghost": 1}}}, 422)
    assert "ghost" in refused({"changes": {"rerun": ["ghost"]}}, 422)
    assert "v" in refused({"changes": {"variables": {"v": "text"}}}, 422)
    refused({"changes": {"version": 9}}, 404)
    refused({"colour": "red"}, 422)
    refused({}, 404, run_id="01a00000-0000-7000-8000-000000000000")


def test_a_fork_asked_for_twice_is_one_run(stranger: Stranger):
    run = stranger.run(workflow(transform("a")))
    key = {"Idempotency-Key": fresh("key")}
    first, again = (stranger.send("POST", f"/api/runs/{run['run_id']}/fork", {}, **key).json() for _ in range(2))
    assert first == again


def test_who_asked_for_a_fork_is_on_record(stranger: Stranger):
    run = stranger.run(workflow(transform("a")))
    fork = forked(stranger, run["run_id"])
    assert fork["actor"]
    assert "fork" in {entry["action"] for entry in stranger.get("/api/audit")["items"]}


@pytest.mark.parametrize("by", ["position", "time"])
def test_the_command_line_steps_back_and_goes_on(stranger: Stranger, by: str, tmp_path: Path):
    run = stranger.run(chain(tmp_path / "count"), input_data={"n": 2})
    event = next(event for event in stranger.history(run["run_id"]) if event["type"] == "NodeQueued")
    at = str(event["position"] if by == "position" else event["recorded_at"])
    shown = stranger.cli("state", run["run_id"], "--at", at)
    assert shown.status == 0, shown.err
    assert "as of position" in shown.out
    forking = stranger.cli("fork", run["run_id"], "--at", at, "--output", "b=20", "--watch")
    assert forking.status == 0, forking.err
    assert stranger.cli("fork", run["run_id"], "--version", "newest").status == 2


def test_a_run_and_its_fork_are_compared_node_by_node(stranger: Stranger, tmp_path: Path):
    run = stranger.run(chain(tmp_path / "count"), input_data={"n": 2})
    fork = forked(stranger, run["run_id"], node_outputs={"b": 41}, labels={"why": "more"})
    told = stranger.get(f"/api/runs/{run['run_id']}/diff", **{"with": fork["run_id"]})
    assert (told["is_fork"], [one["field"] for one in told["fields"]]) == (True, ["output_data", "labels"])
    nodes = {node["node_id"]: node for node in told["nodes"]}
    assert {name: node["is_reused"] for name, node in nodes.items()} == {"a": True, "b": False, "c": False}
    assert (nodes["a"]["changed"], "output" in nodes["b"]["changed"]) == ([], True)
    assert (nodes["c"]["before"]["output"], nodes["c"]["after"]["output"]) == ({"m": 8, "v": 1}, {"m": 42, "v": 1})
    shown = stranger.cli("diff", run["run_id"], fork["run_id"])
    assert (shown.status, "taken over" in shown.out) == (0, True), shown.err
    problem(stranger.http.get(f"/api/runs/{run['run_id']}/diff"), 400)
    problem(stranger.http.get(f"/api/runs/{run['run_id']}/diff?with=01a00000-0000-7000-8000-000000000000"), 404)


# --- in the shadow ----------------------------------------------------------------------------------------------------


def test_a_shadow_run_does_nothing_outside_and_is_nobodys_cause(stranger: Stranger, tmp_path: Path):
    count = tmp_path / "count"
    definition = chain(count, settings={"concurrency": {"limit": 1, "on_conflict": "queue"}})
    after = workflow(transform("x"), triggers=[
        {"id": "t", "type": "dependency", "config": {"upstreams": [{"workflow_id": definition["id"]}]}}])  # fmt: skip
    run = stranger.run(definition, input_data={"n": 2})
    start = stranger.history(run["run_id"])[0]["position"]
    stranger.save(after)
    nodes = [*definition["nodes"][:2], transform("c", expressions={"m": "${nodes.b.output * 10}"})]
    stranger.send("PUT", f"/api/workflows/{definition['id']}", definition | {"nodes": nodes})
    shadow = forked(stranger, run["run_id"], start, shadow=True, version="latest")
    assert (shadow["status"], shadow["shadow"], ran(count)) == ("completed", True, 1)
    assert (run["shadow"], node_runs(shadow)["c"]["output"]) == (False, {"m": 70})
    assert node_runs(shadow)["b"]["cached_from"] == {"run_id": run["run_id"], "node_id": "b"}
    listed = [one["run_id"] for one in stranger.all("/api/runs", workflow_id=definition["id"], shadow="true")]
    others = [one["run_id"] for one in stranger.all("/api/runs", workflow_id=definition["id"], shadow="false")]
    assert (listed, others) == ([shadow["run_id"]], [run["run_id"]])
    real = stranger.ended(stranger.execute(definition["id"], input_data={"n": 2}))
    while not (caused := list(stranger.all("/api/runs", workflow_id=after["id"]))):
        pass
    assert [run["cause"]["source"].rpartition("/")[2] for run in caused] == [real["run_id"]]


def test_a_shadow_run_takes_no_slot_and_waits_for_none(stranger: Stranger):
    definition = workflow(
        {"id": "ask", "type": "human_approval", "message": "may I?"},
        settings={"concurrency": {"limit": 1, "on_conflict": "queue"}},
    )
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    stranger.send("POST", f"/api/runs/{run_id}/nodes/ask/complete", {"output": {"decision": "approve"}})
    stranger.ended(run_id)
    holder = stranger.execute(definition["id"])
    shadow = forked(stranger, run_id, stranger.history(run_id)[0]["position"], shadow=True)
    assert (shadow["status"], node_runs(shadow)["ask"]["output"]) == ("completed", {"decision": "approve"})
    retried = stranger.send("POST", f"/api/runs/{shadow['run_id']}/retry", {"from": "node", "node_ids": ["ask"]})
    assert retried.status_code == 202, retried.text
    assert stranger.ended(shadow["run_id"])["status"] == "completed"
    stranger.send("POST", f"/api/runs/{holder}/cancel", {})


def test_a_shadow_run_says_what_history_does_not_know(stranger: Stranger, tmp_path: Path):
    failed = stranger.run(chain(tmp_path / "count"), input_data={"n": 1})
    shadow = forked(stranger, failed["run_id"], shadow=True)
    assert (shadow["status"], node_runs(shadow)["b"]["error"]["code"], ran(tmp_path / "count")) == (
        "failed", node_runs(failed)["b"]["error"]["code"], 1,
    )  # fmt: skip
    mended = forked(stranger, failed["run_id"], shadow=True, node_outputs={"b": 1})
    assert mended["status"] == "completed"
    forking = stranger.cli("fork", failed["run_id"], "--shadow", "--output", "b=1", "--watch")
    assert forking.status == 0, forking.err
    shown = stranger.cli("runs", "--shadow", "--workflow", failed["workflow_id"])
    assert mended["run_id"] in shown.out, shown.err
    then = stranger.cli("runs", "--at", str(stranger.history(failed["run_id"])[1]["position"]), "--json")
    assert failed["run_id"] in then.out, then.err
