"""What people do with the console, each as one story against the real system."""

import asyncio
import os
import re
import signal
from itertools import pairwise

from playwright.async_api import expect

from infra.embedded.cluster import Cluster
from tests.e2e.console.places import order, place, run_of
from tests.e2e.console.visitor import Visitor
from tests.e2e.stranger import bash, edge, fresh, transform, workflow


async def test_a_workflow_is_drawn_saved_tried_and_seen_to_run(visitor: Visitor):
    await visitor.open("/workflows/new")
    name = fresh("drawn")
    await visitor.seen("field-workflow-name").fill(name)
    for kind in ("data_transform", "script"):
        await visitor.seen(f"library-{kind}").click()
    await visitor.button(re.compile("^YAML")).click()
    await expect(visitor.seen("yaml-pane")).to_contain_text("source_node_id")
    await visitor.button("Save").click()
    await expect(visitor.page).to_have_url(re.compile(f"/workflows/{name}/edit"))
    saved = await asyncio.to_thread(visitor.stranger.get, f"/api/workflows/{name}")
    assert [node["type"] for node in saved["nodes"]] == ["data_transform", "script"]
    assert len(saved["edges"]) == 1


async def test_a_run_fails_is_understood_mended_and_retried(visitor: Visitor):
    mended = visitor.folder / "mended"
    definition = workflow(
        transform("begin"),
        bash("load", f"echo looking; test -e {mended} || {{ echo 'no such table' >&2; exit 3; }}"),
        transform("report"),
        edges=[edge("begin", "load"), edge("load", "report")],
    )
    visitor.stranger.save(definition)
    await visitor.open(f"/runs/{visitor.stranger.execute(definition['id'])}")
    await visitor.node("load", "failed")
    await visitor.node("report", "skipped")
    await expect(visitor.page.get_by_role("group", name="What went wrong")).to_contain_text("no such table")
    await visitor.seen("node-load").click()
    await expect(visitor.seen("node-panel")).to_contain_text("NODE_EXECUTION_FAILED")
    mended.touch()
    await visitor.button("Retry").click()
    await visitor.node("report", "completed")
    await visitor.run("completed")


async def test_an_event_is_decided_an_approval_given_and_the_past_looked_at(visitor: Visitor):
    definition = order()
    visitor.stranger.save(definition)
    await visitor.open(f"/workflows/{definition['id']}/triggers/orders")
    place(visitor.stranger, definition, 5)
    refused = visitor.seen("decision-row").and_(visitor.page.locator("[data-decision=not_matched]"))
    await expect(refused).to_contain_text("event.data.amount > 10")
    place(visitor.stranger, definition, 200)
    fired = visitor.seen("decision-row").and_(visitor.page.locator("[data-decision=fired]"))
    await expect(fired).to_have_count(1)
    run_id = await asyncio.to_thread(run_of, visitor.stranger, definition)
    await visitor.open("/approvals")
    asked = visitor.page.get_by_test_id(re.compile("^approval-")).filter(has_text=run_id[-8:]).first
    await asked.get_by_role("button", name=re.compile("^Approve")).click()
    if await (dialog := visitor.page.get_by_role("dialog")).is_visible():
        await dialog.get_by_role("button", name=re.compile("^Approve")).click()
    await visitor.open(f"/runs/{run_id}")
    await visitor.node("bill", "completed")
    await visitor.run("completed")
    slider = visitor.page.get_by_role("slider", name="Moment of the run")
    await slider.focus()
    await slider.press("Home")
    await visitor.node("bill", "idle")
    await expect(visitor.seen("past")).to_be_visible()
    await visitor.button("Now").click()
    await visitor.node("bill", "completed")


