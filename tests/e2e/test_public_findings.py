"""What is wrong with a definition, told over HTTP with its place: by a save, and by asking."""

import json
from typing import Any

import pytest

from tests.e2e.stranger import Object, Stranger, edge, problem, transform, workflow


def refused(stranger: Stranger, definition: Any) -> Object:
    return problem(stranger.send("POST", "/api/workflows", definition), 400, 422)


def paths(told: Object) -> list[str]:
    return [error.get("path", "") for error in told["errors"]]


# --- refusing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (lambda d: d, "colour"),
        (lambda d: d["nodes"][0], "colour"),
        (lambda d: d["nodes"][0]["retry_policy"], "colour"),
        (lambda d: d["settings"], "colour"),
        (lambda d: d["edges"][0], "colour"),
        (lambda d: d["triggers"][0], "colour"),
        (lambda d: d["triggers"][0]["config"], "colour"),
        (lambda d: d["variables"][0], "colour"),
    ],
    ids=["workflow", "node", "retry_policy", "settings", "edge", "trigger", "trigger-config", "variable"],
)
def test_unknown_fields_are_refused_with_their_path(stranger: Stranger, place: Any, field: str):
    definition = workflow(
        transform("a", retry_policy={"max_attempts": 2}),
        transform("b"),
        settings={"fail_fast": True},
        edges=[edge("a", "b")],
        variables=[{"name": "v", "type": "string"}],
        triggers=[{"id": "t", "type": "event", "config": {"event_type": "x"}}],
    )
    place(definition)[field] = "red"
    told = refused(stranger, definition)
    assert field in json.dumps(told["errors"])
    assert any(path.endswith(field) for path in paths(told)), told


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"nodes": "none"}, "nodes"),
        ({"settings": {"max_parallel_jobs": "many"}}, "settings.max_parallel_jobs"),
        ({"settings": {"max_parallel_jobs": 0}}, "settings.max_parallel_jobs"),
        ({"settings": {"timeout_ms": -1}}, "settings.timeout_ms"),
        ({"status": "sleeping"}, "status"),
        ({"tags": "etl"}, "tags"),
        ({"id": "Not A Slug"}, "id"),
        ({"name": 7}, "name"),
        ({"variables": [{"name": "v", "type": "date"}]}, "variables"),
        ({"input_schema": {"type": "nonsense"}}, "input_schema"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_values_are_refused_with_their_path(stranger: Stranger, change: Object, path: str):
    told = refused(stranger, workflow(transform("a")) | change)
    assert any(path in p.replace("$.", "") for p in paths(told)), told


def test_a_missing_name_or_nodes_is_told(stranger: Stranger):
    for field in ("id", "name", "nodes"):
        definition = workflow(transform("a"))
        del definition[field]
        assert field in json.dumps(refused(stranger, definition))


@pytest.mark.parametrize("status", ["draft", "archived", "active"])
def test_an_invalid_definition_is_refused_whatever_its_status(stranger: Stranger, status: str):
    cyclic = workflow(transform("a"), transform("b"), edges=[edge("a", "b"), edge("b", "a")], status=status)
    assert "a" in json.dumps(refused(stranger, cyclic)["errors"])
    assert stranger.http.get(f"/api/workflows/{cyclic['id']}").status_code == 404


def findings(stranger: Stranger, definition: Object) -> Object:
    answer = stranger.send("POST", "/api/workflows/validate", definition)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {
        "is_valid", "errors", "warnings", "circular_dependencies", "unreachable_nodes", "orphaned_nodes",
    } <= told.keys()  # fmt: skip
    for finding in told["errors"] + told["warnings"]:
        assert {"type", "nodes", "path", "message", "severity", "suggested_resolution"} <= finding.keys()
        assert finding["message"]
        assert finding["suggested_resolution"]
    assert told["is_valid"] is (told["errors"] == [])
    return told


def test_a_valid_definition_has_no_findings_and_is_not_saved(stranger: Stranger):
    definition = workflow(transform("a"), transform("b"), edges=[edge("a", "b")])
    told = findings(stranger, definition)
    assert told["is_valid"]
    assert told["errors"] == told["warnings"] == told["circular_dependencies"] == []
    assert stranger.http.get(f"/api/workflows/{definition['id']}").status_code == 404


def test_cycles_are_found_with_their_nodes(stranger: Stranger):
    nodes = [transform(name) for name in "abcd"]
    edges = [edge("a", "b"), edge("b", "c"), edge("c", "b"), edge("a", "d")]
    told = findings(stranger, workflow(*nodes, edges=edges))
    assert [sorted(set(cycle)) for cycle in told["circular_dependencies"]] == [["b", "c"]]
    assert {"b", "c"} <= set(told["errors"][0]["nodes"])


def test_a_node_that_needs_itself_is_a_cycle(stranger: Stranger):
    told = findings(stranger, workflow(transform("a"), edges=[edge("a", "a")]))
    assert not told["is_valid"]
    assert told["circular_dependencies"]


def test_missing_nodes_and_duplicate_ids_are_errors(stranger: Stranger):
    missing = findings(stranger, workflow(transform("a"), edges=[edge("a", "ghost")]))
    assert any("ghost" in json.dumps(error) for error in missing["errors"])
    assert any("edges" in error["path"] for error in missing["errors"])
    twice = findings(stranger, workflow(transform("a"), transform("a")))
    assert any("a" in error["nodes"] for error in twice["errors"])
    triggers = [{"id": "t", "type": "manual"}, {"id": "t", "type": "manual"}]
    assert not findings(stranger, workflow(transform("a"), triggers=triggers))["is_valid"]


@pytest.mark.parametrize("expression", ["${1 +}", "${nodes.}", "${input.a", "${unknown_name.x}", "x ${'open} y"])
def test_bad_expressions_are_errors_with_their_place(stranger: Stranger, expression: str):
    told = findings(stranger, workflow(transform("a", expressions={"x": expression})))
    assert told["errors"], expression
    assert "expressions" in told["errors"][0]["path"]
    assert told["errors"][0]["nodes"] == ["a"]


def test_bad_expressions_elsewhere_are_errors_too(stranger: Stranger):
    event = {"id": "t", "type": "event", "config": {"event_type": "x", "filter": "event.data. == 1"}}
    for definition in (
        workflow(transform("a"), triggers=[event]),
        workflow(transform("a"), transform("b"), edges=[edge("a", "b", condition="1 +")]),
        workflow(transform("a", for_each="${[1,}")),
        workflow(transform("a", input_mapping={"x": "${)}"})),
        workflow(transform("a", output_mapping={"v": "${)}"}), variables=[{"name": "v", "type": "string"}]),
        workflow(transform("a"), output_mapping={"x": "${)}"}),
    ):
        assert findings(stranger, definition)["errors"], definition


def test_a_reference_to_a_node_that_is_not_there_is_an_error(stranger: Stranger):
    told = findings(stranger, workflow(transform("a", expressions={"x": "${nodes.ghost.output.y}"})))
    assert any("ghost" in error["message"] for error in told["errors"] + told["warnings"])


def test_ports_of_different_types_do_not_connect(stranger: Stranger):
    told = findings(
        stranger,
        workflow(
            transform("a", outputs=[{"name": "x", "type": "string"}]),
            transform("b", inputs=[{"name": "y", "type": "number"}]),
            edges=[edge("a", "b", source_output="x", target_input="y")],
        ),
    )
    assert any({"a", "b"} <= set(error["nodes"]) for error in told["errors"]), told


def test_a_bad_cron_and_an_unknown_timezone_are_errors(stranger: Stranger):
    for config in ({"cron": "61 * * * *"}, {"cron": "0 9 * * *", "timezone": "Mars/Olympus"}):
        told = findings(
            stranger, workflow(transform("a"), triggers=[{"id": "s", "type": "schedule", "config": config}])
        )
        assert any("triggers" in error["path"] for error in told["errors"]), told


def test_orphaned_and_unreachable_nodes_are_warnings_and_do_not_hinder_the_save(stranger: Stranger):
    definition = workflow(
        {"id": "start", "type": "start"}, transform("a"), transform("alone"), edges=[edge("start", "a")]
    )
    told = findings(stranger, definition)
    assert told["is_valid"]
    assert "alone" in told["orphaned_nodes"]
    assert told["warnings"]
    assert stranger.save(definition)["warnings"]


def test_dependency_other_than_on_success_does_not_go_with_a_run_if(stranger: Stranger):
    definition = workflow(
        transform("a"), transform("b", run_if="all_done"), edges=[edge("a", "b", dependency="on_failure")]
    )
    assert findings(stranger, definition)["errors"]
