"""People: who there is, with which role, and with which keys. Everybody sees to keys of their own."""

from litestar import Response, post

from infra.http.authentication import VIEWER
from infra.http.described import READS_ONLY
from infra.http.problems import Problem, not_found
from infra.http.sessions import LoginLink
from services.gateway.answers import LOGIN_LINK
from services.gateway.body import AnyRequest
from services.gateway.context import gateway


@post("/{user:str}/login-links", opt=VIEWER | READS_ONLY | LOGIN_LINK, status_code=201, summary="Make a login link")
async def make_login_link(request: AnyRequest, user: str) -> Response[LoginLink]:
    """201 `{url, expires_at}`: whoever opens it within an hour is logged in to the console as this user, once.
    404 for an unknown user; others than oneself ask an administrator."""
    check_own_or_admin(request, user)
    link = await gateway(request).sessions.add_link(user, gateway(request).address(request))
    if link is None:
        raise not_found("user", user)
    return Response(link, status_code=201, headers={"Cache-Control": "no-store"})


def check_own_or_admin(request: AnyRequest, user: str) -> None:
    """Raises a 403 `Problem` for somebody else's, unless an administrator asks."""
    if request.user.name != user and not request.user.is_admin:
        detail = f"this needs the role 'admin', or to be '{user[:100]}': {request.user.name} has '{request.user.role}'"
        raise Problem(403, detail, code="FORBIDDEN")