async def test_a_trigger_is_added_where_there_are_some_already(visitor: Visitor):
    definition = order()
    visitor.stranger.save(definition)
    await visitor.open(f"/workflows/{definition['id']}/triggers")
    await expect(
        visitor.page.get_by_role("heading", name=re.compile(r"Triggers \(2\): runs when ANY trigger fires"))
    ).to_be_visible()
    await visitor.button("Add another trigger").click()
    dialog = visitor.page.get_by_role("dialog")
    await dialog.get_by_label("Name", exact=True).fill("By hand")
    await dialog.get_by_text("By hand", exact=True).first.click()
    await dialog.get_by_role("button", name=re.compile("^(Add|Save)")).click()
    await expect(visitor.seen("trigger-row-by-hand")).to_be_visible()
    kinds = {
        trigger["id"]: trigger["type"]
        for trigger in visitor.stranger.get(f"/api/workflows/{definition['id']}")["triggers"]
    }
    assert kinds == {"orders": "event", "hourly": "schedule", "by-hand": "manual"}


async def test_a_lost_connection_is_said_and_what_was_missed_is_caught_up(visitor: Visitor, cluster: Cluster):
    goes_on = visitor.folder / "goes on"
    long = bash("long", f"until [ -e '{goes_on}' ]; do sleep 0.05; done")
    definition = workflow(long, transform("after"), edges=[edge("long", "after")])
    visitor.stranger.save(definition)
    run_id = visitor.stranger.execute(definition["id"])
    await visitor.open(f"/runs/{run_id}")
    await visitor.node("long", "running")
    line = visitor.seen("line")
    await expect(line).to_have_attribute("data-line", "live")
    os.kill(cluster.pid("front"), signal.SIGKILL)
    await expect(line).to_have_attribute("data-line", "lost")
    await expect(line).to_have_attribute("data-line", "live", timeout=20_000)
    await visitor.page.context.set_offline(offline=True)
    await expect(line).to_have_attribute("data-line", "lost")
    goes_on.touch()
    await asyncio.to_thread(visitor.stranger.ended, run_id)
    await visitor.page.context.set_offline(offline=False)
    await expect(line).to_have_attribute("data-line", re.compile("live|none"), timeout=20_000)
    await visitor.node("after", "completed")


async def test_the_palette_and_the_keyboard_lead_everywhere(visitor: Visitor):
    definition = order()
    visitor.stranger.save(definition)
    await visitor.open("/")
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    await visitor.page.keyboard.press("Control+k")
    await visitor.page.get_by_placeholder(re.compile("^A page")).fill(definition["id"])
    await expect(visitor.page.get_by_role("dialog").get_by_text(definition["id"], exact=True)).to_be_visible()
    await visitor.page.keyboard.press("ArrowDown")
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page).to_have_url(re.compile(f"/workflows/{definition['id']}"))
    await visitor.page.get_by_role("heading", level=1).click()
    await visitor.page.keyboard.press("g")
    await visitor.page.keyboard.press("r")
    await expect(visitor.page).to_have_url(re.compile("/runs$"))
    await visitor.page.keyboard.press("/")
    await expect(visitor.page.locator("input:focus")).to_be_visible()


async def test_a_run_is_halted_stepped_through_and_found_again_by_its_short_id(visitor: Visitor):
    names = ("first", "second", "third", "fourth")
    edges = [edge(one, other) for one, other in pairwise(names)]
    definition = workflow(*(transform(name) for name in names), edges=edges)
    visitor.stranger.save(definition)
    await visitor.open(f"/workflows/{definition['id']}")
    await visitor.button("Run").click()
    await visitor.page.get_by_text("Variables, labels and breakpoints").click()
    await visitor.seen("breakpoints").fill("second")
    await visitor.page.get_by_role("option", name="second").click()
    await visitor.page.keyboard.press("Escape")
    await visitor.seen("start-run").click()
    await visitor.run("paused")
    await expect(visitor.seen("waits")).to_contain_text("Paused before second")
    await visitor.button("Step").click()
    await visitor.node("second", "completed")
    await visitor.node("third", "idle")
    run_id = visitor.page.url.rsplit("/", 1)[-1]
    await visitor.open("/runs/gone")
    await expect(visitor.page.get_by_role("heading", name="There is no such run")).to_be_visible()
    await visitor.page.keyboard.press("Control+k")
    await visitor.page.get_by_placeholder(re.compile("^A page")).fill(run_id[-8:])
    await visitor.page.get_by_role("dialog").get_by_text(f"Run {run_id[-8:]}").click()
    await visitor.run("paused")
    await visitor.button("Resume").click()
    await visitor.run("completed")
