"""What people do with workflows as a whole: from a template, on and off, back to an older version, out of a text."""

import asyncio
import json
import re

from playwright.async_api import expect

from tests.e2e.console.places import order
from tests.e2e.console.visitor import Visitor
from tests.e2e.stranger import fresh, transform, workflow


async def test_from_a_template_to_a_run_that_goes_on_in_three_clicks(visitor: Visitor):
    await visitor.open("/")
    await visitor.link("Templates").click()
    await visitor.button("Use it: List, process each, consolidate").click()
    await visitor.seen("create-and-run").click()
    await expect(visitor.page).to_have_url(re.compile("/runs/"))
    await visitor.run("completed")


async def test_a_workflow_is_switched_off_and_on(visitor: Visitor):
    definition = order()
    visitor.stranger.save(definition)
    await visitor.open(f"/workflows?search={definition['id']}")
    row = visitor.seen(f"workflow-row-{definition['id']}")
    switch = row.get_by_role("switch", name=re.compile("is enabled$"))
    for status in ("draft", "active"):
        await switch.click(force=True)
        await expect(row).to_have_attribute("data-status", status)
        saved = await asyncio.to_thread(visitor.stranger.get, f"/api/workflows/{definition['id']}")
        assert saved["status"] == status
    assert [trigger["id"] for trigger in saved["triggers"]] == ["orders", "hourly"]


async def test_what_changed_is_seen_and_taken_back(visitor: Visitor):
    definition = order()
    visitor.stranger.save(definition)
    visitor.stranger.send("PUT", f"/api/workflows/{definition['id']}", {**definition, "description": "Another one"})
    await visitor.open(f"/workflows/{definition['id']}/versions")
    difference = visitor.seen("difference")
    await expect(difference).to_contain_text("description: Another one")
    await visitor.button("Back to this: version 1").click()
    await visitor.page.get_by_role("dialog").get_by_role("button", name="Back to version 1").click()
    await expect(visitor.seen("version-row-3")).to_contain_text("as 1 was")
    saved = await asyncio.to_thread(visitor.stranger.get, f"/api/workflows/{definition['id']}")
    assert saved["description"] == definition["description"]


async def test_a_type_of_job_is_switched_on_and_all_six_are_named(visitor: Visitor):
    definition = order()
    visitor.stranger.save(definition)
    await visitor.open(f"/workflows/{definition['id']}/triggers")
    switches = visitor.seen("job-types").get_by_role("switch")
    await expect(switches).to_have_count(6)
    await visitor.seen("job-type-EVAL").click(force=True)
    await expect(visitor.seen("job-type-EVAL")).to_be_checked()
    configs = (await asyncio.to_thread(visitor.stranger.get, f"/api/workflows/{definition['id']}"))["trigger_configs"]
    assert [each["trigger_type"] for each in configs if each["is_enabled"]] == ["EVAL"]
    assert len(configs) == 6


async def test_a_definition_is_pasted_checked_and_saved(visitor: Visitor):
    pasted = {**workflow(transform("a")), "id": fresh("pasted"), "name": "Pasted"}
    await visitor.open("/workflows?import=yaml")
    dialog = visitor.page.get_by_role("dialog")
    field = dialog.get_by_role("textbox", name="Definition")
    await field.fill("id: [")
    await dialog.get_by_role("button", name="Check").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await field.press("ControlOrMeta+a")
    await field.press("Delete")
    await field.fill(json.dumps(pasted))
    await dialog.get_by_role("button", name="Check").click()
    await dialog.get_by_role("button", name="Save", exact=True).click()
    await expect(visitor.page).to_have_url(re.compile(f"/workflows/{pasted['id']}$"))
    await expect(visitor.page.get_by_role("heading", level=1, name="Pasted")).to_be_visible()
    await expect(visitor.seen("node-a")).to_be_visible()


async def test_somebody_is_added_and_gets_a_key_that_is_shown_once(visitor: Visitor):
    name = fresh("ada")
    await visitor.open("/people")
    await visitor.button("Add somebody").click()
    dialog = visitor.page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill(name)
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(visitor.seen(f"user-row-{name}")).to_be_visible()
    await visitor.button("New key").click()
    await dialog.get_by_label("What it is for").fill("a trial")
    await dialog.get_by_role("button", name="Make the key").click()
    shown = visitor.seen("shown-once")
    await expect(shown).to_contain_text("ffk_")
    key = await shown.inner_text()
    answer = await asyncio.to_thread(
        visitor.stranger.http.get, "/api/session", headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.json()["user"] == name
    await visitor.button("Done").click()
    await expect(visitor.seen("keys")).to_contain_text("a trial")
    await visitor.button("Revoke a trial").click()
    await dialog.get_by_role("button", name="Revoke", exact=True).click()
    await expect(visitor.seen("keys")).to_contain_text("No keys")
