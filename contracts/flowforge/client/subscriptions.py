"""Subscriptions from Python: the part of `Client` for them."""

from collections.abc import Mapping
from typing import Any

from flowforge.client.room import Moment, Room, moment


class Subscriptions(Room):
    """Who is told of run events by HTTP. Writes answer the subscription with its `position`; each method raises `Refused`
    where there is no such, or what is asked for makes no sense."""

    async def _subscription(self, method: str, name: str, verb: str = "", body: object = None) -> dict[str, Any]:
        path = "/".join(filter(None, ("/api/subscriptions", name, verb)))
        return await self._write(method, path, body or {})

    async def subscribe(self, url: str, filter: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:  # noqa: A002
        """Have run events posted to an address. `filter`: workflow_id, types, statuses, label, condition; further fields:
        id, name, secret, enabled. A secret that is made for it stands in this answer only."""
        return await self._subscription("POST", "", body={"url": url, "filter": dict(filter or {}), **fields})

    async def subscriptions(self, **filters: Any) -> dict[str, Any]:
        """One page of the subscriptions, newest first, with how their deliveries stand. limit, cursor."""
        return await self._read("/api/subscriptions", **filters)

    async def subscription(self, subscription_id: str) -> dict[str, Any]:
        """One subscription."""
        return await self._read(f"/api/subscriptions/{subscription_id}")

    async def deliveries(self, subscription_id: str, **filters: Any) -> dict[str, Any]:
        """One page of what is owed and what was posted of late, the newest event first. status, limit, cursor."""
        return await self._read(f"/api/subscriptions/{subscription_id}/deliveries", **filters)

    async def change_subscription(self, subscription_id: str, **fields: Any) -> dict[str, Any]:
        """Change what is given: url, filter, name, enabled, secret (None: a new one is made)."""
        return await self._subscription("PATCH", subscription_id, body=fields)

    async def pause_subscription(self, subscription_id: str) -> dict[str, Any]:
        """Post nothing until it is resumed."""
        return await self._subscription("POST", subscription_id, "pause")

    async def resume_subscription(self, subscription_id: str, *, skip_missed: bool = False) -> dict[str, Any]:
        """Post what is owed, or with `skip_missed` only what happens from now on."""
        return await self._subscription("POST", subscription_id, "resume", {"skip_missed": skip_missed})

    async def replay_subscription(self, subscription_id: str, since: Moment) -> dict[str, Any]:
        """Post again what was logged after a position or since a time, each event under the id that it had."""
        return await self._subscription("POST", subscription_id, "replay", {"since": moment(since)})

    async def test_subscription(self, subscription_id: str) -> dict[str, Any]:
        """Post one event now; what came of it: `{delivered, event_id, status, duration_ms, error}`."""
        return await self._subscription("POST", subscription_id, "test")

    async def delete_subscription(self, subscription_id: str) -> dict[str, Any]:
        """Post nothing more, and forget what is owed."""
        return await self._subscription("DELETE", subscription_id)
