"""`make pictures`: every page as it looks, in light and dark, wide and narrow, for the documentation."""

from pathlib import Path
from typing import Literal

from playwright.async_api import expect

from tests.e2e.console.places import addresses, order, place
from tests.e2e.console.visitor import NARROW, WIDE, Visitor
from tests.e2e.stranger import Stranger, bash, edge, transform, workflow

PICTURES = Path(__file__).parents[3] / "services" / "console" / "pictures"
PAGES = (
    "overview", "workflows", "workflow-graph", "workflow-triggers", "workflow-versions", "workflow-statistics", "designer",
    "trigger", "triggers", "runs", "run-graph", "run-timeline", "run-events", "approvals", "events", "event",
    "dead-letters", "templates", "audit", "people",
)  # fmt: skip
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUALITY = 62
SETTLE_MS = 900


def full(stranger: Stranger) -> dict[str, str]:
    """Enough of everything to be worth a picture."""
    broken = workflow(
        bash("extract", "echo 1200 rows"), bash("load", "echo 'no such table: customers' >&2; exit 3"),
        transform("report"), bash("tell", "echo telling"),
        edges=[edge("extract", "load"), edge("load", "report"), edge("load", "tell", dependency="on_failure")],
    )  # fmt: skip
    stranger.save({**broken, "id": "nightly-import", "name": "Nightly import", "tags": ["etl"]})
    failed = [stranger.execute("nightly-import") for _ in range(4)]
    shop = order()
    stranger.save({**shop, "name": "Refunds", "description": "From the complaint to the money"})
    stranger.send(
        "PUT", f"/api/workflows/{shop['id']}", {**shop, "name": "Refunds", "settings": {"max_parallel_jobs": 2}}
    )
    for amount in (4, 12, 25, 40, 300):
        place(stranger, shop, amount)
    for run_id in failed:
        stranger.ended(run_id)
    return {
        **addresses(stranger),
        "run-graph": f"/runs/{failed[0]}",
        "run-timeline": f"/runs/{failed[0]}/timeline",
        "workflow-versions": f"/workflows/{shop['id']}/versions",
    }


async def test_every_page_is_pictured(visitor: Visitor):
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.jpg"):
        old.unlink()
    views = full(visitor.stranger)
    for name in PAGES:
        await visitor.page.set_viewport_size(WIDE)
        await visitor.open(views[name])
        await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            await visitor.page.set_viewport_size(size)
            for scheme in SCHEMES:
                await visitor.page.emulate_media(color_scheme=scheme)
                await visitor.page.wait_for_timeout(SETTLE_MS)
                path = PICTURES / f"{name}-{scheme}-{width}.jpg"
                await visitor.page.screenshot(path=path, type="jpeg", quality=QUALITY)
