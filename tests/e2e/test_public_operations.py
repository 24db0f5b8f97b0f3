"""What people do to runs, as the public page promises it: by HTTP, read back, and from the command line."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, node_runs, problem, python, statuses, transform, workflow

WAIT_S_MAX = 30


def until(stranger: Stranger, what: Callable[[], Any]) -> Any:
    """What it gives, once it gives something."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {WAIT_S_MAX} s"
        time.sleep(0.05)
    return found


def run_as(stranger: Stranger, run_id: str, status: str) -> Object:
    """The run, once it stands like this."""
    return until(stranger, lambda: (run := stranger.get(f"/api/runs/{run_id}"))["status"] == status and run)


def waiting(stranger: Stranger, run_id: str, node_id: str) -> Object:
    """The node, once it waits."""

    def node() -> Object | None:
        found = node_runs(stranger.get(f"/api/runs/{run_id}"))[node_id]
        return found if found["status"] == "waiting" else None

    return until(stranger, node)


def operate(stranger: Stranger, path: str, body: Any = None, method: str = "POST") -> Object:
    answer = stranger.send(method, path, {} if body is None else body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def approval(node_id: str = "ask", **fields: Any) -> Object:
    return {"id": node_id, "type": "human_approval", "message": "go on?", **fields}


def audited(stranger: Stranger, run_id: str) -> list[tuple[str, str]]:
    return [(item["action"], item["subject"]) for item in stranger.all("/api/audit") if run_id in item["subject"]][::-1]


# --- pause, resume, step, breakpoints ---------------------------------------------------------------------------------


def test_a_paused_run_starts_nothing_until_it_is_resumed(stranger: Stranger):
    definition = workflow(
        {"id": "nap", "type": "delay", "duration_ms": 1_000}, transform("after"), edges=[edge("nap", "after")]
    )
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    waiting(stranger, run_id, "nap")
    assert operate(stranger, f"/api/runs/{run_id}/pause", {"reason": "look"})["status"] == "paused"
    paused = stranger.get(f"/api/runs/{run_id}")
    assert (paused["status"], paused["completed_at"]) == ("paused", None)
    assert [
        item["run_id"] for item in stranger.get("/api/runs", status="paused", workflow_id=definition["id"])["items"]
    ]
    problem(stranger.send("POST", f"/api/runs/{run_id}/pause", {}), 409)
    time.sleep(1.5)  # the delay comes due meanwhile
    assert stranger.get(f"/api/runs/{run_id}")["node_runs"][1]["status"] == "idle"
    operate(stranger, f"/api/runs/{run_id}/resume")
    assert statuses(stranger.ended(run_id)) == {"nap": "completed", "after": "completed"}
    assert [action for action, _ in audited(stranger, run_id)] == ["pause", "resume"]


def test_a_run_halts_before_its_breakpoints_and_goes_on_step_by_step(stranger: Stranger):
    nodes = [transform(name) for name in ("a", "b", "c")]
    definition = workflow(approval(), *nodes, edges=[edge("ask", "a"), edge("a", "b"), edge("b", "c")])
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    waiting(stranger, run_id, "ask")
    operate(stranger, f"/api/runs/{run_id}/breakpoints", {"breakpoints": ["a"]}, "PUT")
    operate(stranger, f"/api/runs/{run_id}/nodes/ask/complete")
    paused = run_as(stranger, run_id, "paused")
    assert (paused["paused_before"], paused["breakpoints"], statuses(paused)["a"]) == (["a"], ["a"], "idle")
    operate(stranger, f"/api/runs/{run_id}/step")
    paused = run_as(stranger, run_id, "paused")
    assert (statuses(paused)["a"], statuses(paused)["b"]) == ("completed", "idle")
    operate(stranger, f"/api/runs/{run_id}/resume")
    assert stranger.ended(run_id)["status"] == "completed"


# --- retry ------------------------------------------------------------------------------------------------------------


def test_a_retry_goes_on_from_a_node_and_keeps_the_rest(stranger: Stranger):
    definition = workflow(
        transform("first", expressions={"at": "${now}"}),
        {"id": "flaky", "type": "data_transform", "expressions": {"x": "${nodes.ask.output.missing}"}},
        approval(),
        transform("last", expressions={"x": "${nodes.flaky.output}"}),
        edges=[edge("first", "ask"), edge("ask", "flaky"), edge("flaky", "last")],
    )
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    waiting(stranger, run_id, "ask")
    problem(stranger.send("POST", f"/api/runs/{run_id}/retry", {}), 409)
    operate(stranger, f"/api/runs/{run_id}/nodes/ask/complete", {"output": {}})
    failed = stranger.ended(run_id)
    assert statuses(failed) == {"first": "completed", "ask": "completed", "flaky": "failed", "last": "skipped"}
    operate(stranger, f"/api/runs/{run_id}/retry", {"from": "node", "node_id": "ask"})
    again = stranger.get(f"/api/runs/{run_id}")
    assert (again["status"], again["error"], again["completed_at"], again["retries"]) == ("running", None, None, 1)
    waiting(stranger, run_id, "ask")
    operate(stranger, f"/api/runs/{run_id}/nodes/ask/complete", {"output": {"missing": "here"}})
    ended = run_as(stranger, run_id, "completed")
    assert set(statuses(ended).values()) == {"completed"}
    assert node_runs(ended)["first"]["output"] == node_runs(failed)["first"]["output"]
    assert node_runs(ended)["last"]["output"] == {"x": {"x": "here"}}
    told = [message.event for message in stranger.follow(run_id)]
    assert (told.count("RunFailed"), told[-1]) == (1, "RunCompleted")
    assert ("retry", run_id) in audited(stranger, run_id)
    assert stranger.get(f"/api/runs/{run_id}/timeline")["items"]
    assert stranger.get(f"/api/runs/{run_id}/metrics")["critical_path"]


# --- nodes by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "body", "node", "run"),
    [
        ("complete", {"output": {"n": 1}, "comment": "done elsewhere"}, "completed", "completed"),
        ("fail", {"message": "no more"}, "failed", "failed"),
        ("skip", {}, "skipped", "completed"),
    ],
)
def test_a_node_is_decided_by_hand(stranger: Stranger, action: str, body: Object, node: str, run: str):
    definition = workflow(bash("slow", "sleep 60"), transform("after"), edges=[edge("slow", "after")])
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    until(stranger, lambda: stranger.get(f"/api/runs/{run_id}")["node_runs"][0]["status"] == "running")
    operate(stranger, f"/api/runs/{run_id}/nodes/slow/{action}", body)
    ended = stranger.ended(run_id)
    slow = node_runs(ended)["slow"]
    assert (ended["status"], slow["status"], slow["by_hand"]["action"]) == (run, node, action)
    if action == "complete":
        assert slow["output"] == {"n": 1}
    if action == "fail":
        assert "no more" in slow["error"]["message"]
    problem(stranger.send("POST", f"/api/runs/{run_id}/nodes/slow/{action}", body), 409)
    assert (f"{action}_node", f"{run_id}/slow") in audited(stranger, run_id)


