"""Who is asking: for the console, which must know whether somebody is logged in, and as what."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Router, get

from infra.http.authentication import VIEWER, Principal, Role, Way


class SessionView(msgspec.Struct):
    """The caller. `auth` is how they are known: by a key, by the cookie of a session, or not at all where authentication
    is off. `expires_at` is when the key or the session ends, null where it does not."""

    user: str
    role: Role
    expires_at: datetime | None
    auth: Way


@get("/", opt=VIEWER)
async def read_session(request: Request[Principal, Any, Any]) -> SessionView:
    """Who asks, with which role; 401 for somebody who is not known."""
    caller = request.user
    return SessionView(caller.name, caller.role, caller.expires_at, caller.auth)


def routers() -> list[Router]:
    return [Router("/api/session", route_handlers=[read_session], tags=["session"])]
