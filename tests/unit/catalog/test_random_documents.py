"""Whatever is validated is answered, and cycles are found in every graph: documents at random."""

from collections.abc import Iterator
from typing import Any

from flowforge.definition import parse
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.validation import validate
from tests.unit.catalog import test_branches, test_kinds, test_loops
from tests.unit.catalog.documents import edges, job, loop, without_nothing, workflow

ODD: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, "", "a", "l", "p", "m", "${", "${)}", "${item}", "${nodes.a.output}", "\x00", "é" * 3,
    [], ["a"], [[]], [None], {}, {"a": {}}, {"nodes": []}, {"nodes": [{}], "edges": [{}]}, {"nodes": {}, "edges": 3},
    {"config": {"body": []}}, [{"id": "a", "type": "loop", "body": {"nodes": [{"id": "l"}]}}],
]  # fmt: skip
DOCUMENTS = [
    document
    for each in (test_branches, test_kinds, test_loops)
    for document in (*each.SOUND.values(), *(document for document, _ in each.BAD.values()))
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copied = value.copy()
    copied[path[0]] = replaced(value[path[0]], path[1:], other)
    return copied


@settings(max_examples=400)
@given(st.data())
def test_whatever_becomes_of_a_document_is_answered(data: st.DataObject) -> None:
    document = without_nothing(data.draw(st.sampled_from(DOCUMENTS)))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(document)))
        document = replaced(document, path, data.draw(st.sampled_from(ODD)))
    report = validate(document)
    assert report.is_valid == (not report.errors)
    for item in (*report.errors, *report.warnings):
        assert item.path.startswith("$")
        assert item.message
        assert item.suggested_resolution or item.type in {"INVALID_FIELD", "EXPRESSION_ERROR"}, item
    if report.is_valid:
        workflow_, faults = parse(document)
        assert workflow_ is not None, faults


def ends_of(graph: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in graph.get("edges", []):
        yield one["source_node_id"], one["target_node_id"]
    for one in graph["nodes"]:
        yield from ends_of(one["body"]) if one["type"] == "loop" else ()


@st.composite
def nested(draw: st.DrawFn, depth: int = 0, prefix: str = "n") -> dict[str, Any]:
    """A graph of jobs and loops in which edges lead anywhere within it, cycles included."""
    count = draw(st.integers(1, 4))
    names = [f"{prefix}{at}" for at in range(count)]
    nodes = [
        {**loop(name, loop_type="count", array_source=None, count=1), "body": draw(nested(depth + 1, f"{name}-"))}
        if depth < 2 and draw(st.integers(0, 3)) == 0
        else job(name)
        for name in names
    ]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    return {"nodes": nodes, "edges": edges(*(f"{a} {b}" for a, b in draw(st.lists(pairs, max_size=6, unique=True))))}


@given(nested())
def test_a_cycle_is_found_exactly_if_there_is_one_in_any_graph(graph: dict[str, Any]) -> None:
    report = validate(without_nothing(workflow(*graph["nodes"], edges=graph["edges"])))
    pairs = set(ends_of(graph))
    left = {name for pair in pairs for name in pair}
    while free := {name for name in left if not any(a in left and b == name for a, b in pairs)}:
        left -= free
    assert bool(report.circular_dependencies) == bool(left)
    assert {item.type for item in report.errors} <= {"CIRCULAR_DEPENDENCY"}
    for cycle in report.circular_dependencies:
        assert all(pair in pairs for pair in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
