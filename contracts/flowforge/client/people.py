"""Who asks, who there is, and with which keys. The part of `Client` for it."""

from datetime import datetime
from typing import Any

from flowforge.client.room import Room


class People(Room):
    """Keys and login links are shown once, in the answer that makes them."""

    async def session(self) -> dict[str, Any]:
        """Who asks: `{user, role, expires_at, auth}`."""
        return await self._read("/api/session")

    async def users(self, **filters: Any) -> dict[str, Any]:
        """One page of who may ask, the last added first. Filters: limit, cursor."""
        return await self._read("/api/users", **filters)

    async def user(self, name: str) -> dict[str, Any]:
        """One user: `{name, role, created_at, created_by, updated_at, keys_count}`."""
        return await self._read(f"/api/users/{name}")

    async def add_user(self, name: str, role: str) -> dict[str, Any]:
        """Somebody with a role: viewer, operator, editor or admin. Raises `Conflict` where the name is taken."""
        return await self._write("POST", "/api/users", {"name": name, "role": role})

    async def change_user(self, name: str, role: str) -> dict[str, Any]:
        """Another role. Raises `Conflict` for the last administrator."""
        return await self._write("PATCH", f"/api/users/{name}", {"role": role})

    async def remove_user(self, name: str) -> dict[str, Any]:
        """No such user any more: their keys and sessions end. Raises `Conflict` for the last administrator."""
        return await self._write("DELETE", f"/api/users/{name}")

    async def keys(self, user: str, **filters: Any) -> dict[str, Any]:
        """One page of a user's keys, newest first; never the keys themselves. Filters: limit, cursor."""
        return await self._read(f"/api/users/{user}/keys", **filters)

    async def create_key(
        self, user: str, description: str = "", *, expires_at: datetime | str | None = None
    ) -> dict[str, Any]:
        """A further key of a user; the answer's `key` is shown this once."""
        until = expires_at.isoformat() if isinstance(expires_at, datetime) else expires_at
        return await self._write("POST", f"/api/users/{user}/keys", {"description": description, "expires_at": until})

    async def revoke_key(self, user: str, key_id: str) -> dict[str, Any]:
        """The key opens nothing any more."""
        return await self._write("DELETE", f"/api/users/{user}/keys/{key_id}")

    async def login_link(self, user: str) -> dict[str, Any]:
        """A one-time link to the console for this user: `{url, expires_at}`. For others than oneself: an administrator."""
        return await self._write("POST", f"/api/users/{user}/login-links")
