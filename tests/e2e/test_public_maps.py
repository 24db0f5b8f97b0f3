"""`for_each`: one node, an instance for each item."""

import json

from tests.e2e.stranger import (
    Stranger,
    bash,
    edge,
    error_of,
    node_runs,
    statuses,
    transform,
    workflow,
)


def test_for_each_is_an_instance_per_item_and_a_list_in_order(stranger: Stranger):
    definition = workflow(
        transform("map", for_each="${input.items}", expressions={"square": "${item * item}", "at": "${index}"}),
        transform("after", expressions={"n": "${size(nodes.map.output)}", "last": "${nodes.map.output[24].square}"}),
        edges=[edge("map", "after")],
    )
    run = stranger.run(definition, input_data={"items": list(range(25))})
    row = node_runs(run)["map"]
    assert row["instances_count"] == 25
    assert row["output"] == [{"square": n * n, "at": n} for n in range(25)]
    assert node_runs(run)["after"]["output"] == {"n": 25, "last": 576}
    assert len(run["node_runs"]) == 2
    first = stranger.get(f"/api/runs/{run['run_id']}/nodes/map", limit=10)["instances"]
    assert len(first["items"]) == 10
    assert first["items"][0].keys() >= {"node_id", "instance", "status"}
    second = stranger.get(f"/api/runs/{run['run_id']}/nodes/map", limit=10, cursor=first["next_cursor"])["instances"]
    assert not {json.dumps(i["instance"]) for i in first["items"]} & {
        json.dumps(i["instance"]) for i in second["items"]
    }


def test_for_each_over_nothing_and_over_no_list(stranger: Stranger):
    definition = workflow(transform("map", for_each="${input.items}", expressions={"x": "${item}"}))
    run = stranger.run(definition, input_data={"items": []})
    assert (run["status"], run["node_runs"][0]["output"]) == ("completed", [])
    run = stranger.ended(stranger.execute(definition["id"], input_data={"items": 7}))
    assert run["status"] == "failed"
    assert error_of(run, "map")["code"] in {"EXPRESSION_ERROR", "INPUT_INVALID"}


def test_an_instance_that_fails_fails_its_node_unless_allowed(stranger: Stranger):
    script = '[ "$(cat $FLOWFORGE_INPUT)" != 2 ] && cp $FLOWFORGE_INPUT $FLOWFORGE_OUTPUT'
    node = bash("map", script, for_each="${[1, 2, 3]}", env={"ITEM": "${item}"})
    node["source"] = '[ "$ITEM" != 2 ] && echo "$ITEM" > "$FLOWFORGE_OUTPUT"'
    run = stranger.run(workflow(node, settings={"fail_fast": False}))
    assert (run["status"], statuses(run)) == ("failed", {"map": "failed"})
    instances = stranger.get(f"/api/runs/{run['run_id']}/nodes/map")["instances"]["items"]
    assert [i["status"] for i in instances] == ["completed", "failed", "completed"]
    allowed = stranger.run(workflow(node | {"allow_failure": True}))
    assert allowed["status"] == "completed"


def test_max_parallel_limits_instances(stranger: Stranger):
    node = bash("map", "sleep 0.05", for_each="${[1, 2, 3, 4, 5, 6]}", max_parallel=2)
    run = stranger.run(workflow(node))
    under_way = highest = 0
    for event in stranger.history(run["run_id"]):
        under_way += (
            {"NodeQueued": 1, "NodeCompleted": -1}.get(event["type"], 0) if event["data"].get("instance") else 0
        )
        highest = max(highest, under_way)
    assert (run["status"], highest) == ("completed", 2)