def test_one_item_of_a_map_is_completed_by_hand(stranger: Stranger):
    source = "import json, os, time\nif json.load(open(os.environ['FLOWFORGE_INPUT']))['n'] == 1: time.sleep(60)"
    definition = workflow(
        python("each", source, for_each="${input.list}", input_mapping={"n": "${item}"}),
        output_mapping={"all": "${nodes.each.output}"},
    )
    stranger.save(definition)
    run_id = stranger.execute(definition["id"], input_data={"list": [0, 1, 2]})
    until(
        stranger,
        lambda: stranger.get(f"/api/runs/{run_id}/nodes/each")["instance_counts"] == {"completed": 2, "running": 1},
    )
    operate(stranger, f"/api/runs/{run_id}/nodes/each/complete", {"instance": "1", "output": "by hand"})
    assert stranger.ended(run_id)["output_data"] == {"all": [None, "by hand", None]}


# --- approvals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decision", "status"), [("approve", "completed"), ("reject", "failed")])
def test_an_approval_waits_for_a_decision(stranger: Stranger, decision: str, status: str):
    definition = workflow(approval(timeout_ms=600_000), output_mapping={"said": "${nodes.ask.output.comment}"})
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    node = waiting(stranger, run_id, "ask")
    [item] = stranger.get("/api/approvals", run_id=run_id)["items"]
    assert {"id", "run_id", "node_id", "message", "approvers", "requested_at", "expires_at"} <= item.keys()
    assert (item["message"], item["status"], node["waiting_for"]["approval_id"]) == ("go on?", "open", item["id"])
    answer = operate(stranger, f"/api/approvals/{item['id']}", {"decision": decision, "comment": "since"})
    assert (answer["id"], answer["decision"]) == (item["id"], decision)
    ended = stranger.ended(run_id)
    assert ended["status"] == status
    assert stranger.get("/api/approvals", run_id=run_id)["items"] == []
    decided = stranger.get(f"/api/approvals/{item['id']}")
    assert (decided["decision"], decided["comment"], decided["decided_by"]) == (decision, "since", "admin")
    if decision == "reject":
        assert ended["error"]["code"] == "APPROVAL_REJECTED"
    else:
        assert ended["output_data"] == {"said": "since"}
    problem(stranger.send("POST", f"/api/approvals/{item['id']}", {"decision": decision}), 409)


# --- many runs, labels, priority --------------------------------------------------------------------------------------


