"""The console in a real browser: what it weighs, how soon it is seen, and whether it stays quick while much happens."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
from flowforge.envelope import CloudEvent, encode
from flowforge.identity import new_uuid
from playwright.async_api import Page, async_playwright

from infra.embedded.cluster import Cluster

sys.path.insert(0, str(Path(__file__).parent))
from figures import Figure, at_most

BROWSER_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_SCRIPT_BYTES = """() => performance.getEntriesByType('resource').filter(one => one.name.endsWith('.js'))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
TRIES = 5
LAYERS, WIDTH = 40, 25
ITERATIONS = 2_500
EVENTS_PER_S, SECONDS = 1_000, 5
RUN_WAIT_S = 120.0
_FRAMES = """() => new Promise(done => {
  const times = []; let last = performance.now();
  const frame = now => { times.push(now - last); last = now; window.__measured ? done(times) : requestAnimationFrame(frame); };
  window.__measured = false; requestAnimationFrame(frame);
})"""


def transform(node_id: str) -> dict[str, Any]:
    return {"id": node_id, "type": "data_transform", "name": node_id, "config": {"expressions": {"n": "${1}"}}}


def thousand_nodes() -> dict[str, Any]:
    names = [[f"n{layer}-{place}" for place in range(WIDTH)] for layer in range(LAYERS)]
    edges = [
        {"source_node_id": names[layer][place], "target_node_id": names[layer + 1][(place * 3 + step) % WIDTH]}
        for layer in range(LAYERS - 1)
        for place in range(WIDTH)
        for step in (0, 1)
    ]
    return {"id": "wide", "name": "wide", "nodes": [transform(name) for row in names for name in row], "edges": edges}


def ten_thousand_events() -> dict[str, Any]:
    body = {"nodes": [transform("a"), transform("b")], "edges": [{"source_node_id": "a", "target_node_id": "b"}]}
    config = {"loop_type": "count", "count": ITERATIONS, "max_iterations": ITERATIONS, "body": body}
    return {"id": "long", "name": "long", "nodes": [{"id": "loop", "type": "loop", "name": "loop", "config": config}]}


async def measure(home: Path) -> list[Figure]:
    """On a FlowForge of its own."""
    if (browser := shutil.which("chromium")) is None:
        return [Figure("the console", "not measured: no browser here", "", True)]
    async with Cluster(home / "looking") as cluster, _page(cluster, browser) as page:
        headers = {"Authorization": f"Bearer {cluster.admin_key}"}
        async with httpx.AsyncClient(base_url=cluster.endpoints.http, headers=headers, timeout=60) as http:
            run_id = await _seeded(http)
            return [
                await _first_paint(page, cluster.endpoints.http),
                await _script(page, "script of the first page, compressed", "/"),
                await _script(page, "script of the heaviest page (designer, with YAML), compressed", "/workflows/new"),
                await _until(page, "a graph of 1,000 nodes drawn", "/workflows/wide/graph", "[data-testid^=node-n]"),
                *await _panned(page),
                await _until(page, "a run with 10,000 events opened", f"/runs/{run_id}", "[data-testid=node-loop]"),
                *await _flooded(page, cluster),
            ]


@asynccontextmanager
async def _page(cluster: Cluster, browser: str) -> AsyncGenerator[Page]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=browser, args=BROWSER_OPTIONS)
        window = await opened.new_context(base_url=cluster.endpoints.http, viewport={"width": 1440, "height": 900})
        page = await window.new_page()
        async with httpx.AsyncClient(base_url=cluster.endpoints.http) as http:
            key = {"Authorization": f"Bearer {cluster.admin_key}"}
            link = (await http.post("/api/users/admin/login-links", headers=key)).raise_for_status().json()["url"]
        await page.goto(link)
        await page.get_by_role("heading", level=1).wait_for()
        yield page
        await opened.close()


async def _seeded(http: httpx.AsyncClient) -> str:
    """The id of a run with 10,000 events."""
    for definition in (thousand_nodes(), ten_thousand_events()):
        (await http.post("/api/workflows", json=definition)).raise_for_status()
    run_id = (await http.post("/api/workflows/long/execute", json={})).raise_for_status().json()["run_id"]
    async with asyncio.timeout(RUN_WAIT_S):
        while (await http.get(f"/api/runs/{run_id}")).json().get("status") != "completed":
            await asyncio.sleep(0.2)
    return run_id


async def _first_paint(page: Page, origin: str) -> Figure:
    times: list[float] = []
    for _ in range(TRIES):
        await page.goto(f"{origin}/")
        await page.get_by_role("heading", level=1).wait_for()
        times.append(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    return at_most("the console's first paint", sorted(times)[TRIES // 2] / 1000, 1, "s")


async def _script(page: Page, name: str, address: str) -> Figure:
    """Of what is sent to somebody who comes for the first time."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.clearBrowserCache")
    await page.goto(address)
    await page.get_by_role("heading", level=1).wait_for()
    if (more := page.get_by_role("button", name=re.compile("^YAML"))) and await more.count():
        await more.click()
        await page.get_by_test_id("yaml-pane").get_by_role("textbox").wait_for()
    size = await page.evaluate(_SCRIPT_BYTES)
    return at_most(name, size / 1024, 500, "KB", 0)


async def _until(page: Page, name: str, address: str, selector: str) -> Figure:
    times: list[float] = []
    for _ in range(TRIES):
        await page.goto(address)
        await page.locator(selector).first.wait_for()
        times.append(await page.evaluate("performance.now()"))
    return at_most(name, sorted(times)[TRIES // 2] / 1000, 2, "s")


async def _panned(page: Page) -> list[Figure]:
    """Frames while somebody drags a graph of 1,000 nodes about."""
    await page.goto("/workflows/wide/graph")
    await page.locator("[data-testid^=node-n]").first.wait_for()
    box = await page.locator(".react-flow__pane").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 12
    frames = asyncio.create_task(page.evaluate(_FRAMES))
    await page.mouse.move(x, y)
    await page.mouse.down()
    for step in range(60):
        await page.mouse.move(x + 4 * step, y + 2 * step)
    await page.mouse.up()
    await page.evaluate("window.__measured = true")
    times = sorted(await frames)
    return [at_most("… dragged about, frames p95", times[int(len(times) * 0.95)], 100, "ms", 0)]


async def _flooded(page: Page, cluster: Cluster) -> list[Figure]:
    """Frames of the events' page while 1,000 events come each second."""
    await page.goto("/events")
    await page.get_by_role("heading", level=1).wait_for()
    frames = asyncio.create_task(page.evaluate(_FRAMES))
    await _burst(cluster)
    await page.evaluate("window.__measured = true")
    times = sorted(await frames)
    return [
        at_most(
            f"{EVENTS_PER_S:,} events/s seen in the console, frames p95", times[int(len(times) * 0.95)], 100, "ms", 0
        ),
        at_most("… the longest frame", times[-1], 1_000, "ms", 0),
    ]


async def _burst(cluster: Cluster) -> None:
    connection = await nats.connect(cluster.endpoints.nats)
    try:
        for _ in range(SECONDS * 10):
            for _ in range(EVENTS_PER_S // 10):
                event = CloudEvent(id=str(new_uuid()), source="/bench", type="bench.seen")
                await connection.publish("flowforge.inbox.bench", encode(event))
            await asyncio.sleep(0.1)
        await connection.flush()
    finally:
        await connection.close()
