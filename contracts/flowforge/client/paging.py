"""Every item of a list, page by page."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


async def each(
    page: Callable[P, Coroutine[Any, Any, dict[str, Any]]], *args: P.args, **filters: P.kwargs
) -> AsyncGenerator[dict[str, Any]]:
    """Every item of a list that answers in pages, read as it is asked for: `each(client.runs, status="failed")`."""
    while True:
        answer = await page(*args, **filters)
        for item in answer["items"]:
            yield item
        cursor = answer.get("next_cursor")
        if cursor is None:
            return
        filters["cursor"] = cursor
