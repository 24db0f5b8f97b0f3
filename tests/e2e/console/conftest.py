"""A real browser in front of a running FlowForge; without one on the machine these tests are skipped, and say so."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright

from tests.e2e.console.visitor import Visitor, visiting
from tests.e2e.stranger import Stranger

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def browser_path() -> str | None:
    """Where the machine has its browser; None where it has none."""
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


@pytest_asyncio.fixture
async def browser() -> AsyncGenerator[Browser]:
    """A browser of this test's own: what one leaves behind another does not find."""
    path = browser_path()
    if path is None:
        pytest.skip(f"no browser was found ({', '.join(NAMES)}): install Debian's `chromium`")
    async with async_playwright() as playwright:
        opened = await _launched(playwright, path)
        yield opened
        await opened.close()


async def _launched(playwright: Playwright, path: str) -> Browser:
    return await playwright.chromium.launch(executable_path=path, args=OPTIONS)


@pytest_asyncio.fixture
async def visitor(browser: Browser, stranger: Stranger, tmp_path: Path) -> AsyncGenerator[Visitor]:
    """Somebody who has followed the login link; what the page said wrong fails the test."""
    async with visiting(browser, stranger, tmp_path) as somebody:
        yield somebody
