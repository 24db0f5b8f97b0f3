"""Every node type that decides, repeats, waits or joins, as the public page promises it (interface.md 1.1 to 1.3)."""

import secrets
import time
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, bash, edge, node_runs, python, statuses, transform, workflow


def until(stranger: Stranger, run_id: str, *events: str) -> None:
    """Wait until the run has told one of these."""
    next(message for message in stranger.follow(run_id) if message.event in events)


# --- condition --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "taken"), [(5, "big"), (1, "small")])
def test_a_condition_takes_one_path(stranger: Stranger, amount: int, taken: str):
    run = stranger.run(
        workflow(
            {
                "id": "choice", "type": "condition",
                "config": {"condition": "input.amount > 3", "true_path": "big", "false_path": "small"},
            },
            bash("big", "true"),
            bash("small", "true"),
            transform("after", run_if="at_least_one_success"),
            edges=[edge("choice", "big"), edge("choice", "small"), edge("big", "after"), edge("small", "after")],
        ),
        input_data={"amount": amount},
    )  # fmt: skip
    other = {"big": "small", "small": "big"}[taken]
    assert statuses(run) == {"choice": "completed", taken: "completed", other: "skipped", "after": "completed"}
    assert node_runs(run)[other]["skip_reason"] == "branch_not_taken"


# --- loop -------------------------------------------------------------------------------------------------------------

SQUARE = """
import json, os
item = json.load(open(os.environ["FLOWFORGE_INPUT"]))["n"]
json.dump(item * item, open(os.environ["FLOWFORGE_OUTPUT"], "w"))
"""


def loop(node_id: str, body: list[Object], edges: list[Object] | None = None, **config: Any) -> Object:
    return {"id": node_id, "type": "loop", "config": {**config, "body": {"nodes": body, "edges": edges or []}}}


def test_a_loop_over_a_list_runs_its_body_for_each_item(stranger: Stranger):
    body = [
        python("square", SQUARE, input_mapping={"n": "${item}"}),
        transform("shown", expressions={"v": "${nodes.square.output}"}),
    ]
    run = stranger.run(
        workflow(
            loop(
                "each",
                body,
                [edge("square", "shown")],
                loop_type="for_each",
                array_source="${input.list}",
                max_parallel=2,
            ),
            output_mapping={"squares": "${nodes.each.output}"},
        ),
        input_data={"list": [1, 2, 3]},
    )
    assert run["output_data"] == {"squares": [{"v": 1}, {"v": 4}, {"v": 9}]}
    assert [row["node_id"] for row in run["node_runs"]] == ["each"]


def test_a_while_loop_goes_on_while_its_condition_holds(stranger: Stranger):
    run = stranger.run(
        workflow(
            loop(
                "double",
                [transform("n", expressions={"v": "${index == 0 ? 1 : previous.v * 2}"})],
                loop_type="while",
                condition="previous == null || previous.v < 50",
            )
        )
    )
    assert [each["v"] for each in run["output_data"]] == [1, 2, 4, 8, 16, 32, 64]


def test_a_loop_that_needs_more_iterations_than_it_may_have_fails(stranger: Stranger):
    run = stranger.run(
        workflow(loop("l", [transform("n")], loop_type="for_each", array_source="${input}", max_iterations=2)),
        input_data=[1, 2, 3],
    )
    assert run["status"] == "failed"
    assert run["error"]["code"] == "LOOP_LIMIT_EXCEEDED"
    assert run["error"]["affected_nodes"] == ["l"]


# --- parallel and merge -----------------------------------------------------------------------------------------------


def race(mode: str, count: int | None = None, **nodes: str) -> Object:
    config: Object = {"branches": [{"name": name, "target_node_id": name} for name in nodes], "wait_for": mode}
    merge: Object = {"parallel_node_id": "p", "mode": mode}
    if count is not None:
        config["required_count"] = merge["required_count"] = count
    return workflow(
        {"id": "p", "type": "parallel", "config": config},
        *(bash(name, source) for name, source in nodes.items()),
        {"id": "m", "type": "merge", "config": merge},
        transform("after"),
        edges=[*(edge("p", name) for name in nodes), *(edge(name, "m") for name in nodes), edge("m", "after")],
    )


