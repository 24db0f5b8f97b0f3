"""Somebody with a browser: logged in, and looking."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, Response, ViewportSize, expect

from tests.e2e.stranger import Stranger

SEEN_WITHIN_MS = 20_000
expect.set_options(timeout=SEEN_WITHIN_MS)  # for busy machines; alone it is a fraction of a second
WIDE, NARROW = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)


class Visitor:
    """A page that is open, and what went wrong on it."""

    def __init__(self, page: Page, stranger: Stranger, folder: Path) -> None:
        self.page = page
        self.stranger = stranger
        self.folder = folder
        self.faults: list[str] = []
        self.foreign: list[str] = []
        self.refused: list[str] = []
        page.set_default_timeout(SEEN_WITHIN_MS)
        page.on("pageerror", lambda error: self.faults.append(f"{error}"))
        page.on("console", lambda said: self.faults.append(said.text) if _is_fault(said) else None)
        page.on("request", self._note)
        page.on("response", self._note_refused)

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self.stranger.endpoints["http"], "data:", "blob:")):
            self.foreign.append(request.url)

    def _note_refused(self, response: Response) -> None:
        if response.status in (401, 403):
            self.refused.append(f"{response.request.method} {response.url}")

    async def open(self, path: str) -> Response | None:
        """Go there, as somebody who types the address."""
        return await self.page.goto(path)

    async def go(self, path: str) -> None:
        """Go there within the page, as a link does."""
        script = "to => { history.pushState({}, '', to); dispatchEvent(new PopStateEvent('popstate', {state: {}})); }"
        await self.page.evaluate(script, path)

    async def look(self, path: str) -> None:
        """Go there within the page, and wait until nothing of it is under way."""
        await self.go(path)
        await expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(self.page.get_by_role("status", name="Loading")).to_have_count(0)

    def seen(self, test_id: str | re.Pattern[str]) -> Locator:
        """What has this handle."""
        return self.page.get_by_test_id(test_id)

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    async def node(self, node_id: str, status: str) -> None:
        """Wait until the node stands like this in the graph."""
        await expect(self.seen(f"node-{node_id}")).to_have_attribute("data-status", status, timeout=SEEN_WITHIN_MS)

    async def run(self, status: str) -> None:
        """Wait until the run that is looked at stands like this."""
        await expect(self.seen("run-status")).to_have_attribute("data-status", status, timeout=SEEN_WITHIN_MS)


def _is_fault(said: ConsoleMessage) -> bool:
    """Whatever the page or the browser calls an error, but for answers that are none, which the page itself says."""
    return said.type == "error" and not said.text.startswith("Failed to load resource")


@asynccontextmanager
async def visiting(
    browser: Browser, stranger: Stranger, folder: Path, who: str = "admin", **options: Any
) -> AsyncGenerator[Visitor]:
    """A window of its own, logged in by a fresh link."""
    chosen: dict[str, Any] = {"viewport": WIDE, **options}
    window = await browser.new_context(base_url=stranger.endpoints["http"], **chosen)
    visitor = Visitor(await window.new_page(), stranger, folder)
    link = stranger.send("POST", f"/api/users/{who}/login-links").json()["url"]
    await visitor.open(link)
    await expect(visitor.page.get_by_role("navigation", name="Main")).to_be_attached()
    yield visitor
    await window.close()
    told = [*visitor.faults, *visitor.foreign]
    assert told == [], f"{visitor.page.url}: {told}"
