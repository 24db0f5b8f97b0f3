"""What is told of two versions of a definition."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.projections.differences import differences, summary

BODY = {"nodes": [{"id": "a", "type": "job", "job_type": "x"}], "edges": []}
BEFORE: dict[str, Any] = {
    "id": "w",
    "description": "one",
    "settings": {"fail_fast": True, "timeout_ms": 5},
    "variables": [{"name": "n"}, {"name": "old"}],
    "nodes": [
        {"id": "first", "type": "job", "job_type": "x"},
        {"id": "gone", "type": "start"},
        {"id": "l", "type": "loop", "loop_type": "count", "count": 2, "body": BODY},
    ],
    "edges": [{"source_node_id": "first", "target_node_id": "gone"}],
    "triggers": [{"id": "t", "type": "event", "config": {"event_type": "x"}}],
}


def told(after: dict[str, Any]) -> list[str]:
    return [f"{one.change} {one.path}" for one in differences(BEFORE, {**BEFORE, **after})]


def test_a_version_differs_from_itself_in_nothing() -> None:
    assert told({}) == []


def test_fields_settings_and_triggers_are_told_by_path() -> None:
    after = {
        "description": "two",
        "settings": {"fail_fast": True, "timeout_ms": 6, "sla_ms": 1},
        "triggers": [{"id": "t", "type": "event", "config": {"event_type": "y"}}],
    }
    assert told(after) == [
        "changed $.description",
        "changed $.settings.timeout_ms",
        "added $.settings.sla_ms",
        "changed $.triggers[t].config.event_type",
    ]


def test_an_inserted_node_is_one_addition() -> None:
    nodes = [{"id": "new", "type": "start"}, *BEFORE["nodes"]]
    assert told({"nodes": nodes}) == ["added $.nodes[new]"]


def test_the_body_of_a_loop_is_compared_node_by_node() -> None:
    body = {"nodes": [{**BODY["nodes"][0], "queue": "q"}, {"id": "b", "type": "start"}],
            "edges": [{"source_node_id": "a", "target_node_id": "b"}]}  # fmt: skip
    nodes = [BEFORE["nodes"][0], BEFORE["nodes"][1], {**BEFORE["nodes"][2], "body": body}]
    assert told({"nodes": nodes}) == [
        "added $.nodes[l].body.nodes[a].queue",
        "added $.nodes[l].body.nodes[b]",
        "added $.nodes[l].body.edges[a→b]",
    ]


def test_settings_that_moved_into_config_are_no_change() -> None:
    nodes = [{"id": "first", "type": "job", "config": {"job_type": "x"}}, *BEFORE["nodes"][1:]]
    assert told({"nodes": nodes}) == []


def test_the_summary_names_what_changed() -> None:
    body = {"nodes": [{**BODY["nodes"][0], "queue": "q"}, {"id": "b", "type": "start"}], "edges": []}
    after = {
        **BEFORE,
        "description": "two",
        "settings": {"fail_fast": False, "timeout_ms": 5},
        "variables": [{"name": "n", "type": "number"}, {"name": "new"}],
        "nodes": [BEFORE["nodes"][0], {**BEFORE["nodes"][2], "body": body}, {"id": "new", "type": "end"}],
        "edges": [{"source_node_id": "first", "target_node_id": "new"}],
        "triggers": [],
    }
    found = summary(differences(BEFORE, after))
    assert (found.nodes.added, found.nodes.removed, found.nodes.changed) == (["b", "new"], ["gone"], ["a"])
    assert (found.edges.added, found.edges.removed) == (["first→new"], ["first→gone"])
    assert (found.variables.added, found.variables.removed, found.variables.changed) == (["new"], ["old"], ["n"])
    assert (found.triggers.removed, found.settings, found.fields) == (["t"], ["fail_fast"], ["description"])


def test_what_people_name_their_data_like_is_no_node() -> None:
    before = {"nodes": [{"id": "a", "payload": {"nodes": [{"id": "x", "n": 1}], "{}": 1}}]}
    after = {"nodes": [{"id": "a", "payload": {"nodes": [{"id": "x", "n": 2}], "{}": 2}}]}
    changes = list(differences(before, after))
    assert [one.path for one in changes] == ["$.nodes[a].payload.nodes[x].n", "$.nodes[a].payload.{}"]
    assert summary(changes).nodes.changed == ["a"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, JSON)
def test_there_are_differences_exactly_where_documents_differ(one: Any, other: Any) -> None:
    assert list(differences(one, one)) == []
    changes = list(differences({"nodes": one, "x": 1}, {"nodes": other, "x": 1}))
    summary(changes)
    if not changes:
        assert one == other or _same_things_in_another_order(one, other)


def _same_things_in_another_order(one: Any, other: Any) -> bool:
    return isinstance(one, (list, dict)) and type(one) is type(other)
