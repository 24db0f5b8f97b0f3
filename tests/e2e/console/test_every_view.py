"""What holds on every view: it shows itself, breaks no policy, can be used by all, and fits narrow windows."""

from pathlib import Path
from typing import Literal

from tests.e2e.console.places import addresses
from tests.e2e.console.visitor import NARROW, Visitor

AXE = Path(__file__).parents[3] / "services" / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa")
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""What may differ in the dark."""
SERIOUS_FAULTS = """
    async only => (await axe.run(document, {runOnly: only, resultTypes: ['violations']})).violations
        .filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .flatMap(({ id, nodes }) => nodes.slice(0, 3).map(({ html }) => `${id}: ${html.slice(0, 160)}`))
"""

IS_SHOWN_IN = """
    scheme => document.documentElement.dataset.mantineColorScheme === scheme && document.getAnimations().every(
        ({ playState, effect }) => playState !== 'running' || effect.getComputedTiming().endTime === Infinity)
"""
"""The page hears of the scheme after it has changed; colours on their way to others are nobody's."""


async def show_in(visitor: Visitor, scheme: Literal["light", "dark"]) -> None:
    await visitor.page.emulate_media(color_scheme=scheme)
    await visitor.page.wait_for_function(IS_SHOWN_IN, arg=scheme)


async def faults_found(visitor: Visitor, *rules: str) -> list[str]:
    """What axe calls serious, each with its element; by all rules of WCAG AA, or by some."""
    if not await visitor.page.evaluate("'axe' in window"):
        await visitor.page.evaluate(AXE.read_text())
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    return await visitor.page.evaluate(SERIOUS_FAULTS, only)


async def test_every_view_can_be_used_by_everybody_in_light_and_dark(visitor: Visitor):
    found: list[str] = []
    for name, address in addresses(visitor.stranger).items():
        await visitor.look(address)
        await show_in(visitor, "light")
        found += [f"{name}: {fault}" for fault in await faults_found(visitor)]
        await show_in(visitor, "dark")
        found += [f"{name}, dark: {fault}" for fault in await faults_found(visitor, *OF_COLOURS)]
    assert not found, "\n".join(found)


async def test_every_view_fits_a_narrow_window(visitor: Visitor):
    too_wide: dict[str, int] = {}
    await visitor.page.set_viewport_size(NARROW)
    for name, address in addresses(visitor.stranger).items():
        await visitor.look(address)
        width = await visitor.page.evaluate("document.documentElement.scrollWidth")
        if width > NARROW["width"]:
            too_wide[name] = width
    assert too_wide == {}
