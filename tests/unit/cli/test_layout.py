from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.glyphs import Glyphs
from services.cli.layout import rows


def drawn(after: Mapping[str, Sequence[str]]) -> list[str]:
    return [row.guide + row.node_id for row in rows(after, Glyphs())]


def test_a_chain_does_not_move_to_the_right():
    assert drawn({"a": [], "b": ["a"], "c": ["b"]}) == ["a", "b", "c"]


def test_branches_hang_below_where_they_part_and_meet_level_with_it():
    graph = {"a": [], "b": ["a"], "c": ["a"], "b2": ["b"], "join": ["b2", "c"], "end": ["join"]}
    assert drawn(graph) == ["a", "├ b", "│ b2", "└ c", "join", "end"]


def test_a_shortcut_past_a_node_keeps_that_node_a_branch():
    assert drawn({"a": [], "b": ["a"], "c": ["a", "b"]}) == ["a", "└ b", "c"]


def test_branches_within_branches():
    graph = {"a": [], "b": ["a"], "c": ["a"], "b1": ["b"], "b2": ["b"], "bj": ["b1", "b2"], "j": ["bj", "c"]}
    assert drawn(graph) == ["a", "├ b", "│ ├ b1", "│ └ b2", "│ bj", "└ c", "j"]


def test_nodes_without_edges_stand_in_a_plain_list():
    assert drawn({"a": [], "b": [], "c": []}) == ["a", "b", "c"]


def test_several_beginnings_that_meet():
    assert drawn({"a": [], "b": [], "c": ["a", "b"]}) == ["┌ a", "└ b", "c"]


def test_ascii_where_the_console_has_no_unicode():
    plain = [row.guide + row.node_id for row in rows({"a": [], "b": ["a"], "c": ["a"]}, Glyphs(unicode=False))]
    assert plain == ["a", "|- b", "`- c"]


def test_a_chain_of_ten_thousand_nodes_is_no_recursion():
    names = [f"n{index}" for index in range(10_000)]
    graph = {name: names[index - 1 : index] if index else [] for index, name in enumerate(names)}
    assert drawn(graph) == names


@given(st.lists(st.sets(st.integers(0, 30), max_size=4), max_size=30))
def test_every_node_of_any_graph_has_one_place_below_what_it_depends_on(ups: list[set[int]]):
    graph = {str(index): [str(up) for up in sorted(before) if up < index] for index, before in enumerate(ups)}
    places = {row.node_id: index for index, row in enumerate(rows(graph, Glyphs()))}
    assert places.keys() == graph.keys()
    assert all(places[up] < places[name] for name, before in graph.items() for up in before)


@pytest.mark.parametrize("graph", [{"x": ["y"], "y": ["x"]}, {"x": ["x"]}, {"x": ["missing"]}])
def test_a_graph_with_a_mistake_is_drawn_all_the_same(graph: dict[str, list[str]]):
    assert {row.node_id for row in rows(graph, Glyphs())} == graph.keys()
