"""Runs that runs start: children, handlers of failures; and where a run begins and halts (interface.md 1, 1.1, 3)."""

from typing import Any

from tests.e2e.stranger import Object, Stranger, bash, edge, fresh, node_runs, problem, transform, workflow


def calling(child: str, node_id: str = "call", **fields: Any) -> Object:
    """A node that runs another workflow."""
    config = {"workflow_id": child, **fields.pop("config", {})}
    return {"id": node_id, "type": "workflow", "config": config, **fields}


def endless(node_id: str = "work") -> Object:
    """A job that nobody serves."""
    return {"id": node_id, "type": "job", "job_type": fresh("nobody")}


def runs_of(stranger: Stranger, workflow_id: str, count: int = 1) -> list[Object]:
    """The runs of the workflow, oldest first, once there are so many; the test's own timeout ends the wait."""
    while len(found := list(stranger.all("/api/runs", workflow_id=workflow_id))) < count:
        pass
    return found[::-1]


def until(stranger: Stranger, run_id: str, *events: str) -> None:
    next(message for message in stranger.follow(run_id) if message.event in events)


# --- children ---------------------------------------------------------------------------------------------------------


def test_a_childs_output_is_its_nodes_and_the_child_names_its_parent(stranger: Stranger):
    child = workflow(transform("sum", expressions={"v": "${input.n + 1}"}), name="child")
    stranger.save(child)
    run = stranger.run(
        workflow(calling(child["id"], config={"input": {"n": "${input.n * 10}"}})),
        input_data={"n": 4},
        labels={"day": "mon"},
        priority=3,
    )
    assert run["status"] == "completed"
    assert node_runs(run)["call"]["output"] == {"v": 41}
    [seen] = runs_of(stranger, child["id"])
    assert (seen["parent_run_id"], seen["trigger"]) == (run["run_id"], {"type": "workflow", "id": "call"})
    assert (seen["actor"], seen["labels"], seen["priority"]) == (run["actor"], {"day": "mon"}, 3)


def test_a_map_of_children_gives_the_list_of_their_outputs(stranger: Stranger):
    child = workflow(transform("sum", expressions={"v": "${input * input}"}), name="child")
    stranger.save(child)
    parent = workflow(calling(child["id"], for_each="${input}", config={"input": "${item}"}))
    run = stranger.run(parent, input_data=[1, 2, 3])
    assert node_runs(run)["call"]["output"] == [{"v": 1}, {"v": 4}, {"v": 9}]


def test_the_failure_of_a_child_is_the_failure_of_its_node(stranger: Stranger):
    child = workflow(bash("broken", "exit 3"), name="child")
    stranger.save(child)
    run = stranger.run(workflow(calling(child["id"])))
    assert run["status"] == "failed"
    [seen] = runs_of(stranger, child["id"])
    error = node_runs(run)["call"]["error"]
    assert (error["code"], error["affected_nodes"]) == ("NODE_EXECUTION_FAILED", ["call"])
    assert seen["run_id"] in error["message"]


def test_a_child_that_cannot_start_fails_its_node_with_the_reason(stranger: Stranger):
    run = stranger.run(workflow(calling(missing := fresh("missing"))))
    error = node_runs(run)["call"]["error"]
    assert error["code"] == "MISSING_DEPENDENCY"
    assert f"there is no workflow '{missing}'" in error["message"]
    assert error["suggested_resolution"]


def test_an_input_that_the_child_does_not_take_fails_the_node_with_its_path(stranger: Stranger):
    child = workflow(transform("t"), name="child", input_schema={"type": "object", "required": ["n"]})
    stranger.save(child)
    run = stranger.run(workflow(calling(child["id"], config={"input": {"m": 1}})))
    error = node_runs(run)["call"]["error"]
    assert error["code"] == "INPUT_INVALID"
    assert "$.input" in error["message"]
    assert list(stranger.all("/api/runs", workflow_id=child["id"])) == []


def test_cancelling_the_parent_cancels_the_child(stranger: Stranger):
    child = workflow(endless(), name="child")
    stranger.save(child)
    parent = workflow(calling(child["id"]))
    stranger.save(parent)
    run_id = stranger.execute(parent["id"])
    [seen] = runs_of(stranger, child["id"])
    until(stranger, seen["run_id"], "NodeQueued")
    assert stranger.send("POST", f"/api/runs/{run_id}/cancel", {"reason": "enough"}).status_code == 202
    assert stranger.ended(run_id)["status"] == "cancelled"
    assert stranger.ended(seen["run_id"])["status"] == "cancelled"


def test_a_workflow_that_calls_itself_is_cut_off(stranger: Stranger):
    slug = fresh("w")
    definition = {"id": slug, "name": slug, "nodes": [calling(slug)]}
    run = stranger.run(definition)
    assert run["status"] == "failed"
    assert "cut after 32 runs" in run["error"]["message"]
    assert len(runs_of(stranger, slug, 32)) == 32


def test_a_child_waits_for_a_slot_of_its_own_workflow(stranger: Stranger):
    child = workflow(transform("t"), name="child", settings={"concurrency": {"limit": 1}})
    stranger.save(child)
    run = stranger.run(workflow(calling(child["id"], for_each="${input}")), input_data=[1, 2, 3])
    assert run["status"] == "completed"
    assert [one["status"] for one in runs_of(stranger, child["id"], 3)] == ["completed"] * 3


