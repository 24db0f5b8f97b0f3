"""The system as a whole: its health, counts, audit trail, what it received. The part of `Client` for it."""

from typing import Any

from flowforge.client.room import Room


class System(Room):
    """Lists answer one page, newest first: `{items, next_cursor}`."""

    async def health(self) -> dict[str, Any]:
        """What `/health/ready` answers, also when it is not ready."""
        return await self._asking().peek("/health/ready")

    async def stats(self, **period: Any) -> dict[str, Any]:
        """The installation in numbers, and who and what runs were for. Of a time: since, until."""
        return await self._read("/api/stats", **period)

    async def system(self) -> dict[str, Any]:
        """Which services answer, who is behind and by how much, what waits in queues and for people."""
        return await self._read("/api/system")

    async def audit(self, **filters: Any) -> dict[str, Any]:
        """One page of who did what. Filters: actor, action, resource, subject, workflow_id, since, until; limit, cursor."""
        return await self._read("/api/audit", **filters)

    async def received_events(self, **filters: Any) -> dict[str, Any]:
        """What came from outside, and what it started. Filters: type, source, id, since, until; limit, cursor."""
        return await self._read("/api/events", **filters)

    async def received_event(self, event_id: str) -> dict[str, Any]:
        """One event that came from outside, by its id in the log."""
        return await self._read(f"/api/events/{event_id}")

    async def event_decisions(self, event_id: str, **filters: Any) -> dict[str, Any]:
        """One page of what every trigger that an event concerns said to it. Filters: limit, cursor."""
        return await self._read(f"/api/events/{event_id}/decisions", **filters)

    async def breakers(self, **filters: Any) -> dict[str, Any]:
        """Circuit breakers and how they stand. Filters: status; limit, cursor."""
        return await self._read("/api/breakers", **filters)

    async def archives(self, **filters: Any) -> dict[str, Any]:
        """The files that runs which ended long ago were moved into. Filters: limit, cursor."""
        return await self._read("/api/archives", **filters)

    async def retention(self) -> dict[str, Any]:
        """What is kept for how many days, what is in archives, and what the last daily pass did."""
        return await self._read("/api/retention")

    async def blob(self, name: str) -> Any:
        """The JSON data that travels as `{"$blob": name}`."""
        return await self._read(f"/api/blobs/{name}")