def test_all_branches_are_joined(stranger: Stranger):
    run = stranger.run(race("all", a='echo 1 > "$FLOWFORGE_OUTPUT"', b='echo 2 > "$FLOWFORGE_OUTPUT"'))
    assert node_runs(run)["m"]["output"] == {"a": 1, "b": 2}


def test_the_first_branch_wins_and_the_others_are_cancelled(stranger: Stranger):
    started = time.monotonic()
    run = stranger.run(race("any", quick="true", slow="sleep 60", broken="exit 1"))
    assert time.monotonic() - started < 30
    assert run["status"] == "completed"
    assert statuses(run)["slow"] == "cancelled"
    assert statuses(run)["after"] == "completed"


def test_a_merge_that_cannot_have_enough_fails(stranger: Stranger):
    run = stranger.run(race("count", 2, a="true", b="exit 1", c="exit 2"))
    assert run["status"] == "failed"
    assert statuses(run)["m"] == "failed"


# --- delay ------------------------------------------------------------------------------------------------------------


def test_a_delay_lasts_as_long_as_it_says(stranger: Stranger):
    run = stranger.run(workflow({"id": "d", "type": "delay", "config": {"duration_ms": 300}}))
    row = node_runs(run)["d"]
    began, ended = datetime.fromisoformat(run["started_at"]), datetime.fromisoformat(row["completed_at"])
    assert 0.3 <= (ended - began).total_seconds() < 2


# --- wait_event -------------------------------------------------------------------------------------------------------


def waits_for(kind: str, **config: Any) -> Object:
    return workflow({"id": "w", "type": "wait_event", "config": {"event_type": kind, **config}})


def test_a_node_waits_for_an_event_that_its_filter_lets_through(stranger: Stranger):
    kind = f"paid.{secrets.token_hex(4)}"
    definition = waits_for(kind, filter="event.data.order == input.order", source="/shop*")
    stranger.save(definition)
    run_id = stranger.execute(definition["id"], input_data={"order": 7})
    until(stranger, run_id, "NodeWaiting")
    for order, source in ((6, "/shop"), (7, "/other"), (7, "/shop/1")):
        event = {
            "specversion": "1.0",
            "id": secrets.token_hex(8),
            "source": source,
            "type": kind,
            "data": {"order": order},
        }
        assert stranger.send("POST", "/api/events", event).status_code == 202
    run = stranger.ended(run_id)
    assert run["status"] == "completed"
    output = node_runs(run)["w"]["output"]
    assert (output["source"], output["data"]) == ("/shop/1", {"order": 7})


def test_an_event_that_was_there_before_does_not_count(stranger: Stranger):
    kind = f"early.{secrets.token_hex(4)}"
    event = {"specversion": "1.0", "id": "1", "source": f"/{kind}", "type": kind, "data": {}}
    assert stranger.send("POST", "/api/events", event).status_code == 202
    run = stranger.run(waits_for(kind, timeout_ms=400, on_timeout="continue"))
    assert run["status"] == "completed"
    assert node_runs(run)["w"]["output"] is None


def test_waiting_in_vain_fails(stranger: Stranger):
    run = stranger.run(waits_for(f"never.{secrets.token_hex(4)}", timeout_ms=200))
    assert run["status"] == "failed"
    assert run["error"]["code"] == "EXECUTION_TIMEOUT"


# --- partial runs and slas --------------------------------------------------------------------------------------------


def test_a_run_may_end_partial(stranger: Stranger):
    recovery = {"skip_failed_branches": True}
    run = stranger.run(workflow(bash("a", "exit 1"), bash("b", "true"), settings={"recovery": recovery}))
    assert run["status"] == "partial"
    assert run["error"]["affected_nodes"] == ["a"]


def test_a_missed_sla_is_told_and_the_run_goes_on(stranger: Stranger):
    run = stranger.run(workflow({"id": "d", "type": "delay", "duration_ms": 600}, settings={"sla_ms": 100}))
    assert run["status"] == "completed"
    assert "RunSlaMissed" in [event["type"] for event in stranger.history(run["run_id"])]
