# ruff: noqa: ISC004
"""What validation finds, and in which words."""

import time
from typing import Any

import pytest
from flowforge.definition import locate

from services.catalog.settings import findings_shown_max
from services.catalog.validation import Report, validate
from tests.unit.catalog.documents import edge, job, workflow


def told(report: Report) -> list[str]:
    """`type path: message; resolution` of everything found."""
    found = [*report.errors, *report.warnings]
    return [f"{item.type} {item.path}: {item.message}; {item.suggested_resolution}" for item in found]


def kinds(report: Report) -> list[tuple[str, str]]:
    return [(item.type, item.path) for item in (*report.errors, *report.warnings)]


def test_a_sound_workflow_has_no_findings() -> None:
    report = validate(
        workflow(
            job("a", payload={"region": "${variables.region}"}, outputs=[{"name": "rows", "type": "array"}]),
            job("b", for_each="${nodes.a.output.rows}", input_mapping={"row": "${item}", "n": "${index}"}),
            {"id": "c", "type": "script", "config": {"language": "bash", "source": "echo ${x}",
                                                     "env": {"KEY": "${secrets.key}", "A": "${nodes.b.output}"}}},
            {"id": "d", "type": "end", "output": {"all": "${nodes.c.status}"}},
            edges=[edge("a", "b"), edge("b", "c", condition="nodes.a.output.rows.size() > 0"), edge("c", "d")],
            variables=[{"name": "region", "default_value": "eu"}],
            input_schema={"type": "object", "properties": {"x": {"type": "integer"}}},
            output_mapping={"out": "${nodes.c.output}"},
            triggers=[{"id": "t", "type": "event", "input": {"f": "${event.data.file}"},
                       "config": {"event_type": "file.*", "filter": "event.data.size > 10"}}],
        )
    )  # fmt: skip
    assert told(report) == []
    assert report.is_valid


GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    (
        "a field that does not exist",
        workflow(job("a", pay_load={})),
        "UNKNOWN_FIELD $.nodes[0].pay_load: Object contains unknown field `pay_load`; did you mean `payload`?",
    ),
    (
        "a field that does not exist at the top",
        workflow(job("a"), variabels=[]),
        "UNKNOWN_FIELD $.variabels: Object contains unknown field `variabels`; did you mean `variables`?",
    ),
    (
        "a type that does not exist",
        workflow({"id": "a", "type": "jobb"}),
        "UNKNOWN_TYPE $.nodes[0].type: unknown type 'jobb'; did you mean `job`?",
    ),
    (
        "no nodes",
        workflow(),
        "NO_NODES $.nodes: a workflow needs at least one node; add a node",
    ),
    (
        "a node twice",
        workflow(job("a"), job("a")),
        "DUPLICATE_NODE $.nodes[1].id: the node 'a' stands twice, first at $.nodes[0].id; give one of them another id",
    ),
    (
        "an edge to a misspelled node",
        workflow(job("load"), job("clean"), edges=[edge("load", "claen")]),
        "MISSING_DEPENDENCY $.edges[0].target_node_id: the edge load → claen names a node 'claen' that does not exist; "
        "did you mean `clean`?",
    ),
    (
        "a cycle",
        workflow(job("a"), job("b"), job("c"), edges=[edge("a", "b"), edge("b", "c"), edge("c", "a")]),
        "CIRCULAR_DEPENDENCY $.edges[2]: these nodes wait for each other: a → b → c → a; "
        "remove one of the edges, for instance c → a",
    ),
    (
        "an edge to itself",
        workflow(job("a"), edges=[edge("a", "a")]),
        "CIRCULAR_DEPENDENCY $.edges[0]: the node 'a' has an edge to itself; "
        "remove the edge; to repeat a node over a list, use for_each",
    ),
    (
        "dependency and run_if",
        workflow(job("a"), job("b", run_if="all_done"), edges=[edge("a", "b", dependency="on_failure")]),
        "RUN_IF_CONFLICT $.edges[0].dependency: the node 'b' has run_if 'all_done', so the edge a → b cannot have the "
        "dependency 'on_failure' as well; use one of the two: leave out the dependency, or leave out run_if",
    ),
    (
        "an expression that names no node",
        workflow(job("load"), job("b", payload={"n": ["${nodes.lod.output}"]}), edges=[edge("load", "b")]),
        "MISSING_DEPENDENCY $.nodes[1].payload.n[0]: the expression names a node 'lod' that does not exist; "
        "did you mean `load`?",
    ),
    (
        "a forgotten .output",
        workflow(job("a"), job("b", payload={"n": "${nodes.a.rows}"}), edges=[edge("a", "b")]),
        "EXPRESSION_ERROR $.nodes[1].payload.n: a node has output, status, error, but no 'rows'; "
        "did you mean nodes.a.output.rows?",
    ),
    (
        "a node that is not upstream",
        workflow(
            job("a"), job("b", payload={"n": "${nodes.a.output}"}), job("c"), edges=[edge("c", "b"), edge("c", "a")]
        ),
        "NOT_UPSTREAM $.nodes[1].payload.n: 'b' reads the node 'a', which need not have ended before: no path of edges "
        "leads from it; add an edge a → b, or a path",
    ),
    (
        "a variable that does not exist",
        workflow(job("a", payload="${variables.regoin}"), variables=[{"name": "region"}]),
        "UNKNOWN_VARIABLE $.nodes[0].payload: there is no variable 'regoin'; did you mean `region`?",
    ),
    (
        "a default of another type",
        workflow(job("a"), variables=[{"name": "n", "type": "number", "default_value": "5"}]),
        "TYPE_MISMATCH $.variables[0].default_value: the variable 'n' is of type number, its default of type string; "
        "give a default of type number, or make its type string",
    ),
    (
        "item without for_each",
        workflow(job("a", payload="${item.name}")),
        "EXPRESSION_ERROR $.nodes[0].payload: 'item' has no value here: it exists only inside for_each; "
        "give the node a for_each, or use input or variables",
    ),
    (
        "an expression without its braces",
        workflow({"id": "a", "type": "data_transform", "expressions": {"sum": "input.a + input.b"}}),
        "NOT_AN_EXPRESSION $.nodes[0].expressions.sum: 'input.a + input.b' is a plain text here, not an expression; "
        "write ${input.a + input.b} to have its value",
    ),
    (
        "for_each over a text",
        workflow(job("a", for_each="input.files")),
        "EXPRESSION_ERROR $.nodes[0].for_each: for_each of 'a' must give a list, this is a text; "
        "write a list, or one expression that gives one: ${input.items}",
    ),
    (
        "a container without an image",
        workflow({"id": "a", "type": "script", "language": "bash", "source": "x", "isolation": "container"}),
        "MISSING_IMAGE $.nodes[0].isolation: the script 'a' asks for a container, and no image is given; "
        "add image, such as python:3.13-slim",
    ),
    (
        "ports of different types",
        workflow(
            job("a", outputs=[{"name": "n", "type": "number"}]),
            job("b", inputs=[{"name": "s", "type": "string"}]),
            edges=[edge("a", "b", source_output="n", target_input="s")],
        ),
        "TYPE_MISMATCH $.edges[0]: the output 'n' of 'a' is of type number, the input 's' of 'b' of type string; "
        "make the types equal, or convert the value with input_mapping",
    ),
    (
        "a port that does not exist",
        workflow(job("a", outputs=[{"name": "rows"}]), job("b"), edges=[edge("a", "b", source_output="row")]),
        "MISSING_PORT $.edges[0].source_output: the node 'a' has no output 'row'; did you mean `rows`?",
    ),
    (
        "a required input that nothing gives",
        workflow(job("a", inputs=[{"name": "x"}, {"name": "y", "required": False}], input_mapping={"z": 1})),
        "MISSING_INPUT $.nodes[0].inputs[0]: nothing gives the required input 'x' of 'a'; map it in input_mapping",
    ),
    (
        "an orphan",
        workflow(job("a"), job("b"), job("c"), edges=[edge("a", "b")]),
        "ORPHANED_NODE $.nodes[2]: no edge leads to or from the node 'c': it runs at once, beside all others; "
        "add an edge, or remove the node",
    ),
    (
        "an order that is not complete",
        workflow(job("a", order_index=1), job("b")),
        "ORDER_INCOMPLETE $.nodes: some nodes have an order_index and some have none, so it is not followed: all nodes "
        "run in parallel; give every node an order_index, or write edges",
    ),
    (
        "a schema that is none",
        workflow(job("a"), input_schema={"properties": {"n": {"minimum": "five"}}}),
        'SCHEMA_INVALID $.input_schema.properties.n.minimum: "five" is not of type "number"; input_schema is a JSON '
        "Schema of draft 2020-12, without references to other documents",
    ),
    (
        "a wait that is shorter than the first one",
        workflow(job("a", retry_policy={"delay_ms": 500, "max_delay_ms": 100})),
        "RETRY_DELAY $.nodes[0].retry_policy.max_delay_ms: max_delay_ms (100) is below delay_ms (500), so it is what "
        "is waited; raise max_delay_ms, or lower delay_ms",
    ),
]


