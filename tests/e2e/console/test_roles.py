"""What each role finds: the page offers what the server allows, and asks for nothing that it refuses."""

import re
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.e2e.console.places import addresses, order
from tests.e2e.console.visitor import visiting
from tests.e2e.stranger import Stranger, bash, fresh, workflow

CHANGES = re.compile(
    r"^(Run|Run again|Retry|Cancel run|Pause|Fork|Save|Edit|New workflow|Add another trigger|Approve|Reject|Publish.*)$"
)


def user(stranger: Stranger, role: str) -> str:
    """The name of somebody new who has this role."""
    name = fresh(role)
    assert stranger.send("POST", "/api/users", {"name": name, "role": role}).status_code == 201
    return name


async def test_a_viewer_sees_every_view_and_is_offered_and_refused_nothing(
    browser: Browser, stranger: Stranger, tmp_path: Path
):
    """But for the designer, where anybody can try something out; it says that saving takes another role."""
    views = {name: address for name, address in addresses(stranger).items() if not name.startswith("designer")}
    offered: dict[str, list[str]] = {}
    async with visiting(browser, stranger, tmp_path, who=user(stranger, "viewer")) as visitor:
        for name, address in views.items():
            await visitor.look(address)
            buttons = visitor.page.get_by_role("button", name=CHANGES).or_(
                visitor.page.get_by_role("link", name=CHANGES)
            )
            if found := [text for text in await buttons.all_inner_texts() if text]:
                offered[name] = found
        assert visitor.refused == []
    assert offered == {}


async def test_an_operator_ends_a_run_and_changes_no_workflow(browser: Browser, stranger: Stranger, tmp_path: Path):
    waits = workflow(bash("wait", "sleep 300"))
    stranger.save(waits)
    stranger.save(definition := order())
    async with visiting(browser, stranger, tmp_path, who=(operator := user(stranger, "operator"))) as visitor:
        await visitor.open(f"/runs/{(run_id := stranger.execute(waits['id']))}")
        await visitor.node("wait", "running")
        await visitor.button("Cancel").click()
        await visitor.page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
        await visitor.run("cancelled")
        await visitor.look(f"/workflows/{definition['id']}")
        await expect(visitor.button("Run")).to_be_visible()
        await expect(visitor.link("Edit")).to_have_count(0)
        await visitor.look("/people")
        await expect(visitor.seen("tab-people")).to_have_count(0)
        assert visitor.refused == []
    cancelled = stranger.get("/api/audit", subject=run_id)["items"]
    assert operator in {entry["actor"] for entry in cancelled}