def test_a_child_that_would_wait_for_its_own_parent_is_refused(stranger: Stranger):
    slug = fresh("w")
    node = calling(slug, run_if="all_success")
    definition = {"id": slug, "name": slug, "nodes": [node], "settings": {"concurrency": {"limit": 1}}}
    run = stranger.run(definition)
    assert (run["status"], run["error"]["code"]) == ("failed", "CONCURRENT_EXECUTION_CONFLICT")
    assert run["run_id"] in run["error"]["message"]


# --- handlers of failures ---------------------------------------------------------------------------------------------


def test_a_failed_run_starts_its_handler_with_what_happened(stranger: Stranger):
    handler = workflow(
        transform("page", expressions={"text": "${input.workflow_id}: ${input.error.message}"}), name="h"
    )
    stranger.save(handler)
    failing = workflow(bash("broken", "exit 3"), settings={"on_failure": {"workflow_id": handler["id"]}})
    failed = stranger.run(failing, input_data={"n": 1}, labels={"day": "mon"})
    [seen] = runs_of(stranger, handler["id"])
    told = stranger.ended(seen["run_id"])["input_data"]
    assert (told["run_id"], told["status"], told["failed_nodes"]) == (failed["run_id"], "failed", ["broken"])
    assert (told["input_data"], told["labels"]) == ({"n": 1}, {"day": "mon"})
    assert seen["trigger"] == {"type": "on_failure", "id": failing["id"]}


def test_a_handler_that_is_not_there_is_a_decision_that_says_so(stranger: Stranger):
    missing = fresh("missing")
    failing = workflow(bash("broken", "exit 3"), settings={"on_failure": {"workflow_id": missing}})
    failed = stranger.run(failing)
    ending = stranger.history(failed["run_id"])[-1]["event_id"]
    path = f"/api/workflows/{missing}/triggers/{failing['id']}/decisions"
    while stranger.http.get(path).status_code == 404:
        pass
    [decision] = stranger.all(path, cause=ending)
    assert (decision["decision"], decision["reason"]) == ("suppressed", "workflow_inactive")
    assert f"there is no workflow '{missing}'" in decision["detail"]


def test_a_cancelled_run_starts_no_handler_and_one_that_follows_its_end_is_started(stranger: Stranger):
    handler, after = workflow(transform("t"), name="h"), fresh("after")
    stranger.save(handler)
    definition = workflow(endless(), settings={"on_failure": {"workflow_id": handler["id"]}})
    stranger.save(definition)
    upstream = {"workflow_id": definition["id"], "condition": "on_completion"}
    trigger = {"id": "t", "type": "dependency", "config": {"upstreams": [upstream]}}
    stranger.save({"id": after, "name": after, "nodes": [transform("t")], "triggers": [trigger]})
    run_id = stranger.execute(definition["id"])
    until(stranger, run_id, "NodeQueued")
    stranger.send("POST", f"/api/runs/{run_id}/cancel", {})
    assert stranger.ended(run_id)["status"] == "cancelled"
    runs_of(stranger, after)
    assert list(stranger.all("/api/runs", workflow_id=handler["id"])) == []


# --- where a run begins and halts -------------------------------------------------------------------------------------


def three() -> Object:
    names = ("a", "b", "c")
    nodes = [transform(name, expressions={"v": f"${{'{name}'}}", "n": "${input.n}"}) for name in names]
    return workflow(*nodes, edges=[edge("a", "b"), edge("b", "c")])


def test_from_node_only_it_and_what_lies_below_runs(stranger: Stranger):
    run = stranger.run(three(), from_node="b", input_data={"n": 7})
    rows = node_runs(run)
    assert {name: row["status"] for name, row in rows.items()} == {"a": "skipped", "b": "completed", "c": "completed"}
    assert rows["b"]["output"] == {"v": "b", "n": 7}


def test_a_run_halts_before_a_breakpoint(stranger: Stranger):
    definition = three()
    stranger.save(definition)
    done = stranger.cli("run", definition["id"], "--input", '{"n": 1}', "--breakpoint", "c", "--json")
    assert done.status == 0, done.err
    [run] = runs_of(stranger, definition["id"])
    until(stranger, run["run_id"], "RunPaused")
    events = [event["type"] for event in stranger.history(run["run_id"])]
    assert events.count("NodeCompleted") == 2
    stranger.send("POST", f"/api/runs/{run['run_id']}/cancel", {})


def test_nodes_that_are_not_there_are_refused_by_name(stranger: Stranger):
    definition = three()
    stranger.save(definition)
    body = {"from_node": "nowhere", "breakpoints": ["a", "neither"]}
    told = problem(stranger.send("POST", f"/api/workflows/{definition['id']}/execute", body), 422)
    assert [error["path"] for error in told["errors"]] == ["$.from_node", "$.breakpoints[1]"]
    done = stranger.cli("run", definition["id"], "--from-node", "nowhere")
    assert done.status != 0
    assert "there is no node 'nowhere'" in done.err