@pytest.mark.parametrize(("document", "text"), [case[1:] for case in GOLDEN], ids=[case[0] for case in GOLDEN])
def test_a_strangers_mistake_is_told_with_place_and_remedy(document: dict[str, Any], text: str) -> None:
    assert told(validate(document))[0] == text


def test_a_bad_expression_is_told_with_its_position() -> None:
    report = validate(
        workflow(
            job("a", payload={"deep": [{"x": "sum: ${input.a +}"}]}),
            triggers=[{"id": "t", "type": "event", "config": {"event_type": "e", "filter": "event.data.n >"}}],
        )
    )
    assert [(item.path, "at 1:" in item.message) for item in report.errors] == [
        ("$.nodes[0].payload.deep[0].x", True),
        ("$.triggers[0].config.filter", True),
    ]


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("$.nodes[0].input_mapping.x", {"nodes": [job("a", input_mapping={"x": "${)}"})]}),
        ("$.nodes[0].output_mapping.x", {"nodes": [job("a", output_mapping={"x": "${)}"})]}),
        ("$.nodes[0].payload", {"nodes": [job("a", payload="${)}")]}),
        ("$.nodes[0].for_each", {"nodes": [job("a", for_each="${)}")]}),
        ("$.nodes[0].for_each[1]", {"nodes": [job("a", for_each=[1, "${)}"])]}),
        ("$.nodes[0].env.A", {"nodes": [{"id": "a", "type": "script", "language": "bash", "source": "x",
                                         "env": {"A": "${)}"}}]}),
        ("$.nodes[0].config.env.A", {"nodes": [{"id": "a", "type": "script", "config": {
            "language": "bash", "source": "x", "env": {"A": "${)}"}}}]}),
        ("$.nodes[0].expressions.a", {"nodes": [{"id": "a", "type": "data_transform", "expressions": {"a": "${)}"}}]}),
        ("$.nodes[0].output.a", {"nodes": [{"id": "a", "type": "end", "output": {"a": "${)}"}}]}),
        ("$.edges[0].condition", {"nodes": [job("a"), job("b")], "edges": [edge("a", "b", condition=")")]}),
        ("$.triggers[0].config.filter", {"triggers": [
            {"id": "t", "type": "event", "config": {"event_type": "e", "filter": ")"}}]}),
        ("$.triggers[0].input.a", {"triggers": [{"id": "t", "type": "manual", "input": {"a": "${)}"}}]}),
        ("$.output_mapping.a", {"output_mapping": {"a": "${)}"}}),
    ],
)  # fmt: skip
def test_every_place_of_an_expression_is_read(place: str, fields: dict[str, Any]) -> None:
    assert kinds(validate({**workflow(job("a")), **fields})) == [("EXPRESSION_ERROR", place)]


