"""How a graph is drawn with the mouse, and how it is shown."""

import re
from itertools import pairwise

from playwright.async_api import Locator, expect

from tests.e2e.console.visitor import Visitor
from tests.e2e.stranger import edge, fresh, transform, workflow

CHAIN_LENGTH = 9


async def _middle(of: Locator) -> tuple[float, float]:
    box = await of.bounding_box()
    assert box is not None, "it is not seen"
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def _connect(visitor: Visitor, source: str, target: str) -> None:
    begin = await _middle(visitor.seen(f"node-{source}").locator(".react-flow__handle.source").first)
    end = await _middle(visitor.seen(f"node-{target}").locator(".react-flow__handle.target").first)
    await visitor.page.mouse.move(*begin)
    await visitor.page.mouse.down()
    await visitor.page.mouse.move(end[0] - 10, end[1])
    await visitor.page.mouse.move(*end)
    await visitor.page.mouse.up()


async def test_nodes_are_dragged_onto_the_canvas_connected_and_what_is_wrong_is_said(visitor: Visitor):
    await visitor.open("/workflows/new")
    canvas, edges = visitor.seen("canvas"), visitor.page.locator(".react-flow__edge")
    for kind, x in (("script", 160), ("delay", 400)):
        await visitor.seen(f"library-{kind}").drag_to(canvas, target_position={"x": x, "y": 300})
    await _connect(visitor, "script", "delay")
    await expect(edges).to_have_count(1)
    await visitor.page.keyboard.press("Control+z")
    await expect(edges).to_have_count(0)
    await visitor.page.keyboard.press("Control+Shift+z")
    await expect(edges).to_have_count(1)
    await _connect(visitor, "delay", "script")
    await expect(visitor.seen("validity")).to_have_text(re.compile("error"))
    await expect(visitor.seen("node-script")).to_have_attribute("data-mark", "fault")


async def test_a_long_chain_begins_where_its_names_can_be_read(visitor: Visitor):
    names = [f"step-{at}" for at in range(CHAIN_LENGTH)]
    drawn = workflow(
        *(transform(name) for name in names),
        edges=[edge(one, other) for one, other in pairwise(names)],
        id=fresh("long"),
    )
    visitor.stranger.save(drawn)
    await visitor.open(f"/workflows/{drawn['id']}/edit")
    canvas = await visitor.seen("canvas").bounding_box()
    first = visitor.seen(f"node-{names[0]}")
    await expect(first).to_be_visible()
    box = await first.bounding_box()
    assert canvas is not None
    assert box is not None
    assert box["x"] >= canvas["x"]
    assert box["width"] > 100
