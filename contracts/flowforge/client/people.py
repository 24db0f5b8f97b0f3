"""Who asks, who there is, and with which keys. The part of `Client` for it."""

from typing import Any

from flowforge.client.room import Room


class People(Room):
    """Keys and login links are shown once, in the answer that makes them."""

    async def session(self) -> dict[str, Any]:
        """Who asks: `{user, role, expires_at, auth}`."""
        return await self._read("/api/session")

    async def login_link(self, user: str) -> dict[str, Any]:
        """A one-time link to the console for this user: `{url, expires_at}`. For others than oneself: an administrator."""
        return await self._write("POST", f"/api/users/{user}/login-links")