def test_many_runs_are_found_and_ended(stranger: Stranger):
    definition = workflow(approval())
    stranger.save(definition)
    runs = {stranger.execute(definition["id"], labels={"set": definition["id"]}) for _ in range(4)}
    other = stranger.execute(definition["id"])
    for run_id in runs:
        run_as(stranger, run_id, "running")
    chosen = {"label": f"set={definition['id']}"}
    for action in ("pause", "resume", "cancel"):
        answer = operate(stranger, "/api/runs/bulk", {"filter": chosen, "action": action})
        assert (set(answer["run_ids"]), answer["refused"]) == (runs, []), action
    for run_id in runs:
        assert run_as(stranger, run_id, "cancelled")
    assert stranger.get(f"/api/runs/{other}")["status"] == "running"
    operate(stranger, f"/api/runs/{other}", {"labels": {"kept": "yes"}, "priority": 9}, "PATCH")
    [found] = stranger.get("/api/runs", label="kept=yes", workflow_id=definition["id"])["items"]
    assert (found["run_id"], found["priority"]) == (other, 9)
    retried = operate(stranger, "/api/runs/bulk", {"filter": chosen, "action": "retry"})
    assert set(retried["run_ids"]) == runs
    operate(stranger, "/api/runs/bulk", {"filter": {"workflow_id": definition["id"]}, "action": "cancel"})


def test_a_run_that_has_not_begun_is_not_passed_over_when_many_are_paused(stranger: Stranger):
    definition = workflow(approval(), settings={"concurrency": {"limit": 1, "on_conflict": "queue"}})
    stranger.save(definition)
    first, second = (stranger.execute(definition["id"]) for _ in range(2))
    run_as(stranger, first, "running")
    run_as(stranger, second, "pending")
    chosen = {"filter": {"workflow_id": definition["id"]}}
    paused = operate(stranger, "/api/runs/bulk", chosen | {"action": "pause"})
    assert paused["run_ids"] == [first]
    [refused] = paused["refused"]
    assert (refused["run_id"], refused["code"]) == (second, "INVALID_FLOW_STATE")
    assert set(operate(stranger, "/api/runs/bulk", chosen | {"action": "cancel"})["run_ids"]) == {first, second}


# --- dead letters -----------------------------------------------------------------------------------------------------


async def test_a_message_that_nobody_understood_is_tried_once_more(stranger: Stranger):
    mark = f"no event {time.monotonic_ns()}"
    async with stranger.nats() as connection:
        await connection.jetstream().publish("flowforge.inbox.shop", mark.encode())

    def letter() -> Object | None:
        return next((item for item in stranger.get("/api/dead-letters")["items"] if item["body"] == mark), None)

    found = until(stranger, letter)
    assert (found["service"], found["status"], found["failures"]) == ("triggers", "open", 1)
    assert operate(stranger, f"/api/dead-letters/{found['id']}/retry")["service"] == "triggers"
    again = until(stranger, lambda: (item := letter()) is not None and item["failures"] == 2 and item)
    assert (again["id"], again["status"], again["retried_by"]) == (found["id"], "open", "admin")
    assert stranger.cli("dead-letters", "retry", found["id"]).status == 0
    problem(stranger.send("POST", "/api/dead-letters/019ca945-2b5d-764f-be2e-79b6b73f502e/retry", {}), 404)


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line_does_the_same(stranger: Stranger):
    definition = workflow(approval(approvers=["bo"]), transform("after"), edges=[edge("ask", "after")])
    stranger.save(definition)
    run_id = stranger.execute(definition["id"])
    waiting(stranger, run_id, "ask")

    def cli(*words: str, status: int = 0) -> Any:
        ended = stranger.cli(*words, "--json")
        assert ended.status == status, ended.err
        return json.loads(ended.out) if ended.out.strip() else None

    assert cli("runs", "pause", run_id)["status"] == "paused"
    assert cli("runs", "resume", run_id)["status"] == "running"
    assert cli("runs", "change", run_id, "--label", "a=b", "--breakpoint", "after")["run_id"] == run_id
    [item] = cli("approvals", "list", "--run", run_id)["items"]
    shown = stranger.cli("approvals", "list", "--run", run_id)
    assert "go on?" in shown.out
    assert "bo" in shown.out
    assert cli("approvals", "approve", item["id"], "--comment", "fine")["decision"] == "approve"
    run_as(stranger, run_id, "paused")
    assert cli("runs", "step", run_id)["run_id"] == run_id
    assert run_as(stranger, run_id, "completed")["labels"] == {"a": "b"}
    assert cli("runs", "retry", run_id, "--node", "ask")["run_id"] == run_id
    waiting(stranger, run_id, "ask")
    assert cli("nodes", "skip", run_id, "ask", "--comment", "not again")["run_id"] == run_id
    run_as(stranger, run_id, "completed")
    watched = stranger.cli("watch", run_id)
    assert watched.status == 0
    assert "RunRetried" in watched.out
    assert "skip by hand not again" in watched.out
    answer = cli("runs", "bulk", "cancel", "--run", run_id, status=1)
    assert answer["refused"][0]["code"] == "INVALID_FLOW_STATE"
    refused = stranger.cli("runs", "pause", run_id)
    assert (refused.status, "cannot be paused" in refused.err) == (1, True)
    nobody = stranger.cli("runs", "pause", "019ca945-2b5d-764f-be2e-79b6b73f502e")
    assert (nobody.status, "see the latest with: flowforge runs" in nobody.err) == (1, True)
    assert cli("dead-letters", "list")["items"] is not None
