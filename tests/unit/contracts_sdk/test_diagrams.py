"""Pictures of workflows and runs: everything is there, nothing overlaps, whatever names people choose."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from flowforge import Edge, JobNode, Run, SavedWorkflow, Workflow, definition
from flowforge.diagram import BOXES_MAX, of_workflow
from flowforge.diagram.layers import laid_out, levels
from hypothesis import given
from hypothesis import strategies as st

EXAMPLES = Path(__file__).parents[3] / "contracts" / "examples"
SVG = "{http://www.w3.org/2000/svg}"


def workflow(*edges: tuple[str, str], **names: str) -> Workflow:
    ids = list(dict.fromkeys(itertools.chain.from_iterable(edges)))
    return Workflow(
        id="w",
        name="W",
        nodes=[JobNode(id=each, job_type="t", name=names.get(each, "")) for each in ids],
        edges=[Edge(source_node_id=a, target_node_id=b) for a, b in edges],
    )


def run(**statuses: str) -> Run:
    rows = [
        {"node_id": name, "type": "job", "status": status, "dependencies": [], "duration_ms": 61_000, "attempt": 2}
        for name, status in statuses.items()
    ]
    return Run(workflow_id="w", status="failed", duration_ms=5, node_runs=rows)


def shown(value: object) -> str:
    """What a notebook shows."""
    draw: Callable[[], str] = getattr(value, "_repr_svg_")  # noqa: B009  its name is for notebooks, not for programs
    return draw()


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    found = ET.fromstring(svg).iter(f"{SVG}rect")
    return [
        (float(r.get("x", 0)), float(r.get("y", 0)), float(r.get("width", 0)), float(r.get("height", 0))) for r in found
    ]


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_drawn_both_ways(file: Path) -> None:
    made = definition.load(file.read_text())
    assert len(boxes(made.to_svg())) == len(made.nodes)
    assert made.to_mermaid().count("-->") + made.to_mermaid().count("-.->") == len(made.effective_edges())


def test_names_may_hold_what_means_something_in_svg_and_mermaid() -> None:
    nasty = '<script>alert("#1")</script>\x00 & more'
    made = workflow(("a", "b"), a=nasty)
    assert len(boxes(made.to_svg())) == 2
    assert "<script" not in made.to_svg()
    assert '"#lt;script#gt;alert(#quot;#35;1#quot;)#lt;/script#gt;' in made.to_mermaid()


def test_a_run_tells_by_colour_and_words_how_each_node_stands() -> None:
    svg = run(a="completed", b="failed", c="something_new").to_svg()
    fills = [rect.get("fill") for rect in ET.fromstring(svg).iter(f"{SVG}rect")]
    assert len(set(fills)) == 3
    assert "failed · 1 min" in svg
    assert "classDef failed " in run(b="failed").to_mermaid()


def test_dictionaries_that_show_themselves_are_still_plain_data() -> None:
    assert msgspec.json.decode(msgspec.json.encode(run(a="idle"))) == run(a="idle")
    assert shown(run(a="idle")).startswith("<svg ")
    saved = SavedWorkflow(definition.document(workflow(("a", "b"))) | {"version": 3, "created_by": "ada"})
    assert len(boxes(shown(saved))) == 2


def test_a_definition_that_cannot_be_read_shows_its_nodes() -> None:
    saved = SavedWorkflow(id="w", name="W", nodes=[{"id": "a", "type": "of the future"}])
    assert len(boxes(saved.to_svg())) == 1


def test_of_a_great_workflow_a_part_is_drawn_and_the_rest_counted() -> None:
    made = workflow(*itertools.pairwise(f"n{number}" for number in range(BOXES_MAX + 50)))
    assert len(of_workflow(made).boxes) == BOXES_MAX
    assert "and 50 more nodes" in made.to_svg()


def test_a_long_chain_goes_down_instead_of_out_of_sight() -> None:
    width = float(ET.fromstring(workflow(*itertools.pairwise("abcdefghijklmnop")).to_svg()).get("width", "0"))
    assert width < 400


def test_nodes_that_wait_for_one_another_are_drawn_too() -> None:
    made = workflow(("a", "b"), ("b", "c"), ("c", "a"))
    assert len(boxes(made.to_svg())) == 3


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40))
def test_no_two_boxes_overlap_and_arrows_lead_on(pairs: list[tuple[int, int]]) -> None:
    ids = [str(number) for number in range(15)]
    links = [(str(min(pair)), str(max(pair))) for pair in pairs if pair[0] != pair[1]]
    level = levels(ids, links)
    assert all(level[a] < level[b] for a, b in links)
    layout = laid_out(ids, links, size=10, gap=4, point_size=1)
    for layer in layout.layers:
        for one, other in itertools.pairwise(layer):
            assert other.place - one.place >= (one.size + other.size) / 2 + 4 - 1e-6
    assert set(layout.ways) == set(links)
    for (source, target), way in layout.ways.items():
        assert (way[0].id, way[-1].id) == (source, target)
        assert len(way) == level[target] - level[source] + 1


def test_texts_stay_inside_their_boxes() -> None:
    svg = workflow(("a", "b"), a="W" * 60, b="i" * 60).to_svg()
    shown = re.findall(r">([Wi]+…)<", svg)
    assert [len(text) for text in shown] == sorted(len(text) for text in shown)
    assert len(shown[0]) < 14
