"""Reading subscriptions: their own service knows how they stand, so it is asked."""

from typing import Any

from flowforge.identity import new_uuid
from flowforge.subscribing import DeliveryStatus, ReadDeliveries, ReadSubscriptions
from litestar import Router, get

from infra.http.authentication import VIEWER
from infra.http.paging import CursorText, Limit, Page
from services.projections.api.reads import Reads

LIMIT_DEFAULT = 50


@get("/", opt=VIEWER, summary="List subscriptions")
async def list_subscriptions(
    reads: Reads, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[dict[str, Any]]:
    """Who is told of run events, newest first, with how their deliveries stand."""
    cursors = await reads.cursors("subscriptions")
    before = cursors.read(cursor, str, str)
    answer = await reads.ask(ReadSubscriptions(command_id=str(new_uuid())))
    items: list[dict[str, Any]] = sorted(answer["items"], key=_place, reverse=True)
    if before is not None:
        items = [item for item in items if _place(item) < tuple(before)]
    items = items[: limit + 1]
    return cursors.page(items, limit, [list(_place(item)) for item in items])


def _place(item: dict[str, Any]) -> tuple[str, str]:
    return (item["created_at"], item["id"])


@get("/{subscription_id:str}", opt=VIEWER, summary="Read a subscription")
async def read_subscription(reads: Reads, subscription_id: str) -> dict[str, Any]:
    """One subscription: what it is told of, whether it is paused and why, and how its deliveries stand."""
    return await reads.ask(ReadSubscriptions(command_id=str(new_uuid()), subscription_id=subscription_id))


@get("/{subscription_id:str}/deliveries", opt=VIEWER, summary="List deliveries")
async def list_deliveries(
    reads: Reads,
    subscription_id: str,
    status: DeliveryStatus | None = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[dict[str, Any]]:
    """What is owed and what was posted of late, the newest event first, each with its last attempts; 200 at once."""
    cursors = await reads.cursors("deliveries", subscription_id, status)
    before = cursors.read(cursor, int)
    limit = min(limit, DELIVERIES_LISTED_MAX)
    answer = await reads.ask(
        ReadDeliveries(
            command_id=str(new_uuid()),
            subscription_id=subscription_id,
            status=status,
            before_position=None if before is None else before[0],
            limit=limit + 1,
        )
    )
    items: list[dict[str, Any]] = answer["items"]
    return cursors.page(items, limit, [[item["position"]] for item in items])


DELIVERIES_LISTED_MAX = 200


def routers() -> list[Router]:
    """Below /api/subscriptions."""
    handlers = [list_subscriptions, read_subscription, list_deliveries]
    return [Router("/api/subscriptions", route_handlers=handlers, tags=["subscriptions"])]