def test_secrets_are_seen_in_env_only() -> None:
    script = {"id": "a", "type": "script", "language": "bash", "source": "x", "env": {"K": "${secrets.key}"}}
    assert told(validate(workflow(script))) == []
    assert not validate(workflow(job("a", payload="${secrets.key}"))).is_valid


def test_one_mistake_does_not_hide_the_next() -> None:
    report = validate(
        {
            "id": "W!",
            "name": "",
            "bogus": 1,
            "settings": {"max_parallel_jobs": 0},
            "nodes": [job("a", typo=1), {"id": "b", "type": "unknown"}, job("c", payload="${nodes.x.output}"), 5],
            "edges": [edge("c", "a"), edge("a", "b"), edge("b", "nowhere"), {"source_node_id": "a"}],
            "variables": [{"name": "v"}, {"name": "v"}],
            "triggers": [{"id": "t", "type": "event", "config": {}}],
        }
    )
    assert set(kinds(report)) == {
        ("INVALID_FIELD", "$.id"),
        ("INVALID_FIELD", "$.name"),
        ("UNKNOWN_FIELD", "$.bogus"),
        ("INVALID_FIELD", "$.settings.max_parallel_jobs"),
        ("UNKNOWN_FIELD", "$.nodes[0].typo"),
        ("UNKNOWN_TYPE", "$.nodes[1].type"),
        ("INVALID_FIELD", "$.nodes[3]"),
        ("MISSING_FIELD", "$.edges[3]"),
        ("MISSING_FIELD", "$.triggers[0].config"),
        ("MISSING_DEPENDENCY", "$.edges[2].target_node_id"),
        ("MISSING_DEPENDENCY", "$.nodes[2].payload"),
        ("DUPLICATE_VARIABLE", "$.variables[1].name"),
    }


def test_a_variable_that_a_node_sets_is_known() -> None:
    report = validate(
        workflow(
            job("a", output_mapping={"found": "${output.n}"}),
            job("b", payload="${variables.found}"),
            edges=[edge("a", "b")],
        )
    )
    assert told(report) == []


def test_asking_whether_a_variable_is_there_is_no_mistake() -> None:
    assert told(validate(workflow(job("a", payload="${has(variables.x) ? 1 : 2}")))) == []


def test_what_hangs_on_a_cycle_is_unreachable() -> None:
    edges = [edge("a", "b"), edge("b", "a"), edge("b", "c"), edge("r", "s")]
    report = validate(workflow(job("a"), job("b"), job("c"), job("r"), job("s"), edges=edges))
    assert report.circular_dependencies == [["a", "b"]]
    assert report.unreachable_nodes == ["a", "b", "c"]
    assert report.orphaned_nodes == []


def test_an_order_makes_a_chain_in_which_the_earlier_are_upstream() -> None:
    first, second = (
        job("a", order_index=1, payload="${nodes.b.output}"),
        job("b", order_index=2, payload="${nodes.a.output}"),
    )
    assert kinds(validate(workflow(first, second))) == [("NOT_UPSTREAM", "$.nodes[0].payload")]


def test_a_schema_may_not_lead_elsewhere() -> None:
    for reference in ("http://127.0.0.1:1/schema", "file:///etc/passwd", "#/$defs/none"):
        report = validate(workflow(job("a"), input_schema={"$ref": reference}))
        assert kinds(report) == [("SCHEMA_INVALID", "$.input_schema")]


def test_a_template_may_not_be_nested_too_deep() -> None:
    payload: Any = "x"
    for _ in range(300):
        payload = {"a": payload}
    [error] = validate(workflow(job("a", payload=payload))).errors
    assert (error.type, error.path) == ("EXPRESSION_ERROR", "$.nodes[0].payload")


def test_the_character_that_databases_refuse_is_refused() -> None:
    assert kinds(validate(workflow(job("a", payload={"b": "\x00"})))) == [("INVALID_TEXT", "$.nodes[0].payload.b")]
    assert told(validate(workflow(job("a", payload={"b": "\\u0000"})))) == []


