"""What holds on every view: it shows itself, breaks no policy, can be used by all, and fits narrow windows."""

from pathlib import Path
from typing import Any

from playwright.async_api import Browser, expect

from tests.e2e.console.places import addresses
from tests.e2e.console.visitor import NARROW, Visitor, visiting
from tests.e2e.stranger import Stranger

AXE = Path(__file__).parents[3] / "services" / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
SERIOUS = ("serious", "critical")


async def faults_found(visitor: Visitor) -> list[str]:
    """What axe calls serious, each with its element."""
    await visitor.page.evaluate(AXE.read_text())
    found: dict[str, Any] = await visitor.page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", list(RULES)
    )
    return [
        f"{fault['id']}: {node['html'][:160]}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"][:3]
    ]


async def shown(visitor: Visitor, address: str) -> None:
    """Wait until the view is there, with nothing of it under way."""
    await visitor.open(address)
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    await expect(visitor.page.get_by_role("status", name="Loading")).to_have_count(0)


async def test_every_view_can_be_used_by_everybody_in_light_and_dark(
    browser: Browser, stranger: Stranger, tmp_path: Path
):
    views = addresses(stranger)
    found: dict[str, list[str]] = {}
    for scheme in ("light", "dark"):
        async with visiting(browser, stranger, tmp_path, color_scheme=scheme) as visitor:
            for name, address in views.items():
                await shown(visitor, address)
                if faults := await faults_found(visitor):
                    found[f"{name}, {scheme}"] = faults
    assert found == {}


async def test_every_view_fits_a_narrow_window(browser: Browser, stranger: Stranger, tmp_path: Path):
    too_wide: dict[str, int] = {}
    async with visiting(browser, stranger, tmp_path, viewport=NARROW) as visitor:
        for name, address in addresses(stranger).items():
            await shown(visitor, address)
            width = await visitor.page.evaluate("document.documentElement.scrollWidth")
            if width > NARROW["width"]:
                too_wide[name] = width
    assert too_wide == {}
