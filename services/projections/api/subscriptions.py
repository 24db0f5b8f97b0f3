"""Reading subscriptions: their own service knows how they stand, so it is asked."""

from datetime import datetime
from hashlib import blake2b
from typing import Annotated

import msgspec
from flowforge.identity import new_uuid
from flowforge.subscribing import DeliveryStatus, DeliveryView, ReadDeliveries, ReadSubscriptions, SubscriptionView
from litestar import Response, Router, get
from litestar.params import Parameter

from infra.http.authentication import VIEWER
from infra.http.etags import IfNoneMatch, tag_of, tagged
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from services.projections.api.reads import Reads

DELIVERIES_LISTED_MAX = 200
_STATE_BYTES = 8


@get("/", opt=VIEWER, summary="List subscriptions")
async def list_subscriptions(
    reads: Reads, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[SubscriptionView]:
    """Who is told of run events, newest first, with how their deliveries stand."""
    cursors = await reads.cursors("subscriptions")
    before = cursors.read(cursor, datetime, str)
    answer = await reads.ask(ReadSubscriptions(command_id=str(new_uuid())))
    items = sorted(msgspec.convert(answer["items"], list[SubscriptionView]), key=_place, reverse=True)
    if before is not None:
        items = [item for item in items if _place(item) < tuple(before)]
    items = items[: limit + 1]
    return cursors.page(items, limit, [list(_place(item)) for item in items])


def _place(item: SubscriptionView) -> tuple[datetime, str]:
    return (item.created_at, item.id)


@get("/{subscription_id:str}", opt=VIEWER, summary="Read a subscription")
async def read_subscription(
    reads: Reads, subscription_id: str, if_none_match: IfNoneMatch = None
) -> Response[SubscriptionView]:
    """One subscription: what it is told of, whether it is paused and why, and how its deliveries stand."""
    answer = await reads.ask(ReadSubscriptions(command_id=str(new_uuid()), subscription_id=subscription_id))
    view = msgspec.convert(answer, SubscriptionView)
    state = blake2b(msgspec.json.encode(view), digest_size=_STATE_BYTES).hexdigest()
    return tagged(view, tag_of(view.version, state), if_none_match)


@get("/{subscription_id:str}/deliveries", opt=VIEWER, summary="List deliveries")
async def list_deliveries(
    reads: Reads,
    subscription_id: str,
    status: Annotated[DeliveryStatus | None, Parameter(description="only those that stand so")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[DeliveryView]:
    """What is owed and what was posted of late, the newest event first, each with its last attempts. A page has at most
    two hundred."""
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
    items = msgspec.convert(answer["items"], list[DeliveryView])
    return cursors.page(items, limit, [[item.position] for item in items])


def routers() -> list[Router]:
    """Below /api/subscriptions."""
    handlers = [list_subscriptions, read_subscription, list_deliveries]
    return [Router("/api/subscriptions", route_handlers=handlers, tags=["subscriptions"])]