@pytest.mark.parametrize(
    ("place", "document"),
    [
        ("$.id", workflow(job("a"), id="w\n")),
        ("$.nodes[0].id", workflow(job("a\n"))),
        ("$.nodes[0].job_type", workflow(job("a", job_type="x\n"))),
        ("$.nodes[0].queue", workflow(job("a", queue="x\n"))),
        ("$.nodes[0].pool", workflow(job("a", pool="x\n"))),
        ("$.variables[0].name", workflow(job("a"), variables=[{"name": "v\n"}])),
        ("$.triggers[0].id", workflow(job("a"), triggers=[{"id": "t\n", "type": "manual"}])),
    ],
)
def test_no_name_ends_with_a_line_end(place: str, document: dict[str, Any]) -> None:
    """It would become a part of a subject of the bus, and cut the message in two."""
    assert place in [item.path for item in validate(document).errors]
    assert "matching regex '" in validate(document).errors[0].message
    assert validate(document).errors[0].message.endswith("$'")


def test_very_many_findings_are_cut_and_say_so() -> None:
    nodes = [job(f"n{n}") for n in range(findings_shown_max)]
    edges = [edge(f"n{n}", "nowhere", id=f"e{n}") for n in range(findings_shown_max)] + [edge("n0", "no")] * 5
    report = validate(workflow(*nodes, edges=edges))
    assert len(report.errors) == findings_shown_max + 1
    assert report.errors[-1].message == "5 more of these are not shown"


def test_a_path_can_be_found_in_the_text() -> None:
    text = "id: w\nname: W\nnodes:\n  - id: a\n    type: job\n    job_type: x\n    pay_load: {}\n"
    assert locate(text, "$.nodes[0].pay_load") == (7, 15)


def test_ten_thousand_nodes_take_less_than_a_second() -> None:
    count = 10_000
    nodes = [job(f"n{n}", payload={"a": f"${{nodes.n{max(n - 9, 0)}.output.x}}"}) for n in range(count)]
    edges = [edge(f"n{n}", f"n{n + 1}") for n in range(count - 1)]
    document = workflow(*nodes, edges=edges)
    started_s = time.process_time()
    report = validate(document)
    assert time.process_time() - started_s < 3  # under a second on a machine that does nothing else
    assert report.is_valid
    nodes = [job(f"n{n}") for n in range(count)]
    report = validate(workflow(*nodes, edges=[*edges, edge(f"n{count - 1}", "n0")]))
    assert len(report.circular_dependencies) == 1


_BATCH = {"count": 2, "window_ms": 1}


def dependency(**config: Any) -> dict[str, Any]:
    upstreams = [{"workflow_id": "a"}, {"workflow_id": "b"}]
    return {"id": "t", "type": "dependency", "config": {"upstreams": upstreams, **config}}


@pytest.mark.parametrize(
    ("trigger", "path"),
    [
        (
            dependency(logic="all", upstreams=[{"workflow_id": "a"}, {"workflow_id": "a"}]),
            "$.triggers[0].config.upstreams",
        ),
        (dependency(logic="all", correlate_by="run.labels."), "$.triggers[0].config.correlate_by"),
        (dependency(logic="all", correlate_by="event.data.day"), "$.triggers[0].config.correlate_by"),
        (dependency(upstreams=[]), "$.triggers[0].config.upstreams"),
        (dependency(window_ms=0), "$.triggers[0].config.window_ms"),
        (
            {
                "id": "t",
                "type": "event",
                "config": {"event_type": "x", "absent_for_ms": 1, "batch": _BATCH},
            },
            "$.triggers[0].config.batch",
        ),
        ({"id": "t", "type": "manual", "limit": {"max_fires": 0, "per_ms": 1}}, "$.triggers[0].limit.max_fires"),
        ({"id": "t", "type": "manual", "debounce_ms": "1s"}, "$.triggers[0].debounce_ms"),
    ],
)
def test_settings_of_triggers_that_make_no_sense_are_refused_with_their_path(trigger: dict[str, Any], path: str):
    report = validate({"id": "w", "name": "W", "nodes": [{"id": "n", "type": "start"}], "triggers": [trigger]})
    assert [finding.path for finding in report.errors] == [path]
