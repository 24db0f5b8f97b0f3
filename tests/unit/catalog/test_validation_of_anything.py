"""Whatever is sent is answered, and cycles are found in whatever is drawn."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.validation import graph, validate
from tests.unit.catalog.documents import edge, job, workflow

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["${", "${nodes.a}", "${x", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("id", "name", "nodes", "edges", "triggers", "variables", "settings", "input_schema", "output_mapping", "tags")
NODE_FIELDS = ("id", "type", "config", "payload", "for_each", "inputs", "input_mapping", "env", "run_if", "job_type")
NODES = st.dictionaries(st.sampled_from(NODE_FIELDS), JSON | st.sampled_from(["job", "script", "end"]), max_size=5)
DOCUMENTS = st.dictionaries(st.sampled_from(FIELDS), JSON | st.lists(NODES, max_size=3), max_size=6)


@given(JSON | DOCUMENTS)
def test_whatever_is_sent_is_answered(document: Any) -> None:
    document = msgspec.json.decode(msgspec.json.encode(document))
    report = validate(document)
    assert report.is_valid == (not report.errors)
    assert all(item.path.startswith("$") and item.message for item in (*report.errors, *report.warnings))


GRAPHS = st.integers(1, 9).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=20, unique=True),
    )
)


def has_cycle(count: int, edges: list[tuple[int, int]]) -> bool:
    """The oracle: nodes that wait for nobody are taken away until none is left, or all that are left wait."""
    left, waiting = set(range(count)), set(edges)
    while free := {node for node in left if not any(target == node for _, target in waiting)}:
        left -= free
        waiting = {(source, target) for source, target in waiting if source not in free}
    return bool(left)


@given(GRAPHS)
def test_a_cycle_is_found_exactly_if_there_is_one(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = drawn
    nodes = [job(f"n{n}") for n in range(count)]
    report = validate(workflow(*nodes, edges=[edge(f"n{source}", f"n{target}") for source, target in edges]))
    assert bool(report.circular_dependencies) == has_cycle(count, edges)
    assert report.is_valid == (not has_cycle(count, edges))
    for cycle in report.circular_dependencies:
        numbers = [int(name[1:]) for name in cycle]
        assert all(pair in edges for pair in zip(numbers, [*numbers[1:], numbers[0]], strict=True))
        assert len(set(numbers)) == len(numbers)


def successors_of(count: int, edges: list[tuple[int, int]]) -> list[list[int]]:
    successors: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        successors[source].append(target)
    return successors


@given(GRAPHS)
def test_ancestors_are_those_from_which_edges_lead(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = drawn
    successors = successors_of(count, edges)
    above = graph.ancestors(successors)
    for source in range(count):
        below = graph.reachable(successors, successors[source])
        assert {node for node in range(count) if above[node] >> source & 1} == below


@given(GRAPHS)
def test_components_come_before_those_that_lead_to_them(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = drawn
    found = graph.components(successors_of(count, edges))
    place = {node: number for number, component in enumerate(found) for node in component}
    assert sorted(place) == list(range(count))
    assert all(place[source] >= place[target] for source, target in edges)
